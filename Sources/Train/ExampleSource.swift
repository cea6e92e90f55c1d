internal import Tasks

/// Where the examples of steps come from: inputs of one length, and targets of which those below 0 do not count.
protocol ExampleSource: Sendable {
  /// How many there are.
  var count: Int { get }

  /// Some examples, one after the other.
  ///
  /// - Throws: what is wrong with the data.
  func examples(_ places: some Collection<Int>) throws -> (inputs: [Int32], targets: [Int32])
}

extension TokenExamples: ExampleSource {
  func examples(_ places: some Collection<Int>) -> (inputs: [Int32], targets: [Int32]) {
    (places.flatMap { input($0) }, places.flatMap { target($0) })
  }
}

/// Equal stretches of a text, in each of which every token is to be told from those before it.
struct TextWindows: ExampleSource {
  let tokens: TokenRun
  /// Tokens of an input.
  let length: Int
  let count: Int

  /// - Parameter most: of the windows, spread over the text; `nil` for all.
  init(_ tokens: TokenRun, length: Int, most: Int? = nil) {
    self.tokens = tokens
    self.length = length
    let all = max(0, (tokens.count - 1) / length)
    count = min(all, most ?? all)
    stride = all / max(1, count)
  }

  /// Windows from one that is taken to the next.
  private let stride: Int

  func examples(_ places: some Collection<Int>) throws -> (inputs: [Int32], targets: [Int32]) {
    var (inputs, targets) = ([Int32](), [Int32]())
    for place in places {
      let start = place * stride * length
      let window = try tokens[start..<start + length + 1]
      inputs += window.dropLast()
      targets += window.dropFirst()
    }
    return (inputs, targets)
  }
}
