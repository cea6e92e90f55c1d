internal import Models
internal import Tasks
public import Tensors

/// A trained network beside the task it is judged by.
public struct Judge {
  /// The network.
  public let network: TrainedNetwork
  private let recipe: Recipe

  /// The network of a checkpoint.
  ///
  /// - Throws: what is wrong with the file, ``Models/ModelError`` for parameters that do not fit.
  public init(_ recipe: Recipe, _ checkpoint: Checkpoint, on device: Device) throws {
    self.recipe = recipe
    network = try TrainedNetwork(
      recipe.model, ParameterSet(.read { try checkpoint.numbers($0, $1) }, on: device))
  }

  /// How well it does on the recipe's test set, or on new examples.
  ///
  /// - Parameter newExamples: how many, and the seed they are drawn with. With the recipe's own data seed they would be those it
  ///   was trained on.
  public func evaluate(newExamples: (count: Int, seed: UInt64)? = nil) throws -> Training.Evaluation {
    let test: any ExampleSource
    if let newExamples {
      if recipe.task.isText {
        throw TrainError.data(
          what: "new examples", why: "a corpus has no others than its own. Leave --examples out")
      }
      guard newExamples.seed != recipe.dataSeed else {
        throw TrainError.data(
          what: "seed \(newExamples.seed)",
          why: "it gives the examples that the network was trained on. Take another")
      }
      test = try recipe.task.examples(train: 0, test: newExamples.count, seed: newExamples.seed).test
    } else {
      test = try recipe.task.examples(
        train: recipe.trainCount, test: recipe.testCount, seed: recipe.dataSeed
      ).test
    }
    return try network.evaluate(test, batch: recipe.evaluationBatch(of: test.count))
  }
}
