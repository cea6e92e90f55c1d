internal import Formats
internal import Tasks

extension ListOps {
  /// - Parameter settings: keys `depth`, `operator_odds`, `arguments` and `tokens` (least and most each), `width`.
  init(_ settings: JSONNode?) throws {
    var own = Settings()
    guard let settings else {
      try self.init(own)
      return
    }
    try settings.requireKeys(["depth", "operator_odds", "arguments", "tokens", "width"])
    own.maximumDepth = try settings.optional("depth")?.positiveInteger() ?? own.maximumDepth
    own.operatorOdds = try settings.optional("operator_odds")?.number() ?? own.operatorOdds
    own.arguments = try settings.optional("arguments")?.range() ?? own.arguments
    own.lengths = try settings.optional("tokens")?.range() ?? own.lengths
    own.width = try settings.optional("width")?.positiveInteger() ?? own.lengths.upperBound + 1
    try self.init(own)
  }
}

extension Pathfinder {
  /// - Parameter settings: keys `size` and `contour` (paddles of a long snake).
  init(_ settings: JSONNode?) throws {
    try settings?.requireKeys(["size", "contour"])
    let size = try settings?.optional("size")?.positiveInteger() ?? 32
    guard let contour = try settings?.optional("contour") else {
      try self.init(size: size)
      return
    }
    _ = try Pathfinder(size: size)
    var own = PathfinderSettings(size: size)
    own.contourLength = try contour.positiveInteger()
    own.distractorLength = max(1, own.contourLength / 3)
    try self.init(own)
  }
}

extension JSONNode {
  /// Two positive integers that ascend.
  fileprivate func range() throws(FormatError) -> ClosedRange<Int> {
    let bounds = try elements()
    guard bounds.count == 2 else { throw wrong("two numbers, the least and the most") }
    let (least, most) = (try bounds[0].positiveInteger(), try bounds[1].positiveInteger())
    guard least <= most else { throw wrong("two numbers that ascend") }
    return least...most
  }
}
