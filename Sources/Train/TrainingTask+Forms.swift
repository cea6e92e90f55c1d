internal import Formats
internal import Models
internal import Tasks

extension TrainingTask {
  /// What recipes may say.
  static let forms = languageForms + [maskedForm] + classifierForms

  /// What `model` may be, by the kind of network that a task trains.
  static let networks = [
    SettingForm(
      "language", tasks("A network that continues sequences", languageForms), keys: SequenceSettings.keys),
    SettingForm(
      "masked", tasks("M2-BERT, which tells masked tokens from all others", [maskedForm]),
      keys: MonarchMixerSettings.keys),
    SettingForm(
      "classifier", tasks("A network that sorts sequences into classes", classifierForms),
      keys: ClassifierSettings.keys),
  ]

  private static func tasks(_ network: String, _ forms: [SettingForm]) -> String {
    "\(network), for \(forms.map { "`\($0.name)`" }.joined(separator: ", "))."
  }

  private static let languageForms = [
    SettingForm(
      "induction", "Induction heads: after the second “=>” comes what came after the first.",
      keys: [
        vocabulary(3...1 << 20, default: 20), tokens(3...1 << 28, default: 30),
        SettingKey("copied", .integer(1...1 << 13), default: 1, "Tokens that are repeated."),
        SettingKey(
          "triggers", .integer(1...1 << 13), default: 1,
          "How often “=>” and what is repeated stand before the question, in half of the sequences."),
      ]),
    SettingForm(
      "recall", "Associative recall: keys and values in pairs, then a key is asked.",
      keys: [
        SettingKey(
          "vocabulary", .integer(4...1 << 20), otherwise: "20; 30 beside `length`",
          "Different tokens, “.” and “=>” among them."),
        tokens(2...1 << 28, default: 40),
        SettingKey(
          "key_tokens", .integer(1...1 << 20), default: 1,
          "Tokens of a key; so few that there are at most 1048576 keys."),
        SettingKey(
          "length", .integer(4...1 << 28), otherwise: "`tokens`, “=>” and a key",
          "Positions of an input, for keys of one token, instead of `tokens` and `key_tokens`."),
      ]),
    SettingForm(
      "majority", "The answer is the token that stands most often.",
      keys: [vocabulary(3...1 << 20, default: 10), tokens(1...1 << 28, default: 64)]),
    SettingForm(
      "counting", "The answer is how often a token stands.",
      keys: [
        vocabulary(4...1 << 20, default: 10), tokens(1...1 << 28, default: 64),
        SettingKey("most", .integer(1...1 << 28), default: 9, "Largest count, `tokens` at most."),
      ]),
    SettingForm(
      "addition", "Two numbers, and then their sum, digit by digit.",
      keys: [SettingKey("digits", .integer(1...1 << 20), default: 3, "Digits of each number.")]),
    SettingForm("corpus", "A text: each token is told from those before it.", keys: textKeys),
  ]

  private static let maskedForm = SettingForm(
    "masked", "A text: masked tokens are told from all others.",
    keys: textKeys + [
      SettingKey(
        "share", .number(from: .excluding(0), to: .excluding(1)), default: 0.15,
        "Share of the tokens that is asked for.")
    ])

  private static let classifierForms = [
    ListOps.form, Pathfinder.form,
    SettingForm(
      "pictures", "Labelled pictures of a file, a pixel a position.",
      keys: [
        SettingKey(
          "file", .text, "JSON lines, each with `values`, a picture's numbers, and `label`, its class from 0."
        ),
        SettingKey("channels", .count, default: 1, "Numbers of a pixel."),
      ]),
  ]

  private static let textKeys = [
    SettingKey("file", .text, "Tokens, as `godwit corpus` writes them."),
    SettingKey("length", .count, "Tokens of a window: positions of an input."),
  ]

  private static func vocabulary(_ range: ClosedRange<Int>, default value: Int) -> SettingKey {
    SettingKey(
      "vocabulary", .integer(range), default: .integer(value), "Different tokens, “.” and “=>” among them.")
  }

  private static func tokens(_ range: ClosedRange<Int>, default value: Int) -> SettingKey {
    SettingKey("tokens", .integer(range), default: .integer(value), "Tokens before the question.")
  }
}
