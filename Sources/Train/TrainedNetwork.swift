internal import Formats
public import Models
internal import Tensors

/// What a recipe's network is built with.
public enum NetworkSettings: Sendable, Hashable {
  /// It tells tokens from those before them.
  case language(SequenceSettings)
  /// It sorts sequences into classes.
  case classifier(ClassifierSettings)
  /// It tells masked tokens from all others.
  case masked(MonarchMixerSettings)

  /// The object that gives these settings.
  var json: JSON {
    switch self {
    case .language(let settings): settings.json
    case .classifier(let settings): settings.json
    case .masked(let settings): settings.json
    }
  }
}

/// A network of either kind, as training sees it.
public struct TrainedNetwork {
  /// Its parameters.
  public let parameters: ParameterSet
  private let kind: Kind

  private enum Kind {
    case language(SequenceNetwork)
    case classifier(SequenceClassifier)
    case masked(MaskedLanguageModel)
  }

  /// - Parameter recomputesBlocks: as ``Models/SequenceNetwork/recomputesBlocks``.
  /// - Throws: ``Models/ModelError`` where parameters are read and do not fit.
  init(_ settings: NetworkSettings, _ parameters: ParameterSet, recomputesBlocks: Bool = false) throws {
    self.parameters = parameters
    switch settings {
    case .language(let settings):
      let network = try SequenceNetwork(settings, parameters)
      network.recomputesBlocks = recomputesBlocks
      kind = .language(network)
    case .classifier(let settings): kind = .classifier(try SequenceClassifier(settings, parameters))
    case .masked(let settings): kind = .masked(try MaskedLanguageModel(settings, parameters))
    }
  }

  /// Losses of a batch's targets.
  func losses(_ batch: ExampleFeed) throws -> CrossEntropyResult {
    let count = batch.shape.count
    let logits =
      switch (kind, batch.input) {
      case (.language(let network), .tokens(let tokens)): try network.logits(tokens, batch: count)
      case (.classifier(let network), .tokens(let tokens)):
        try network.logits(tokens, batch: count, lengths: batch.lengths)
      case (.classifier(let network), .numbers(let numbers)):
        try network.logits(numbers, batch: count, lengths: batch.lengths)
      case (.masked(let network), .tokens(let tokens)): try network.logits(tokens, batch: count)
      case (.language, .numbers), (.masked, .numbers):
        preconditionFailure("a language model was given numbers")
      }
    return try logits.crossEntropy(batch.targets)
  }

  /// Judges by examples whose targets are answers.
  ///
  /// - Parameter report: is told after each batch how many examples of how many are done.
  func evaluate(
    _ examples: any ExampleSource, batch: Int, _ report: (_ done: Int, _ all: Int) -> Void = { _, _ in }
  ) throws -> Training.Evaluation {
    try evaluate(examples.count, batch: batch, report) { try examples.examples($0, pass: 0) }
  }

  /// The same of examples that come batch by batch.
  ///
  /// - Parameters:
  ///   - all: how many there are.
  ///   - examples: gives those at some places, which follow each other and are asked for once.
  func evaluate(
    _ all: Int, batch: Int, _ report: (_ done: Int, _ all: Int) -> Void = { _, _ in },
    _ examples: (Range<Int>) throws -> ExampleBatch
  ) throws -> Training.Evaluation {
    let device = parameters.device
    return try device.evaluating {
      var (loss, correct, count) = (0.0, 0.0, 0)
      for start in stride(from: 0, to: all, by: batch) {
        let end = start + min(batch, all - start)
        let found = try losses(ExampleFeed(examples(start..<end)))
        loss += try device.numbers(found.losses).reduce(0) { $0 + Double($1) }
        correct += try device.numbers(found.correct).reduce(0) { $0 + Double($1) }
        count += found.count
        report(end, all)
      }
      let divisor = Double(max(1, count))
      return Training.Evaluation(loss: loss / divisor, accuracy: correct / divisor, count: count)
    }
  }
}
