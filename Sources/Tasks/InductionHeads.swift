/// Induction heads: after the second "=>", say what came after the first.
///
/// Numbers drawn at random are followed by "=>". Before that one of them, at a random place, is overwritten with "=>"
/// too, and what stands behind it is repeated at the end: `7 3 => 12 0 5 => 12`. A guess among the numbers is right once
/// in `vocabularySize − 2`.
///
/// Fu et al., “Hungry Hungry Hippos”, 2022, arXiv:2212.14052.
public struct InductionHeads: TokenTask {
  /// What errors call the task.
  public let name = "induction heads"
  /// The tokens.
  public let vocabulary: SymbolVocabulary
  /// Tokens before the last "=>".
  public let tokens: Int
  /// Tokens that are repeated.
  public let copied: Int
  /// How often "=>" and the tokens to repeat stand before the last "=>", in half of the sequences; in the others once.
  public let triggers: Int

  /// Sequences with `tokens` numbers and prompts before the last "=>".
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` when there is no number, nothing to repeat, or no room for
  ///   the triggers.
  public init(
    vocabularySize: Int = 20, tokens: Int = 30, copied: Int = 1, triggers: Int = 1
  ) throws(TaskError) {
    vocabulary = try SymbolVocabulary(size: vocabularySize, numbers: 1, task: name)
    try TaskError.require("the number of copied tokens", copied, in: 1...1 << 13, of: name)
    try TaskError.require("the number of triggers", triggers, in: 1...1 << 13, of: name)
    let room = triggers * (copied + 1) + 1
    try TaskError.require(
      "the number of tokens", tokens, in: room...1 << 28, of: name,
      because: "triggers and what follows them take \(room - 1), and the last token is free")
    (self.tokens, self.copied, self.triggers) = (tokens, copied, triggers)
  }

  /// Ids of ".", numbers and "=>".
  public var vocabularySize: Int { vocabulary.size }
  /// The tokens, "=>", and all but the last of the repeated ones.
  public var length: Int { tokens + copied }
  /// From the last "=>" on.
  public var answer: Range<Int> { tokens..<length }

  /// Adds the tokens, "=>" and what is repeated.
  public func append(to sequence: inout [Int32], using generator: inout some RandomNumberGenerator) {
    let first = sequence.count
    for _ in 0..<tokens { sequence.append(1 + Int32(generator.below(vocabularySize - 2))) }
    let count = triggers > 1 && generator.below(2) == 0 ? 1 : triggers
    // Places for triggers whose copies do not overlap: as many different places as if a copy had no width.
    let places = generator.choose(count, below: tokens - 1 - count * copied)
    let answer = first + places[0] + 1..<first + places[0] + 1 + copied
    for (index, place) in places.enumerated() {
      let start = first + place + index * copied
      sequence[start] = vocabulary.prompt
      for offset in 0..<copied { sequence[start + 1 + offset] = sequence[answer.lowerBound + offset] }
    }
    sequence.append(vocabulary.prompt)
    sequence.append(contentsOf: sequence[answer])
  }
}
