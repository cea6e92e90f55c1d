/// What recipes that differ in their seeds alone are trained on and judged by, made once.
public struct RecipeExamples: Sendable {
  let train: any ExampleSource
  let test: any ExampleSource
}

extension Recipe {
  /// The examples: drawn by the task's generator, or read from its file.
  ///
  /// - Throws: ``Tasks/TaskError`` where they cannot be drawn; what is wrong with a file.
  public func examples() throws -> RecipeExamples {
    try task.examples(train: trainCount, test: testCount, seed: dataSeed)
  }

  /// How few examples have kernels of all shapes of a run: a batch and an epoch's last, and as much to be judged by.
  public var fewestExamples: (train: Int, test: Int) {
    func fewest(_ count: Int, _ batch: Int) -> Int { min(count, batch + count % batch) }
    return (fewest(trainCount, batch), fewest(testCount, evaluationBatch(of: testCount)))
  }
}
