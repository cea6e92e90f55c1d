/// An expression of ``ListOps`` that is drawn from left to right and evaluated on the way.
struct ListOpsExpression {
  /// What a list does with its arguments, in the order of their tokens.
  private enum Operator: Int, CaseIterable {
    case minimum, maximum, median, sum

    func value(of arguments: ArraySlice<Int>) -> Int {
      switch self {
      case .minimum: arguments.min() ?? 0
      case .maximum: arguments.max() ?? 0
      case .sum: arguments.reduce(0, +) % 10
      case .median:
        Self.middle(of: arguments.sorted())
      }
    }

    /// The middle one, or the mean of the middle two without its fraction.
    private static func middle(of sorted: [Int]) -> Int {
      let half = sorted.count / 2
      return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
    }
  }

  /// The token of the digit 0.
  private static let digits: Int32 = 3
  /// The token of the first operator.
  private static let operators: Int32 = 13
  /// The token that closes a list.
  private static let close: Int32 = 17

  private let settings: ListOps.Settings
  /// The expression, once ``draw(using:)`` found one.
  private(set) var tokens: [Int32] = []
  /// Values of arguments whose list is not closed, and last of all the value of the whole.
  private var values: [Int] = []

  /// Nothing yet.
  init(_ settings: ListOps.Settings) { self.settings = settings }

  /// The value of the whole.
  var value: Int { values.last ?? 0 }

  /// Draws another expression; whether its length is a wanted one. One that grows too long is given up at once.
  mutating func draw(using generator: inout some RandomNumberGenerator) -> Bool {
    tokens.removeAll(keepingCapacity: true)
    values.removeAll(keepingCapacity: true)
    return drawNode(depth: 1, using: &generator) && settings.lengths.contains(tokens.count)
  }

  private mutating func drawNode(depth: Int, using generator: inout some RandomNumberGenerator) -> Bool {
    guard tokens.count < settings.lengths.upperBound else { return false }
    guard depth < settings.maximumDepth, generator.unit() < settings.operatorOdds else {
      let digit = generator.below(10)
      tokens.append(Self.digits + Int32(digit))
      values.append(digit)
      return true
    }
    let kind = Operator.allCases[generator.below(Operator.allCases.count)]
    tokens.append(Self.operators + Int32(kind.rawValue))
    let first = values.count
    for _ in 0..<settings.arguments.lowerBound + generator.below(settings.arguments.count) {
      guard drawNode(depth: depth + 1, using: &generator) else { return false }
    }
    tokens.append(Self.close)
    let value = kind.value(of: values[first...])
    values.removeSubrange(first...)
    values.append(value)
    return true
  }
}
