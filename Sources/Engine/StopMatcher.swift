/// Finds stop strings in text that comes in pieces, holding back what may become one.
public struct StopMatcher: Sendable {
  private let stops: [[UInt8]]
  private var held: [UInt8] = []
  /// Whether a stop string was met; nothing after it is given out.
  public private(set) var isMatched = false

  /// - Parameter stops: strings that end the text; empty ones are ignored.
  public init(_ stops: [String]) { self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty } }

  /// The part of the text so far that cannot belong to a stop string any more.
  public mutating func append(_ piece: String) -> String {
    guard !isMatched else { return "" }
    held += Array(piece.utf8)
    var cut = held.count
    search: for start in held.indices {
      for stop in stops {
        let length = min(stop.count, held.count - start)
        guard held[start..<(start + length)].elementsEqual(stop[..<length]) else { continue }
        cut = start
        isMatched = length == stop.count
        break search
      }
    }
    let text = String(decoding: held[..<cut], as: UTF8.self)
    held.removeFirst(cut)
    return text
  }

  /// What was held back at the end of the text.
  public mutating func finish() -> String {
    defer { held = [] }
    return isMatched ? "" : String(decoding: held, as: UTF8.self)
  }
}
