internal import Tiles

/// A slot of a ring: what it holds, and who reads it.
struct SlotState {
  /// Execution that each of its tiles was loaded by; `nil` before the copy has come.
  var contents: [Int?]
  /// Clock of each warp at its last read.
  var lastRead: [Int]
  /// Products of each warp that read it and have not been waited for.
  var reading: [Int]
  var full: SharedBarrier
  var empty: SharedBarrier
}

/// A tile that the groups write to shared memory, a part each warp.
struct SharedState {
  /// Execution that each warp's part was computed by.
  var contents: [Int?]
  /// Clock of each warp at its last write and read.
  var lastWrite: [Int]
  var lastRead: [Int]
  /// Products of each warp that read it and have not been waited for.
  var reading: [Int]
}

/// A role of the block: a warp of a group, or the loading thread.
struct RoleState {
  /// Next entry of its trace.
  var position = 0
  var knowledge: Knowledge
  /// Its clock: actions so far.
  var clock = 0
  /// Turns of each ring that it has left behind.
  var turns: [Int]
  /// The turn of each ring's slot that it holds, and the one it gave back last; -1 for none.
  var held: [[Int]]
  var released: [[Int]]
  /// Execution that each tile in registers, and each packed one, was computed by.
  var registers: [Int?]
  var packed: [Int?]
  /// Products that run into each accumulator, and that read each packed tile.
  var running: [Int]
  var packedReaders: [Int]
  /// Accumulators that no wait has named since they were issued.
  var isUnpinned: [Bool]
  /// Products not waited for, oldest first.
  var products: [(accumulator: Int, operands: [Operand])] = []
  /// The meeting it waits for: how many had taken place when it came.
  var meeting: Int?
  /// Bytes announced and copied this turn, by ring; the loader's.
  var announced: [Int?]
  var copied: [Int]
}

/// A copy that has been started and has not come.
struct Copy {
  let ring: Int
  let slot: Int
  let member: Int
  let execution: Int
  let bytes: Int
}

/// A block of threads that runs role programs: its roles, rings, shared tiles and barriers.
struct BlockState {
  let program: RoleSimulator
  var roles: [RoleState]
  var slots: [[SlotState]]
  var shared: [Int: SharedState]
  var copies: [Copy] = []
  /// The barrier that all groups meet at, and the entry at which its present visitors stand.
  var meeting: MeetingBarrier
  var meetingEntry = 0
  /// Each group's barrier for turns.
  var turns: [MeetingBarrier]

  init(_ program: RoleSimulator) {
    self.program = program
    let (warps, rings, tiles) = (program.warps, program.rings, program.kernel.tileCount)
    let role = RoleState(
      knowledge: Knowledge(roles: warps + 1), turns: rings.map { _ in 0 },
      held: rings.map { [Int](repeating: -1, count: $0.stages) },
      released: rings.map { [Int](repeating: -1, count: $0.stages) },
      registers: [Int?](repeating: nil, count: tiles), packed: [Int?](repeating: nil, count: tiles),
      running: [Int](repeating: 0, count: tiles), packedReaders: [Int](repeating: 0, count: tiles),
      isUnpinned: [Bool](repeating: false, count: tiles), announced: rings.map { _ in nil },
      copied: rings.map { _ in 0 })
    roles = [RoleState](repeating: role, count: warps + 1)
    let none = [Int](repeating: 0, count: warps)
    slots = rings.map { ring in
      [SlotState](
        repeating: SlotState(
          contents: ring.slots.map { _ in nil }, lastRead: none, reading: none,
          full: SharedBarrier(count: 1, roles: warps + 1),
          empty: SharedBarrier(count: warps, roles: warps + 1)), count: ring.stages)
    }
    let sharedTile = SharedState(
      contents: none.map { _ in nil }, lastWrite: none, lastRead: none, reading: none)
    let places = program.placement.places
    let written =
      Array(program.placement.staged.keys) + places.keys.filter { places[$0] == .row }
      + program.placement.exchanged
    shared = Dictionary(uniqueKeysWithValues: written.map { ($0, sharedTile) })
    meeting = MeetingBarrier(roles: warps + 1)
    turns = [MeetingBarrier](repeating: meeting, count: program.placement.groups)
  }

  /// Number of the loading thread among the roles; warps come before it.
  var loader: Int { roles.count - 1 }

  /// The entry that a role stands at; `nil` at its end.
  func entry(of role: Int) -> RoleTrace.Entry? {
    let entries = program.trace(role).entries
    return roles[role].position < entries.count ? entries[roles[role].position] : nil
  }

  /// Slot of the role's present turn of a ring, or of one before it.
  func slot(_ role: Int, _ ring: Int, behind: Int = 0) -> Int {
    let stages = program.rings[ring].stages
    return (roles[role].turns[ring] - behind + stages) % stages
  }

  /// Runs the role's next action; `false` where it must wait.
  mutating func advance(_ role: Int) throws(RoleError) -> Bool {
    guard let entry = entry(of: role) else { return false }
    roles[role].clock += 1
    roles[role].knowledge.seen[role] = roles[role].clock
    if let execution = entry.execution, execution < 0 { throw error(role, .unexpectedStatement) }
    let goesOn = role == loader ? try load(entry) : try compute(role, entry)
    if goesOn { roles[role].position += 1 }
    return goesOn
  }

  /// A copy comes.
  mutating func complete(copy number: Int) {
    let copy = copies.remove(at: number)
    slots[copy.ring][copy.slot].contents[copy.member] = copy.execution
    slots[copy.ring][copy.slot].full.bring(copy.bytes)
  }

  // MARK: Messages

  func error(_ role: Int, _ problem: RoleError.Problem) -> RoleError {
    let trace = program.trace(role)
    let entry = entry(of: role)
    return RoleError(
      kernel: program.kernel.name, role: name(role), step: entry.map { trace.labels[$0.step] } ?? "end",
      moment: entry.map { trace.moments[$0.moment].description } ?? "the end", problem: problem)
  }

  func name(_ role: Int) -> String {
    role == loader ? "loader" : "warp \(role % 4) of group \(role / 4)"
  }

  /// The tile in whose place in shared memory the tile lies.
  func place(_ tile: Int) -> Int { program.placement.place(ofStaged: tile) }

  func name(tile: Int) -> String { program.placement.tiles[tile]?.description ?? "%\(tile)" }
}
