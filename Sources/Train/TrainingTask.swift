internal import Formats
public import Tasks

/// What a network is trained on and judged by.
public enum TrainingTask: Sendable {
  /// A generated task whose inputs and answers are tokens.
  case tokens(any TokenTask)
  /// Each token of a text is to be told from those before it: the text, tokens of an input.
  case corpus(Corpus, length: Int)

  /// Names in recipes.
  public static let names = ["induction", "recall", "majority", "counting", "addition", "corpus"]

  /// Tokens there are.
  public var vocabularySize: Int {
    switch self {
    case .tokens(let task): task.vocabularySize
    case .corpus(let corpus, _): corpus.vocabularySize
    }
  }

  /// Positions of an input.
  public var length: Int {
    switch self {
    case .tokens(let task): task.length
    case .corpus(_, let length): length
    }
  }

  /// - Parameter node: a task's name, or an object of one with the task's settings.
  init(_ node: JSONNode) throws {
    let (name, settings) = try node.named()
    func number(_ key: String, _ standard: Int) throws(FormatError) -> Int {
      try settings?.optional(key)?.positiveInteger() ?? standard
    }
    switch name {
    case "induction":
      try settings?.requireKeys(["vocabulary", "tokens", "copied", "triggers"])
      self = .tokens(
        try InductionHeads(
          vocabularySize: number("vocabulary", 20), tokens: number("tokens", 30), copied: number("copied", 1),
          triggers: number("triggers", 1)))
    case "recall":
      try settings?.requireKeys(["vocabulary", "tokens", "key_tokens", "length"])
      if let length = try settings?.optional("length") {
        try settings?.requireKeys(["vocabulary", "length"])
        self = .tokens(
          try AssociativeRecall.hyena(
            vocabularySize: number("vocabulary", 30), length: length.positiveInteger()))
      } else {
        self = .tokens(
          try AssociativeRecall(
            vocabularySize: number("vocabulary", 20), tokens: number("tokens", 40),
            keyTokens: number("key_tokens", 1)))
      }
    case "majority":
      try settings?.requireKeys(["vocabulary", "tokens"])
      self = .tokens(try Majority(vocabularySize: number("vocabulary", 10), tokens: number("tokens", 64)))
    case "counting":
      try settings?.requireKeys(["vocabulary", "tokens", "most"])
      self = .tokens(
        try Counting(
          vocabularySize: number("vocabulary", 10), tokens: number("tokens", 64), most: number("most", 9)))
    case "addition":
      try settings?.requireKeys(["digits"])
      self = .tokens(try DigitAddition(digits: number("digits", 3)))
    case "corpus":
      guard let settings else { throw node.wrong("an object with the corpus's file and length") }
      try settings.requireKeys(["file", "length"])
      let corpus = try Corpus(path: settings.required("file").string())
      let length = try settings.required("length").positiveInteger()
      for (run, name) in [(corpus.train, "train on"), (corpus.test, "be judged by")]
      where run.count <= length {
        throw TrainError.data(
          what: corpus.file,
          why: "it has \(run.count) tokens to \(name), fewer than one window of \(length + 1)")
      }
      self = .corpus(corpus, length: length)
    default: throw node.wrong("one of \(Self.names.joined(separator: ", "))")
    }
  }

  /// `bytes`, or the contents of a `tokenizer.json`, where tokens are text.
  public var tokenizer: String? {
    switch self {
    case .tokens: nil
    case .corpus(let corpus, _): corpus.tokenizer
    }
  }

  /// Examples to train on where a recipe does not say how many.
  var standardTrainCount: Int {
    switch self {
    case .tokens: 5000
    case .corpus(let corpus, let length): TextWindows(corpus.train, length: length).count
    }
  }

  /// Examples to train on, and others to be judged by.
  func examples(
    train: Int, test: Int, seed: UInt64
  ) throws -> (train: any ExampleSource, test: any ExampleSource) {
    switch self {
    case .corpus(let corpus, let length):
      return (
        TextWindows(corpus.train, length: length, most: train),
        TextWindows(corpus.test, length: length, most: test)
      )
    case .tokens(let task):
      // One draw for both, so that no example is in both.
      let trained = try task.examples(train + test, seed: seed, scored: .all)
      let judged = try task.examples(train + test, seed: seed, scored: .answer)
      return (trained.part(0..<train), judged.part(train..<train + test))
    }
  }
}
