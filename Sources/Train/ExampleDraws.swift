internal import Tasks

/// Examples that a task draws one after the other, a batch at a time, so that not all of them wait in memory.
protocol ExampleDraws {
  /// The next `count` of them.
  ///
  /// - Throws: ``Tasks/TaskError``.
  mutating func batch(of count: Int) throws -> ExampleBatch
}

extension TokenDraws: ExampleDraws {
  mutating func batch(of count: Int) throws -> ExampleBatch { try next(count).examples(0..<count, pass: 0) }
}

extension ListOpsDraws: ExampleDraws {
  mutating func batch(of count: Int) throws -> ExampleBatch {
    LabelledTokens(examples: try next(count)).examples(0..<count, pass: 0)
  }
}

extension PathfinderDraws: ExampleDraws {
  mutating func batch(of count: Int) throws -> ExampleBatch {
    LabelledPixels(try next(count)).examples(0..<count, pass: 0)
  }
}

extension TrainingTask {
  /// Examples that a seed draws behind those of a recipe.
  ///
  /// - Parameters:
  ///   - known: how many the recipe has, which come first.
  ///   - all: how many there will be with those.
  /// - Throws: ``Tasks/TaskError``.
  /// - Returns: `nil` for tasks whose examples lie in a file.
  func draws(behind known: Int, all: Int, seed: UInt64) throws -> (any ExampleDraws)? {
    switch self {
    case .tokens(let task):
      var draws = try task.draws(all, seed: seed, scored: .answer)
      try draws.skip(known)
      return draws
    case .listOps(let task):
      var draws = try task.draws(all, seed: seed)
      try draws.skip(known)
      return draws
    case .pathfinder(let task):
      var draws = try task.draws(all, seed: seed)
      draws.skip(known)
      return draws
    case .corpus, .masked, .pictures: return nil
    }
  }
}
