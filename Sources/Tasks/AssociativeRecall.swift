/// Associative recall: pairs of keys and values, then "=>" and a key, whose value is the answer.
///
/// Keys are made of the first half of the numbers as the vocabulary sorts them, values are the second half. Each
/// sequence has a map of its own from all keys to values, drawn with replacement; its keys are drawn with replacement
/// too: `2 7 0 5 2 7 1 5 => 0 5`. A guess among the values is right once in their number: 4 of a vocabulary of 10.
///
/// Fu et al., “Hungry Hungry Hippos”, 2022, arXiv:2212.14052; long sequences of it in Poli et al., “Hyena Hierarchy”,
/// 2023, arXiv:2302.10866.
public struct AssociativeRecall: TokenTask {
  /// What errors call the task.
  public let name = "associative recall"
  /// The tokens.
  public let vocabulary: SymbolVocabulary
  /// Pairs before "=>".
  public let pairs: Int
  /// Tokens of a key.
  public let keyTokens: Int
  /// Whether the key after "=>" is any key, so that it may have no value before; then "." is the answer. Otherwise it is
  /// one of the keys before, each equally likely however often it stands there.
  public let asksAbsentKeys: Bool
  /// How many keys there can be.
  let keys: Int

  /// Most keys: a sequence has a table of them.
  private static let mostKeys = 1 << 20

  /// As many pairs as `tokens` have room for.
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` when there is no key or value, no room for a pair, or too
  ///   many keys.
  public init(
    vocabularySize: Int = 20, tokens: Int = 40, keyTokens: Int = 1, asksAbsentKeys: Bool = false
  ) throws(TaskError) {
    vocabulary = try SymbolVocabulary(size: vocabularySize, numbers: 2, task: name)
    let symbols = (vocabularySize - 2) / 2
    var keys = 1
    try TaskError.require("the number of tokens of a key", keyTokens, in: 1...1 << 20, of: name)
    for _ in 0..<keyTokens where keys <= Self.mostKeys { keys *= symbols }
    if keys > Self.mostKeys {
      throw .parameter(
        task: name, name: "the number of tokens of a key", value: "\(keyTokens)",
        rule: "so small that there are at most \(Self.mostKeys) keys of \(symbols) different tokens")
    }
    try TaskError.require(
      "the number of tokens", tokens, in: keyTokens + 1...1 << 28, of: name,
      because: "a pair has \(keyTokens + 1)")
    (self.keyTokens, self.asksAbsentKeys, self.keys) = (keyTokens, asksAbsentKeys, keys)
    pairs = tokens / (keyTokens + 1)
  }

  /// The form for long sequences: inputs of `length` tokens, "=>" and the key asked for among them.
  ///
  /// The published text names lengths such as 1024 or 131072 and does not say whether "=>" and the key count; here they
  /// do, so that a power of two stays one. An odd length has no whole number of pairs, and inputs are one token shorter.
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` when there is no key or value, or no room for a pair.
  public static func hyena(vocabularySize: Int = 30, length: Int) throws(TaskError) -> AssociativeRecall {
    try TaskError.require(
      "the length", length, in: 4...1 << 28, of: "associative recall",
      because: "a pair, \"=>\" and a key are 4")
    return try AssociativeRecall(vocabularySize: vocabularySize, tokens: length - 2)
  }

  /// Ids of ".", numbers and "=>".
  public var vocabularySize: Int { vocabulary.size }
  /// The pairs, "=>" and a key.
  public var length: Int { pairs * (keyTokens + 1) + 1 + keyTokens }

  /// The ids that keys are made of.
  public var keySymbols: Range<Int32> { 1..<1 + Int32((vocabularySize - 2) / 2) }
  /// The ids of values.
  public var values: Range<Int32> { keySymbols.upperBound..<vocabulary.prompt }

  /// Adds the pairs, "=>", a key and its value.
  public func append(to sequence: inout [Int32], using generator: inout some RandomNumberGenerator) {
    // A key's value is drawn when the key first comes up: the map is as random as one drawn whole. Zero is no value.
    var map = [Int32](repeating: 0, count: keys)
    var seen: [Int] = []
    for _ in 0..<pairs {
      let key = generator.below(keys)
      if map[key] == 0 {
        map[key] = values.lowerBound + Int32(generator.below(values.count))
        seen.append(key)
      }
      append(key: key, to: &sequence)
      sequence.append(map[key])
    }
    sequence.append(vocabulary.prompt)
    let asked = asksAbsentKeys ? generator.below(keys) : seen[generator.below(seen.count)]
    append(key: asked, to: &sequence)
    // Zero is the id of "." too, the answer where a key has no value.
    sequence.append(map[asked])
  }

  /// The tokens of a key: its number written with the key symbols as digits.
  private func append(key: Int, to sequence: inout [Int32]) {
    var rest = key
    for _ in 0..<keyTokens {
      sequence.append(keySymbols.lowerBound + Int32(rest % keySymbols.count))
      rest /= keySymbols.count
    }
  }
}
