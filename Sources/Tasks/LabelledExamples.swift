/// Examples of a task that gives each input one of some labels: tokens or pixels, padded to one width.
public struct LabelledExamples<Element: BitwiseCopyable & Equatable & Sendable>: Sendable, Equatable {
  /// Elements of an input, with what pads it.
  public let width: Int
  /// How many labels there are, from 0 on.
  public let classes: Int
  /// `[count, width]`.
  public private(set) var inputs: [Element] = []
  /// Elements of each input without what pads it, `[count]`.
  public private(set) var lengths: [Int32] = []
  /// `[count]`.
  public private(set) var labels: [Int32] = []

  /// How many examples there are.
  public var count: Int { labels.count }

  /// No example yet.
  init(width: Int, classes: Int) { (self.width, self.classes) = (width, classes) }

  /// Adds an example, padded at its end.
  mutating func append(_ input: [Element], label: Int, padding: Element) {
    inputs.append(contentsOf: input)
    for _ in input.count..<width { inputs.append(padding) }
    lengths.append(Int32(input.count))
    labels.append(Int32(label))
  }

  /// The input of an example, without what pads it.
  public func input(_ example: Int) -> ArraySlice<Element> {
    inputs[example * width..<example * width + Int(lengths[example])]
  }

  /// Some of the examples.
  public func part(_ examples: Range<Int>) -> LabelledExamples {
    var part = LabelledExamples(width: width, classes: classes)
    part.inputs = Array(inputs[examples.lowerBound * width..<examples.upperBound * width])
    part.lengths = Array(lengths[examples])
    part.labels = Array(labels[examples])
    return part
  }
}

extension LabelledExamples<Float> {
  /// The inputs as models take them: grey values from 0…1 moved to −1…1.
  public var centred: [Float] { inputs.map { ($0 - 0.5) / 0.5 } }
}
