internal import Formats
internal import Models
public import Tasks

/// What a network is trained on and judged by.
public enum TrainingTask: Sendable {
  /// A generated task whose inputs and answers are tokens.
  case tokens(any TokenTask)
  /// Each token of a text is to be told from those before it: the text, tokens of an input.
  case corpus(Corpus, length: Int)
  /// Masked tokens of a text are to be told from all others: the text, tokens of an input, share that is asked for.
  case masked(Corpus, length: Int, share: Float)
  /// Nested lists of digits are to be worked out.
  case listOps(ListOps)
  /// Two discs in a picture are on one snake, or not.
  case pathfinder(Pathfinder)
  /// Pictures of a file are to be told apart.
  case pictures(Pictures)

  /// Settings of the network from a recipe's, with what the data say.
  func network(_ node: JSONNode) throws(FormatError) -> NetworkSettings {
    func classifier(_ input: ClassifierSettings.Input, _ classes: Int) throws(FormatError) -> NetworkSettings
    {
      .classifier(try ClassifierSettings(node, input: input, classes: classes, longest: length))
    }
    switch self {
    case .tokens(let task):
      return .language(try SequenceSettings(node, vocabulary: task.vocabularySize, longest: length))
    case .corpus(let corpus, _):
      return .language(try SequenceSettings(node, vocabulary: corpus.vocabularySize, longest: length))
    case .masked(let corpus, _, _):
      // One more for the mask. Windows are never filled up, so no token is padding.
      var settings = try MonarchMixerSettings(node, vocabulary: corpus.vocabularySize + 1, longest: length)
      settings.padding = -1
      return .masked(settings)
    case .listOps(let task): return try classifier(.tokens(task.vocabularySize), 10)
    case .pathfinder: return try classifier(.numbers(1), 2)
    case .pictures(let pictures): return try classifier(.numbers(pictures.channels), pictures.classes)
    }
  }

  /// Positions of an input.
  public var length: Int {
    switch self {
    case .tokens(let task): task.length
    case .corpus(_, let length), .masked(_, let length, _): length
    case .listOps(let task): task.settings.width
    case .pathfinder(let task): task.settings.size * task.settings.size
    case .pictures(let pictures): pictures.length
    }
  }

