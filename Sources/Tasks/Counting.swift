/// Counting: the answer is how often a token occurs.
///
/// The format is ours, none is published: `tokens` numbers, then "=>", then one of the numbers, then how often it
/// occurs before "=>": `3 5 3 1 => 3 ×2`. Counts are tokens of their own behind those of the vocabulary, ×0 first. The
/// count is drawn first, from 0 to `most`, so that each is equally likely and a guess is right once in `most + 1`; the
/// number is put at random places, and all others hold other numbers.
public struct Counting: TokenTask {
  /// What errors call the task.
  public let name = "counting"
  /// The tokens besides the counts.
  public let vocabulary: SymbolVocabulary
  /// Numbers before "=>".
  public let tokens: Int
  /// The largest count.
  public let most: Int

  /// Sequences of `tokens` numbers, one of which occurs at most `most` times and is asked for.
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` when there are fewer than two numbers, or fewer tokens than
  ///   the largest count.
  public init(vocabularySize: Int = 10, tokens: Int = 64, most: Int = 9) throws(TaskError) {
    // The number asked for and another for the rest.
    vocabulary = try SymbolVocabulary(size: vocabularySize, numbers: 2, task: name)
    try TaskError.require("the number of tokens", tokens, in: 1...1 << 28, of: name)
    try TaskError.require(
      "the largest count", most, in: 1...tokens, of: name, because: "there are \(tokens) tokens")
    (self.tokens, self.most) = (tokens, most)
  }

  /// Ids of ".", numbers, "=>" and the counts.
  public var vocabularySize: Int { vocabulary.size + most + 1 }
  /// The numbers, "=>" and the one asked for.
  public var length: Int { tokens + 2 }

  /// The token that says a count.
  public func token(for count: Int) -> Int32 { Int32(vocabulary.size + count) }

  /// Adds the numbers, "=>", the one asked for and its count.
  public func append(to sequence: inout [Int32], using generator: inout some RandomNumberGenerator) {
    let first = sequence.count
    let count = generator.below(most + 1)
    let asked = 1 + Int32(generator.below(vocabulary.size - 2))
    for _ in 0..<tokens {
      // One of the other numbers: those from the asked one on move up by one.
      let other = 1 + Int32(generator.below(vocabulary.size - 3))
      sequence.append(other < asked ? other : other + 1)
    }
    for place in generator.choose(count, below: tokens) { sequence[first + place] = asked }
    sequence.append(contentsOf: [vocabulary.prompt, asked, token(for: count)])
  }
}
