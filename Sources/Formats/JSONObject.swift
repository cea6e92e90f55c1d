/// The members of a JSON object, in the order of the text, found by key in constant time.
///
/// Keys are told apart by their bytes, not by Swift's string equality: a vocabulary holds both "é" as one scalar and
/// as "e" with a combining accent, and they are different tokens.
public struct JSONObject: Sendable {
  /// A key with its value.
  public struct Member: Sendable {
    public var key: String
    public var value: JSON

    /// A key with its value.
    public init(key: String, value: JSON) {
      self.key = key
      self.value = value
    }
  }

  /// All members, in order.
  public let members: [Member]
  /// By hash: its upper half above the member's position plus 1, or 0 where free; empty while a linear search is
  /// quicker. The half spares most comparisons of different keys, each of which would miss the cache.
  private let slots: [UInt64]

  /// Up to this many members are searched one by one.
  private static let linearLimit = 8

  /// `nil` when a key occurs twice.
  public init?(_ members: [Member]) {
    guard case .success(let object) = JSONObject.indexed(members) else { return nil }
    self = object
  }

  /// No members.
  public init() { self.init(members: [], slots: []) }

  private init(members: [Member], slots: [UInt64]) {
    self.members = members
    self.slots = slots
  }

  /// How building the index ended.
  enum Indexed {
    case success(JSONObject)
    case duplicate(position: Int)
  }

  /// Finds each key's place, or the position of the first key that occurred before.
  static func indexed(_ members: [Member]) -> Indexed {
    if members.count <= linearLimit {
      for later in members.indices {
        for earlier in 0..<later where sameBytes(members[earlier].key, members[later].key) {
          return .duplicate(position: later)
        }
      }
      return .success(JSONObject(members: members, slots: []))
    }
    var capacity = 32
    while capacity < members.count * 2 { capacity *= 2 }
    var slots = [UInt64](repeating: 0, count: capacity)
    for (position, member) in members.enumerated() {
      let hash = hash(member.key)
      var slot = Int(truncatingIfNeeded: hash) & (capacity - 1)
      while slots[slot] != 0 {
        if slots[slot] >> 32 == hash >> 32, sameBytes(members[place(slots[slot])].key, member.key) {
          return .duplicate(position: position)
        }
        slot = (slot + 1) & (capacity - 1)
      }
      slots[slot] = (hash >> 32) << 32 | UInt64(position + 1)
    }
    return .success(JSONObject(members: members, slots: slots))
  }

  /// Number of members.
  public var count: Int { members.count }

  /// The value of `key`, or `nil`.
  public subscript(key: String) -> JSON? {
    if slots.isEmpty {
      for member in members where sameBytes(member.key, key) { return member.value }
      return nil
    }
    let hash = hash(key)
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot] != 0 {
      let member = JSONObject.place(slots[slot])
      if slots[slot] >> 32 == hash >> 32, sameBytes(members[member].key, key) { return members[member].value }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  /// The member's position that a slot holds.
  private static func place(_ slot: UInt64) -> Int { Int(slot & 0xFFFF_FFFF) - 1 }
}

extension JSONObject: Equatable {
  /// Same keys with same values; the order does not matter.
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    left.count == right.count && left.members.allSatisfy { right[$0.key] == $0.value }
  }
}

/// Whether two strings are the same bytes, which is stricter than `==`.
func sameBytes(_ left: String, _ right: String) -> Bool {
  left.utf8.count == right.utf8.count && left.utf8.elementsEqual(right.utf8)
}

/// Seeded anew by each process, so no file can be made whose keys all collide.
private func hash(_ key: String) -> UInt64 {
  var hasher = Hasher()
  var word: UInt64 = 0
  var held = 0
  for byte in key.utf8 {
    word = word << 8 | UInt64(byte)
    held += 1
    if held == 8 {
      hasher.combine(word)
      word = 0
      held = 0
    }
  }
  hasher.combine(word)
  hasher.combine(held)
  return UInt64(bitPattern: Int64(hasher.finalize()))
}
