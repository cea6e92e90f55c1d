internal import Tasks

/// Where the examples of steps come from: inputs of one width, and targets of which those below 0 do not count.
protocol ExampleSource: Sendable {
  /// How many there are.
  var count: Int { get }

  /// Some examples, one after the other.
  ///
  /// - Parameter pass: how often all were seen before; data that are drawn anew each time follow from it.
  /// - Throws: what is wrong with the data.
  func examples(_ places: some Collection<Int>, pass: Int) throws -> ExampleBatch
}

/// Examples that a network reads together.
struct ExampleBatch {
  /// What stands at positions.
  enum Input {
    case tokens([Int32])
    case numbers([Float])
  }

  /// Examples.
  var count: Int
  /// Row by row, as wide as the widest can be.
  var input: Input
  /// Positions of each that are there, where others were filled up.
  var lengths: [Int]?
  /// A target for each position, or one for each example.
  var targets: [Int32]
}

extension TokenExamples: ExampleSource {
  func examples(_ places: some Collection<Int>, pass: Int) -> ExampleBatch {
    ExampleBatch(
      count: places.count, input: .tokens(places.flatMap { input($0) }),
      targets: places.flatMap { target($0) })
  }
}

/// Labelled sequences of tokens.
struct LabelledTokens: ExampleSource {
  let examples: LabelledExamples<Int32>
  var count: Int { examples.count }

  func examples(_ places: some Collection<Int>, pass: Int) -> ExampleBatch {
    let width = examples.width
    return ExampleBatch(
      count: places.count,
      input: .tokens(places.flatMap { examples.inputs[$0 * width..<($0 + 1) * width] }),
      lengths: places.map { Int(examples.lengths[$0]) }, targets: places.map { examples.labels[$0] })
  }
}

/// Labelled pictures, a pixel a position.
struct LabelledPixels: ExampleSource {
  let width: Int
  let labels: [Int32]
  private let pixels: [Float]
  var count: Int { labels.count }

  init(_ examples: LabelledExamples<Float>) {
    self.init(width: examples.width, labels: examples.labels, pixels: examples.centred)
  }

  /// - Parameters:
  ///   - width: numbers of a picture.
  ///   - pixels: `[labels, width]`, about −1…1.
  init(width: Int, labels: [Int32], pixels: [Float]) {
    (self.width, self.labels, self.pixels) = (width, labels, pixels)
  }

  func examples(_ places: some Collection<Int>, pass: Int) -> ExampleBatch {
    ExampleBatch(
      count: places.count, input: .numbers(places.flatMap { pixels[$0 * width..<($0 + 1) * width] }),
      targets: places.map { labels[$0] })
  }
}

/// Equal stretches of a text, in each of which every token is to be told from those before it.
struct TextWindows: ExampleSource {
  let tokens: TokenRun
  /// Tokens of an input.
  let length: Int
  let count: Int
  /// Windows from one that is taken to the next.
  private let stride: Int

  /// - Parameter most: of the windows, spread over the text; `nil` for all.
  init(_ tokens: TokenRun, length: Int, most: Int? = nil) {
    self.tokens = tokens
    self.length = length
    let all = max(0, (tokens.count - 1) / length)
    count = min(all, most ?? all)
    stride = all / max(1, count)
  }

  /// A window without the token after it.
  func tokens(of place: Int) throws -> [Int32] {
    try tokens[place * stride * length..<(place * stride + 1) * length]
  }

  func examples(_ places: some Collection<Int>, pass: Int) throws -> ExampleBatch {
    var (inputs, targets) = ([Int32](), [Int32]())
    for place in places {
      let start = place * stride * length
      let window = try tokens[start..<start + length + 1]
      inputs += window.dropLast()
      targets += window.dropFirst()
    }
    return ExampleBatch(count: places.count, input: .tokens(inputs), targets: targets)
  }
}
