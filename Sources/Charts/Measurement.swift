internal import Formats

/// A time that one program took, as bench lines say it.
public struct Measurement: Sendable, Equatable {
  /// What was measured.
  public var op: String
  /// Sizes and words, such as `B=4 H=64 L=1024 causal`.
  public var shape: String
  /// The program.
  public var peer: String
  /// The time.
  public var milliseconds: Double
  /// The least time that the machine allows, where the line says it.
  public var floorMilliseconds: Double?

  /// A time.
  public init(
    op: String, shape: String, peer: String, milliseconds: Double, floorMilliseconds: Double? = nil
  ) {
    self.op = op
    self.shape = shape
    self.peer = peer
    self.milliseconds = milliseconds
    self.floorMilliseconds = floorMilliseconds
  }

  /// The number of a part of the shape: 1024 of `L` in `B=4 L=1024`.
  public func size(_ part: String) -> Double? {
    for word in shape.split(separator: " ") {
      let sides = word.split(separator: "=", maxSplits: 1)
      if sides.count == 2, sides[0] == part { return Double(sides[1]) }
    }
    return nil
  }

  /// The shape without that part.
  func rest(without part: String) -> String {
    shape.split(separator: " ").filter { !$0.hasPrefix("\(part)=") }.joined(separator: " ")
  }
}

extension Measurement {
  /// The measurements of a file with a JSON object a line; empty lines are left out.
  ///
  /// A line has `op`, `shape` and `peer`, text, and `ms`, above 0. A floor is read from `floor_ms`, or from
  /// `of_bandwidth`, the share of what memory allows. Other members are not looked at.
  ///
  /// - Throws: ``ChartError/line(file:number:reason:)``.
  public static func lines(of text: String, file: String) throws(ChartError) -> [Measurement] {
    var result: [Measurement] = []
    // A line may end with a return too, which Swift would count as one character with the newline.
    for (number, line) in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .enumerated()
    {
      let line = String(Substring(line))
      if line.utf8.allSatisfy({ [32, 9, 13].contains($0) }) { continue }
      result.append(try measurement(line, file: file, number: number + 1))
    }
    return result
  }

  private static func measurement(
    _ line: String, file: String, number: Int
  ) throws(ChartError) -> Measurement {
    func refuse(_ reason: String) -> ChartError { .line(file: file, number: number, reason: reason) }
    let json: JSON
    do { json = try JSON.parse(line, file: file) } catch {
      guard case .syntax(_, _, let column, let reason) = error else { throw refuse("\(error)") }
      throw refuse("no JSON at byte \(column): \(reason)")
    }
    guard json.object != nil else { throw refuse("\(json.summary) is no object") }
    func text(_ key: String) throws(ChartError) -> String {
      guard let value = json[key] else { throw refuse("\"\(key)\" is missing") }
      guard let text = value.string else { throw refuse("\"\(key)\" is \(value.summary), not text") }
      return text
    }
    func positive(_ key: String) throws(ChartError) -> Double? {
      guard let value = json[key], !value.isNull else { return nil }
      guard let number = value.number, number > 0, number.isFinite else {
        throw refuse("\"\(key)\" is \(value.summary), not a number above 0")
      }
      return number
    }
    guard let time = try positive("ms") else { throw refuse("\"ms\" is missing") }
    let floor = try positive("floor_ms")
    let share = try positive("of_bandwidth")
    return Measurement(
      op: try text("op"), shape: try text("shape"), peer: try text("peer"), milliseconds: time,
      floorMilliseconds: floor ?? share.map { time * $0 })
  }
}
