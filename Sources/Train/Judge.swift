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
  /// - Throws: what is wrong with the file, ``Models/ModelError`` for parameters that do not fit, ``TrainError/otherData(file:checkpoint:)``.
  public init(_ recipe: Recipe, _ checkpoint: Checkpoint, on device: Device) throws {
    try checkpoint.requireData(of: recipe.task)
    self.recipe = recipe
    network = try TrainedNetwork(
      recipe.model, ParameterSet(.read { try checkpoint.numbers($0, $1) }, on: device))
  }

  /// How well it does on the recipe's test set, or on new examples: those that the task's seed draws behind both sets, so that none is
  /// one that the network has seen.
  ///
  /// - Parameter report: is told after each batch how many examples of how many are done.
  /// - Throws: ``TrainError/data(what:why:)`` where there are no others, or too few.
  public func evaluate(
    newExamples: Int? = nil, _ report: (_ done: Int, _ all: Int) -> Void = { _, _ in }
  ) throws -> Training.Evaluation {
    if newExamples != nil, recipe.task.isText {
      throw TrainError.data(
        what: "new examples", why: "a corpus has no others than its own. Leave --examples out")
    }
    let (task, seed) = (recipe.task, recipe.dataSeed)
    guard let newExamples else {
      let test = try task.examples(train: recipe.trainCount, test: recipe.testCount, seed: seed).test
      return try network.evaluate(test, batch: recipe.evaluationBatch(of: test.count), report)
    }
    let known = recipe.trainCount + recipe.testCount
    let (all, overflow) = known.addingReportingOverflow(newExamples)
    guard !overflow else {
      throw TrainError.data(
        what: "new examples",
        why: "\(newExamples) behind the recipe's \(known) are more than can be counted. Ask for fewer")
    }
    let batch = recipe.evaluationBatch(of: newExamples)
    guard var drawn = try task.draws(behind: known, all: all, seed: seed) else {
      return try network.evaluate(
        task.examples(train: known, test: newExamples, seed: seed).test, batch: batch, report)
    }
    return try network.evaluate(newExamples, batch: batch, report) { try drawn.batch(of: $0.count) }
  }
}
