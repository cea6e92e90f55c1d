/// What a role knows of the others: how far each had come, by the last synchronisation that reached it.
///
/// A vector clock (Fidge, 1988). Two of them: products and bulk copies read shared memory past the ordinary path, so of
/// what threads wrote there they see only what was fenced before the writer's synchronisation.
struct Knowledge {
  /// Clock of each role up to which all its accesses have happened.
  var seen: [Int]
  /// Clock of each role up to which its writes to shared memory are there for products.
  var fenced: [Int]

  init(roles: Int) {
    seen = [Int](repeating: 0, count: roles)
    fenced = seen
  }

  /// Takes in what another knows.
  mutating func join(_ other: Knowledge) {
    for role in seen.indices {
      seen[role] = max(seen[role], other.seen[role])
      fenced[role] = max(fenced[role], other.fenced[role])
    }
  }
}

/// A barrier in shared memory that counts arrivals and bytes, and knows its phase by parity alone.
struct SharedBarrier {
  /// Arrivals of a phase.
  let count: Int
  /// Arrivals that the present phase still waits for.
  private(set) var pending: Int
  /// Bytes that were announced and have not come; below 0 where they came first.
  private(set) var bytes = 0
  /// Phases that have completed.
  private(set) var completed = 0
  /// What those who arrived in completed phases knew.
  private(set) var published: Knowledge
  private var gathered: Knowledge

  init(count: Int, roles: Int) {
    self.count = count
    pending = count
    published = Knowledge(roles: roles)
    gathered = published
  }

  /// Whether a wait for the phase of that parity passes: the one before the present has it.
  func passes(parity: Int) -> Bool { completed & 1 != parity }

  /// One arrival, which may announce bytes; `false` where the phase has had all.
  mutating func arrive(_ knowledge: Knowledge, announcing announced: Int = 0) -> Bool {
    guard pending > 0 else { return false }
    gathered.join(knowledge)
    pending -= 1
    bytes += announced
    completeIfDone()
    return true
  }

  /// Announced bytes have come.
  mutating func bring(_ count: Int) {
    bytes -= count
    completeIfDone()
  }

  private mutating func completeIfDone() {
    guard pending == 0, bytes == 0 else { return }
    completed += 1
    pending = count
    published = gathered
  }
}

/// A barrier of the block that sets of warps meet at.
struct MeetingBarrier {
  /// Warps that came and wait.
  private(set) var waiting = 0
  /// Warps that came and went on.
  private(set) var passed = 0
  /// Meetings that have taken place.
  private(set) var completed = 0
  /// What those who met knew.
  private(set) var published: Knowledge
  private var gathered: Knowledge

  init(roles: Int) {
    published = Knowledge(roles: roles)
    gathered = published
  }

  /// One warp comes; with the last of `count` the meeting takes place.
  mutating func arrive(_ knowledge: Knowledge, of count: Int, waits: Bool) {
    gathered.join(knowledge)
    if waits { waiting += 1 } else { passed += 1 }
    guard waiting + passed == count else { return }
    completed += 1
    published = gathered
    (waiting, passed) = (0, 0)
  }
}
