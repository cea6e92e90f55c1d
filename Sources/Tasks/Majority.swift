/// Majority: the answer is the token that occurs most often.
///
/// The format is ours, none is published: `tokens` numbers drawn at random, then "=>", then the answer:
/// `4 0 4 2 => 4`. The answer is never a tie: where several numbers lead, one occurrence of one of them becomes another
/// of them. A guess among the numbers is right once in `vocabularySize − 2`. The longer the sequence, the smaller the
/// lead is beside its length: about its square root.
public struct Majority: TokenTask {
  /// What errors call the task.
  public let name = "majority"
  /// The tokens.
  public let vocabulary: SymbolVocabulary
  /// Numbers before "=>".
  public let tokens: Int

  /// Sequences of `tokens` numbers.
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` when there is no number to count.
  public init(vocabularySize: Int = 10, tokens: Int = 64) throws(TaskError) {
    vocabulary = try SymbolVocabulary(size: vocabularySize, numbers: 1, task: name)
    try TaskError.require("the number of tokens", tokens, in: 1...1 << 28, of: name)
    self.tokens = tokens
  }

  /// Ids of ".", numbers and "=>".
  public var vocabularySize: Int { vocabulary.size }
  /// The numbers and "=>".
  public var length: Int { tokens + 1 }

  /// Adds the numbers, "=>" and the most frequent one.
  public func append(to sequence: inout [Int32], using generator: inout some RandomNumberGenerator) {
    let first = sequence.count
    var counts = [Int](repeating: 0, count: vocabularySize)
    for _ in 0..<tokens {
      let token = 1 + generator.below(vocabularySize - 2)
      sequence.append(Int32(token))
      counts[token] += 1
    }
    let most = counts.max() ?? 0
    let leaders = counts.indices.filter { counts[$0] == most }
    let winner = Int32(leaders[generator.below(leaders.count)])
    if let loser = leaders.first(where: { $0 != winner }) {
      var left = generator.below(most)
      for place in first..<sequence.count where sequence[place] == loser {
        if left == 0 {
          sequence[place] = winner
          break
        }
        left -= 1
      }
    }
    sequence.append(vocabulary.prompt)
    sequence.append(winner)
  }
}
