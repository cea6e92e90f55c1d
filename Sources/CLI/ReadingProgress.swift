internal import Engine

/// A progress line while prompts are read; what all of them begin with counts once.
struct ReadingProgress {
  private var line: Progress?
  private let total: Int
  /// Tokens that were read before.
  private let before: Int

  /// - Parameter generator: has been given the prompts, and has read none of them.
  init(_ label: String, _ prompts: [[Int32]], by generator: Generator) {
    before = generator.statistics.promptTokensComputed
    guard Output.showsProgress, let first = prompts.first else {
      total = 0
      return
    }
    let common = prompts.dropFirst().reduce(first.count) { common, prompt in
      zip(first.prefix(common), prompt).prefix { $0 == $1 }.count
    }
    total = common + prompts.reduce(0) { $0 + $1.count - common }
    line = Progress("\(label): tokens of prompts are read", total: total)
  }

  /// Shows how much is read.
  ///
  /// - Returns: whether there is more to read.
  mutating func update(_ generator: Generator) -> Bool {
    let read = generator.statistics.promptTokensComputed - before
    guard line != nil, read < total else {
      line?.finish()
      line = nil
      return false
    }
    line?.update(read)
    return true
  }
}