  /// - Parameter node: one of ``forms``.
  init(_ node: JSONNode) throws {
    let (name, settings) = try node.named(Self.forms)
    func number(_ key: String, _ standard: Int) throws(FormatError) -> Int {
      try settings?.optional(key)?.positiveInteger() ?? standard
    }
    switch name {
    case "induction":
      self = .tokens(
        try InductionHeads(
          vocabularySize: number("vocabulary", 20), tokens: number("tokens", 30), copied: number("copied", 1),
          triggers: number("triggers", 1)))
    case "recall":
      if let length = try settings?.optional("length") {
        for key in ["tokens", "key_tokens"] {
          if let other = try settings?.optional(key) { throw other.wrong("no such key beside length") }
        }
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
      self = .tokens(try Majority(vocabularySize: number("vocabulary", 10), tokens: number("tokens", 64)))
    case "counting":
      self = .tokens(
        try Counting(
          vocabularySize: number("vocabulary", 10), tokens: number("tokens", 64), most: number("most", 9)))
    case "addition":
      self = .tokens(try DigitAddition(digits: number("digits", 3)))
    case "listops": self = .listOps(try ListOps(settings))
    case "pathfinder": self = .pathfinder(try Pathfinder(settings))
    case "pictures":
      guard let settings else { throw node.wrong("an object with the pictures' file") }
      self = .pictures(
        try Pictures(path: settings.required("file").string(), channels: number("channels", 1)))
    case "corpus", "masked":
      guard let settings else { throw node.wrong("an object with the corpus's file and length") }
      let corpus = try Corpus(path: settings.required("file").string())
      let length = try settings.required("length").positiveInteger()
      for (run, name) in [(corpus.train, "train on"), (corpus.test, "be judged by")]
      where run.count <= length {
        throw TrainError.data(
          what: corpus.file,
          why: "it has \(run.count) tokens to \(name), no window of \(length) and the token after it")
      }
      let share = try settings.optional("share")?.number() ?? 0.15
      guard share > 0, share < 1 else {
        throw try settings.required("share").wrong("a number above 0 and below 1")
      }
      self =
        name == "masked"
        ? .masked(corpus, length: length, share: Float(share)) : .corpus(corpus, length: length)
    default: preconditionFailure("the task \(name) is described, and nothing reads it")
    }
  }

  /// The file that its examples come from, where there is one.
  var file: String? {
    switch self {
    case .tokens, .listOps, .pathfinder: nil
    case .pictures(let pictures): pictures.file
    case .corpus(let corpus, _), .masked(let corpus, _, _): corpus.file
    }
  }

  /// Whether its examples are those of a text, and there are no others.
  var isText: Bool {
    switch self {
    case .corpus, .masked: true
    default: false
    }
  }

  /// `bytes`, or the contents of a `tokenizer.json`, where tokens are text.
  public var tokenizer: String? {
    switch self {
    case .tokens, .listOps, .pathfinder, .pictures: nil
    case .corpus(let corpus, _), .masked(let corpus, _, _): corpus.tokenizer
    }
  }

  /// Examples to train on where a recipe does not say how many, but says or leaves open how many judge.
  func standardTrainCount(besides test: Int) throws -> Int {
    switch self {
    case .tokens, .listOps, .pathfinder: return 5000
    case .pictures(let pictures):
      guard pictures.count > test else {
        throw TrainError.data(
          what: pictures.file,
          why:
            "it has \(pictures.count) pictures, and \(test) are to judge. State examples.train and examples.test"
        )
      }
      return pictures.count - test
    case .corpus, .masked: return mostExamples?.train ?? 1
    }
  }

  /// Windows of a text to train on and to judge by; `nil` where examples are no windows.
  var mostExamples: (train: Int, test: Int)? {
    switch self {
    case .tokens, .listOps, .pathfinder, .pictures: nil
    case .corpus(let corpus, let length), .masked(let corpus, let length, _):
      (TextWindows(corpus.train, length: length).count, TextWindows(corpus.test, length: length).count)
    }
  }

  /// Examples to train on, and others to be judged by.
  func examples(
    train: Int, test: Int, seed: UInt64
  ) throws -> RecipeExamples {
    switch self {
    case .listOps(let task):
      let all = try task.examples(train + test, seed: seed)
      return RecipeExamples(
        train: LabelledTokens(examples: all.part(0..<train)),
        test: LabelledTokens(examples: all.part(train..<train + test)))
    case .pathfinder(let task):
      let all = try task.examples(train + test, seed: seed)
      return RecipeExamples(
        train: LabelledPixels(all.part(0..<train)), test: LabelledPixels(all.part(train..<train + test)))
    case .pictures(let pictures):
      let parts = try pictures.examples(train: train, test: test, seed: seed)
      return RecipeExamples(train: parts.train, test: parts.test)
    case .corpus(let corpus, let length):
      return RecipeExamples(
        train: TextWindows(corpus.train, length: length, most: train),
        test: TextWindows(corpus.test, length: length, most: test))
    case .masked(let corpus, let length, let share):
      func masked(_ run: TokenRun, _ most: Int) -> MaskedWindows {
        MaskedWindows(
          windows: TextWindows(run, length: length, most: most), share: share,
          vocabularySize: corpus.vocabularySize)
      }
      return RecipeExamples(train: masked(corpus.train, train), test: masked(corpus.test, test))
    case .tokens(let task):
      // One draw for both, so that no example is in both.
      let trained = try task.examples(train + test, seed: seed, scored: .all)
      let judged = try task.examples(train + test, seed: seed, scored: .answer)
      return RecipeExamples(train: trained.part(0..<train), test: judged.part(train..<train + test))
    }
  }
}
