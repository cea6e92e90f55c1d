/// Finds stop strings in text that comes in pieces, holding back what may become one.
///
/// The stop string that ends first counts, the longest of those that end together; how the text was cut into pieces
/// makes no difference.
public struct StopMatcher: Sendable {
  private var stops: [Progress]
  private var held: [UInt8] = []
  /// Whether a stop string was met; nothing from it on is given out.
  public private(set) var isMatched = false

  /// - Parameter stops: strings that end the text; empty ones are ignored.
  public init(_ stops: [String]) {
    self.stops = stops.filter { !$0.isEmpty }.map { Progress(Array($0.utf8)) }
  }

  /// The part of the text so far that cannot belong to a stop string any more.
  public mutating func append(_ piece: String) -> String {
    guard !isMatched else { return "" }
    for byte in piece.utf8 {
      held.append(byte)
      var longest = 0
      for index in stops.indices where stops[index].absorb(byte) {
        longest = max(longest, stops[index].bytes.count)
      }
      guard longest > 0 else { continue }
      isMatched = true
      held.removeLast(longest)
      return release(held.count)
    }
    return release(held.count - (stops.map(\.matched).max() ?? 0))
  }

  /// What was held back at the end of the text.
  public mutating func finish() -> String { release(held.count) }

  // A stop string begins with a character's first byte, so a cut before one never splits a character.
  private mutating func release(_ count: Int) -> String {
    defer { held.removeFirst(count) }
    return String(decoding: held[..<count], as: UTF8.self)
  }

  /// How much of one stop string the text ends with, kept as Knuth, Morris and Pratt (1977) do: no byte is read twice.
  private struct Progress: Sendable {
    let bytes: [UInt8]
    /// For each length of a beginning, the longest shorter beginning that it ends with.
    let fallback: [Int]
    var matched = 0

    init(_ bytes: [UInt8]) {
      self.bytes = bytes
      var fallback = [0, 0]
      for index in bytes.indices.dropFirst() {
        var length = fallback[index]
        while length > 0, bytes[length] != bytes[index] { length = fallback[length] }
        fallback.append(bytes[length] == bytes[index] ? length + 1 : 0)
      }
      self.fallback = fallback
    }

    /// Whether the text now ends with the whole string.
    mutating func absorb(_ byte: UInt8) -> Bool {
      while matched > 0, matched == bytes.count || bytes[matched] != byte { matched = fallback[matched] }
      if bytes[matched] == byte { matched += 1 }
      return matched == bytes.count
    }
  }
}
