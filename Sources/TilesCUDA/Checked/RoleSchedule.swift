/// Which role goes on, and for how long: drawn at random, each seed with tendencies of its own.
///
/// Even draws would keep all roles close together; what goes wrong shows when one is far behind.
struct RoleSchedule {
  private var state: UInt64
  /// Roles that go on only where no other can.
  private var isSlow: [Bool]
  /// A copy comes at one draw in so many.
  private let copyDelay: Int

  init(seed: UInt64, roles: Int) {
    state = seed
    isSlow = []
    copyDelay = [1, 2, 16, 256][Int(seed % 4)]
    // Every third seed treats all alike.
    isSlow = (0..<roles).map { _ in next(below: 4) == 0 && seed % 3 != 0 }
  }

  /// SplitMix64.
  private mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number from 0 up to `bound`.
  mutating func next(below bound: Int) -> Int { Int(next() >> 33) % bound }

  /// Whether a copy comes now.
  mutating func copyComes() -> Bool { next(below: copyDelay) == 0 }

  /// One of the roles that are ready.
  mutating func choose(_ ready: [Int]) -> Int {
    let fast = ready.filter { !isSlow[$0] }
    let from = fast.isEmpty ? ready : fast
    return from[next(below: from.count)]
  }

  /// How many actions the role does before another is drawn.
  mutating func burst() -> Int { 1 << next(below: 7) }
}
