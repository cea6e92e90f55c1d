/// Byte strings by number, and numbers by byte string: one arena, one open-addressed table.
package struct ByteMap: Sendable {
  private(set) var bytes: [UInt8] = []
  /// Where each string starts; one more entry than strings.
  private(set) var starts: [Int32] = [0]
  private var table: [Int32]
  private let mask: Int
  private let limit: Int

  /// Bytes and strings that 32-bit offsets reach.
  package static let largest = Int(Int32.max)

  /// Room for `count` strings of `limit` bytes together.
  ///
  /// - Throws: ``TokenizerError/malformed(reason:)`` for more strings than numbers.
  package init(count: Int, limit: Int = ByteMap.largest) throws(TokenizerError) {
    guard count <= Self.largest / 4 else {
      throw .malformed(reason: "\(count) tokens; at most \(Self.largest / 4) can be numbered")
    }
    var size = 16
    while size < count * 2 { size *= 2 }
    table = [Int32](repeating: -1, count: size)
    mask = size - 1
    self.limit = min(limit, Self.largest)
    starts.reserveCapacity(count + 1)
  }

  /// Strings held.
  package var count: Int { starts.count - 1 }

  /// Adds a string; of equal ones the first keeps the name.
  ///
  /// - Returns: whether the string is new.
  /// - Throws: ``TokenizerError/malformed(reason:)`` past the bytes or the count there is room for.
  @discardableResult
  package mutating func append(_ string: some Collection<UInt8>) throws(TokenizerError) -> Bool {
    guard count < table.count - 1 else {
      throw .malformed(reason: "more than the \(count) tokens it promised")
    }
    guard string.count <= limit - bytes.count else {
      throw .malformed(reason: "its tokens have more than \(limit) bytes together")
    }
    let number = Int32(count)
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in string {
      bytes.append(byte)
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3
    }
    starts.append(Int32(bytes.count))
    var slot = Int(truncatingIfNeeded: hash ^ (hash >> 29)) & mask
    while table[slot] >= 0 {
      if self[Int(table[slot])].elementsEqual(string) { return false }
      slot = (slot + 1) & mask
    }
    table[slot] = number
    return true
  }

  /// Number of a string.
  func number(of string: some Collection<UInt8>) -> Int32? {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in string { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    var slot = Int(truncatingIfNeeded: hash ^ (hash >> 29)) & mask
    while table[slot] >= 0 {
      if self[Int(table[slot])].elementsEqual(string) { return table[slot] }
      slot = (slot + 1) & mask
    }
    return nil
  }

  /// The string of that number.
  subscript(number: Int) -> ArraySlice<UInt8> { bytes[Int(starts[number])..<Int(starts[number + 1])] }
}
