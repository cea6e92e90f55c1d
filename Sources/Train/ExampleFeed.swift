internal import Tensors

/// Examples that a network reads together, which others may take the place of.
final class ExampleFeed {
  /// What stands at positions.
  enum Input {
    case tokens(Feed<Int32>)
    case numbers(Feed<Float>)
  }

  /// What must be the same of those that take their place.
  struct Shape: Hashable {
    let count: Int
    let inputs: Int
    let targets: Int
    let hasLengths: Bool
  }

  let shape: Shape
  let input: Input
  let lengths: Feed<Int>?
  let targets: Feed<Int32>

  init(_ batch: ExampleBatch) {
    shape = batch.shape
    input =
      switch batch.input {
      case .tokens(let tokens): .tokens(Feed(tokens))
      case .numbers(let numbers): .numbers(Feed(numbers))
      }
    lengths = batch.lengths.map(Feed.init)
    targets = Feed(batch.targets)
  }

  /// Puts other examples of the same shape in their place.
  func replace(_ batch: ExampleBatch) {
    precondition(batch.shape == shape, "examples of \(batch.shape) in place of \(shape)")
    switch (input, batch.input) {
    case (.tokens(let feed), .tokens(let tokens)): feed.numbers = tokens
    case (.numbers(let feed), .numbers(let numbers)): feed.numbers = numbers
    case (.tokens, .numbers), (.numbers, .tokens): preconditionFailure("examples of another kind")
    }
    if let lengths, let others = batch.lengths { lengths.numbers = others }
    targets.numbers = batch.targets
  }
}

extension ExampleBatch {
  /// What a recorded step depends on.
  var shape: ExampleFeed.Shape {
    let inputs =
      switch input {
      case .tokens(let tokens): tokens.count
      case .numbers(let numbers): numbers.count
      }
    return ExampleFeed.Shape(count: count, inputs: inputs, targets: targets.count, hasLengths: lengths != nil)
  }
}
