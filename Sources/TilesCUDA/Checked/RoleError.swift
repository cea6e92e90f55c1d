/// What is wrong with the role programs of a kernel: who did what, when, and what would mend it.
package struct RoleError: Error, Equatable, CustomStringConvertible {
  /// Name of the kernel.
  package let kernel: String
  /// Which role, for groups with the warp.
  package let role: String
  /// The role's step, as it stands in its program.
  package let step: String
  /// Task and steps of loops.
  package let moment: String
  /// What is wrong.
  package let problem: Problem

  package var description: String { "kernel \(kernel), \(role), \(step) at \(moment): \(problem)" }

  /// The ways in which role programs go wrong.
  package enum Problem: Equatable {
    /// A slot is read that the warp has not awaited, or no more.
    case slotNotHeld(tile: String, ring: Int, slot: Int)
    /// A tile holds something else than it holds in program order.
    case wrongContents(tile: String, found: String, expected: String)
    /// A slot is given back while a product of the warp reads it.
    case releasedWhileRead(ring: Int, slot: Int, tile: String)
    /// A slot is given back that the warp does not hold.
    case releasedUnheld(ring: Int, slot: Int)
    /// A slot is awaited whose turn the warp has already given back.
    case awaitedAgain(ring: Int, slot: Int)
    /// The ring goes on from a slot that was neither awaited nor filled this turn.
    case advancedEarly(ring: Int, slot: Int)
    /// A copy into a slot that some warp may still read.
    case copiedOverReader(tile: String, ring: Int, slot: Int, reader: String)
    /// A fill whose copies bring other bytes than were announced.
    case bytesDiffer(ring: Int, slot: Int, expected: Int, copied: Int)
    /// A wait passed on another phase than the one it was meant for.
    case phaseAliased(ring: Int, slot: Int, barrier: String, wanted: Int, found: Int)
    /// A barrier got more arrivals in one phase than it counts.
    case tooManyArrivals(ring: Int, slot: Int, barrier: String, counted: Int)
    /// A shared tile is read before all know what its writer wrote.
    case unpublished(tile: String, writer: String)
    /// A shared tile is written while a slower warp may still read it.
    case overwritten(tile: String, reader: String)
    /// An accumulator or operand is touched while a product of the warp uses it.
    case productRuns(tile: String)
    /// A sum is read that no wait named as finished.
    case notPinned(tile: String)
    /// A group hands its turn on twice.
    case turnPassedTwice(to: Int)
    /// Warps met that stand at different steps.
    case meetsDiffer(other: String)
    /// A step that program order does not have at this moment, or has fewer times.
    case unexpectedStatement
    /// A statement that no step runs.
    case skipped(statement: String)
    /// A bound or value that no loop around it defines.
    case undefinedStep
    /// Nobody can go on.
    case deadlock(waiting: [String])
    /// At the end a ring is not empty, or its users do not agree on the number of turns.
    case leftover(ring: Int, filled: Int, released: Int, turns: [Int])
    /// At the end a product was never waited for.
    case productNeverAwaited(tile: String)
  }
}

extension RoleError.Problem: CustomStringConvertible {
  package var description: String {
    switch self {
    case .slotNotHeld(let tile, let ring, let slot):
      "\(tile) is read from slot \(slot) of ring \(ring), which the warp does not hold. Await it first, release it last."
    case .wrongContents(let tile, let found, let expected):
      "\(tile) holds \(found), program order wants \(expected). Check the advances, packs and stages before."
    case .releasedWhileRead(let ring, let slot, let tile):
      "slot \(slot) of ring \(ring) is given back while a product reads \(tile) from it. Wait for the product first."
    case .releasedUnheld(let ring, let slot):
      "slot \(slot) of ring \(ring) is given back and is not held. Release once a turn, after awaiting it."
    case .awaitedAgain(let ring, let slot):
      "slot \(slot) of ring \(ring) is awaited again after it was given back. Advance after the release."
    case .advancedEarly(let ring, let slot):
      "ring \(ring) goes on from slot \(slot), which was not used this turn. Advance once a turn."
    case .copiedOverReader(let tile, let ring, let slot, let reader):
      "\(tile) is copied into slot \(slot) of ring \(ring), which \(reader) may still read. Await its release first."
    case .bytesDiffer(let ring, let slot, let expected, let copied):
      "slot \(slot) of ring \(ring) expects \(expected) bytes and is copied \(copied). Announce what the copies bring."
    case .phaseAliased(let ring, let slot, let barrier, let wanted, let found):
      "the \(barrier) barrier of slot \(slot) of ring \(ring) has completed \(found) phases, the wait was for \(wanted); "
        + "parity cannot tell them apart. Advance once a turn and never run two turns ahead."
    case .tooManyArrivals(let ring, let slot, let barrier, let counted):
      "the \(barrier) barrier of slot \(slot) of ring \(ring) counts \(counted) arrivals a phase and gets one more. "
        + "Arrive once a turn."
    case .unpublished(let tile, let writer):
      "\(tile) is read and \(writer) has not published what it wrote. Let the groups meet in between."
    case .overwritten(let tile, let reader):
      "\(tile) is written while \(reader) may still read it. Let the groups meet in between."
    case .productRuns(let tile):
      "\(tile) is touched while a product uses it. Wait for the product first."
    case .notPinned(let tile):
      "\(tile) is read and no wait named it as finished, so the read may move before the wait. Name it there."
    case .turnPassedTwice(let to): "the turn of group \(to) is passed on twice. Pass it once a step."
    case .meetsDiffer(let other): "another warp meets at \(other). All groups must run the same meets."
    case .unexpectedStatement:
      "program order has no such statement at this moment. Check the steps around it."
    case .skipped(let statement): "\(statement) is never run. Print every statement once."
    case .undefinedStep: "it names the step of a loop that is not around it. Set the step first."
    case .deadlock(let waiting): "nobody can go on: \(waiting.joined(separator: "; "))."
    case .leftover(let ring, let filled, let released, let turns):
      "ring \(ring) ends with \(filled) fills and \(released) given back by all; turns of the roles: \(turns). "
        + "Await, release and advance once for each fill."
    case .productNeverAwaited(let tile):
      "the product into \(tile) is never waited for. Wait for it before the end."
    }
  }
}
