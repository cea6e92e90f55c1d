/// Examples of ``LinearFunctions``.
public struct LinearFunctionExamples: Sendable, Equatable {
  /// Numbers of x, and of a row of the inputs.
  public let dimension: Int
  /// Values of x in an example.
  public let pairs: Int
  /// How many examples there are.
  public private(set) var count = 0
  /// `[count, length, dimension]`: rows 0, 2, 4, … are x; rows 1, 3, 5, … have w·x of the row before in the first place
  /// and 0 in all others.
  public private(set) var inputs: [Float] = []
  /// w·x of each x, `[count, pairs]`, from float32 numbers summed in float64: what is asked at the rows 0, 2, 4, ….
  public private(set) var targets: [Float] = []
  /// w of each example, `[count, dimension]`; models do not see it.
  public private(set) var weights: [Float] = []

  /// Rows of an input: the last w·x is asked and not there.
  public var length: Int { 2 * pairs - 1 }

  /// The answers, `[count]`: w·x of the last x.
  public var answers: [Float] { (1..<count + 1).map { targets[$0 * pairs - 1] } }

  /// No example yet.
  init(dimension: Int, pairs: Int) { (self.dimension, self.pairs) = (dimension, pairs) }

  /// Adds an example with these weights, whose x are drawn number by number.
  mutating func append(weights new: [Float], drawing draw: () -> Float) {
    weights.append(contentsOf: new)
    for pair in 0..<pairs {
      var value = 0.0
      for weight in new {
        let x = draw()
        inputs.append(x)
        value += Double(weight) * Double(x)
      }
      targets.append(Float(value))
      guard pair < pairs - 1 else { break }
      inputs.append(Float(value))
      for _ in 1..<dimension { inputs.append(0) }
    }
    count += 1
  }

  /// Some of the examples.
  public func part(_ examples: Range<Int>) -> LinearFunctionExamples {
    func rows(_ numbers: [Float], _ width: Int) -> [Float] {
      Array(numbers[examples.lowerBound * width..<examples.upperBound * width])
    }
    var part = LinearFunctionExamples(dimension: dimension, pairs: pairs)
    part.count = examples.count
    part.inputs = rows(inputs, length * dimension)
    part.targets = rows(targets, pairs)
    part.weights = rows(weights, dimension)
    return part
  }
}
