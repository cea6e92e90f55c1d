internal import Formats
internal import Memory
internal import Models
internal import Tasks
internal import Tiles
public import Tensors

/// A network while it is trained: every step follows from the recipe, the seed and the step before, and nothing else.
public final class Training {
  /// The recipe it follows.
  public let recipe: Recipe
  /// The network.
  public let network: TrainedNetwork
  /// Steps done.
  public private(set) var step = 0
  private let device: Device
  private let optimizer: Optimizer
  private let data: (train: any ExampleSource, test: any ExampleSource)
  private var order: (epoch: Int, places: [Int]) = (-1, [])

  /// What one step found.
  public struct StepResult: Sendable {
    /// Its number, from 1.
    public let step: Int
    /// Mean loss of the batch before the step, in nats.
    public let loss: Float
    /// Learning rate of ordinary parameters.
    public let rate: Double
  }

  /// How well a network does.
  public struct Evaluation: Sendable {
    /// Mean loss of the answers, in nats.
    public let loss: Double
    /// Share of answers that are right.
    public let accuracy: Double
    /// Answers.
    public let count: Int
  }

  /// Begins anew, or where a checkpoint ended.
  ///
  /// - Throws: ``TrainError`` for a checkpoint of another recipe, what is wrong with data or memory.
  public init(_ recipe: Recipe, on device: Device, from checkpoint: Checkpoint? = nil) throws {
    self.recipe = recipe
    self.device = device
    device.isDeterministic = recipe.isDeterministic
    data = try recipe.task.examples(train: recipe.trainCount, test: recipe.testCount, seed: recipe.dataSeed)
    let source: ParameterSet.Source =
      checkpoint.map { checkpoint in .read { try checkpoint.numbers($0, $1) } } ?? .drawn(seed: recipe.seed)
    network = try TrainedNetwork(
      recipe.model, ParameterSet(source, on: device), recomputesBlocks: recipe.recomputesBlocks)
    optimizer = try Optimizer(recipe.optimizer, network.parameters)
    if let checkpoint { try resume(checkpoint) }
  }

  private func resume(_ checkpoint: Checkpoint) throws {
    for key in [
      "task", "examples", "model", "optimizer", "schedule", "batch", "microbatch", "precision", "epochs",
      "steps",
    ]
    where checkpoint.recipe[key] != recipe.source[key] {
      throw TrainError.otherRecipe(file: checkpoint.file, key: key)
    }
    guard checkpoint.seed == recipe.seed else {
      throw TrainError.otherRecipe(file: checkpoint.file, key: "seed")
    }
    for slot in optimizer.slots {
      for (part, variable) in [("mean", slot.mean), ("variance", slot.variance)] {
        let name = "optimizer.\(part).\(slot.parameter.name)"
        guard let numbers = try checkpoint.numbers(name, variable.shape) else {
          throw TrainError.notACheckpoint(file: checkpoint.file, missing: "tensor \(name)")
        }
        try variable.assign(numbers)
      }
    }
    step = checkpoint.step
  }

  /// Whether all steps are done.
  public var isDone: Bool { step >= recipe.steps }
  /// Epochs done, whole.
  public var epoch: Int { step / recipe.stepsPerEpoch }

  /// One step.
  ///
  /// - Throws: ``TrainError/diverged(step:loss:)``; parameters are then as they were before the step.
  public func advance() throws -> StepResult {
    device.begin(step: step, seed: recipe.seed)
    let (epoch, place) = step.quotientAndRemainder(dividingBy: recipe.stepsPerEpoch)
    if order.epoch != epoch { order = (epoch, shuffled(epoch)) }
    let first = place * recipe.batch
    let examples = order.places[first..<min(first + recipe.batch, order.places.count)]
    let found = try descend(Array(examples))
    func rate(_ own: Double) -> Double {
      recipe.schedule.rate(step: step, of: recipe.steps, rate: own, base: recipe.optimizer.rate)
    }
    try optimizer.advance(step: step, rate: rate)
    step += 1
    return StepResult(step: step, loss: found, rate: rate(recipe.optimizer.rate))
  }

  /// Adds up the gradients of a step's examples and gives their mean loss.
  ///
  /// - Throws: ``TrainError/diverged(step:loss:)``; gradients are gone then.
  private func descend(_ examples: [Int]) throws -> Float {
    let parts = try stride(from: 0, to: examples.count, by: recipe.microbatch).map { start in
      try data.train.examples(
        examples[start..<min(start + recipe.microbatch, examples.count)], pass: epoch + 1)
    }
    let total = parts.reduce(0) { $0 + $1.targets.count { $0 >= 0 } }
    var mean: Float = 0
    for part in parts {
      let result = try network.losses(part)
      let share = Float(result.count) / Float(max(1, total))
      let loss = parts.count == 1 ? result.loss : try result.loss * share
      let found = try device.numbers(loss.value)[0]
      guard found.isFinite else {
        for parameter in network.parameters.parameters { parameter.variable.clearGradient() }
        throw TrainError.diverged(step: step + 1, loss: found)
      }
      mean += found
      try loss.backward()
    }
    return mean
  }

  private func shuffled(_ epoch: Int) -> [Int] {
    var generator = SeededNumbers(seed: recipe.seed &* 0x9E37_79B9 &+ UInt64(epoch) &+ 1)
    return Array(0..<data.train.count).shuffled(using: &generator)
  }

  /// Judges the network by the examples it was not trained on.
  public func evaluate() throws -> Evaluation {
    try network.evaluate(data.test, batch: recipe.evaluationBatch(of: data.test.count))
  }

  /// Writes everything into a file that appears only when it is complete.
  public func save(to path: String) throws {
    var tensors: [(name: String, tensor: Tensor)] = []
    for parameter in network.parameters.parameters {
      tensors.append((parameter.name, try device.executor.fetch(parameter.variable.value)))
    }
    for slot in optimizer.slots {
      tensors.append(("optimizer.mean.\(slot.parameter.name)", try device.executor.fetch(slot.mean.value)))
      tensors.append(
        ("optimizer.variance.\(slot.parameter.name)", try device.executor.fetch(slot.variance.value)))
    }
    try Checkpoint.write(
      tensors, step: step, seed: recipe.seed, recipe: recipe.source, model: recipe.model.json,
      tokenizer: recipe.task.tokenizer, to: path)
  }
}
