public import Formats
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
  private let data: RecipeExamples
  private let dataMark: String?
  private var order: (epoch: Int, places: [Int]) = (-1, [])
  private var next: (step: Int, parts: [ExampleBatch])?
  private var work: StepWork?
  private var failure: String?
  /// Whether a step's kernels are started as one where the device can; they then keep memory to themselves. Results are the same.
  public var startsStepsAsOne = true {
    didSet { if !startsStepsAsOne { work = nil } }
  }

  /// What one step found.
  public struct StepResult: Sendable {
    /// Its number, from 1.
    public let step: Int
    /// Mean loss of the batch before the step, in nats.
    public let loss: Float
    /// Norm of all gradients together, before they are clipped.
    public let norm: Float
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
  /// - Parameters:
  ///   - examples: those of a recipe that differs in its seed at most; drawn or read now where `nil`.
  ///   - isMeasured: whether steps are only timed: parameters are drawn on the device then, which takes no time, and differ
  ///     from what the seed gives otherwise.
  /// - Throws: ``TrainError`` for a checkpoint of another recipe, what is wrong with data or memory.
  public init(
    _ recipe: Recipe, on device: Device, from checkpoint: Checkpoint? = nil, examples: RecipeExamples? = nil,
    isMeasured: Bool = false
  ) throws {
    self.recipe = recipe
    self.device = device
    device.isDeterministic = recipe.isDeterministic
    try checkpoint?.require(recipe)
    dataMark = try recipe.task.dataMark()
    data = try examples ?? recipe.examples()
    let source: ParameterSet.Source =
      checkpoint.map { checkpoint in .read { try checkpoint.numbers($0, $1) } }
      ?? (isMeasured ? .drawnOnDevice(seed: recipe.seed) : .drawn(seed: recipe.seed))
    network = try TrainedNetwork(
      recipe.model, ParameterSet(source, on: device), recomputesBlocks: recipe.recomputesBlocks)
    optimizer = try Optimizer(recipe.optimizer, network.parameters)
    if let checkpoint { try resume(checkpoint) }
  }

  private func resume(_ checkpoint: Checkpoint) throws {
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
  /// - Throws: as ``advance(through:_:)``.
  public func advance() throws -> StepResult {
    var result: StepResult?
    try advance(through: step + 1) { result = $0 }
    guard let result else { preconditionFailure("a step after the last") }
    return result
  }

  /// Steps up to one, of which a GPU is given the next before the last has ended.
  ///
  /// - Parameters:
  ///   - last: the step after which it ends; nothing is under way then.
  ///   - report: is told what each step found.
  /// - Throws: ``TrainError/diverged(step:loss:)`` or ``TrainError/gradients(step:loss:norm:)``; parameters are as they were
  ///   before that step, and no later step moves them; what batch normalisation measures has seen it.
  public func advance(through last: Int, _ report: (StepResult) throws -> Void) throws {
    precondition(last <= recipe.steps, "step \(last) of \(recipe.steps)")
    var started = step
    var pending: (() throws -> (loss: Float, norm: Float))?
    while started < last {
      let found = try start(started)
      started += 1
      if let pending { try report(finish(pending)) }
      pending = found
      if waitsForEachStep {
        pending = nil
        try report(finish(found))
      }
    }
    if let pending { try report(finish(pending)) }
  }

  /// Whether there is nothing to be won by more: on cores a step is done when it was started, and one that is noted for a record must
  /// find memory as the next one will.
  private var waitsForEachStep: Bool {
    device.executor.sharesHostMemory || startsStepsAsOne && !isReplayed && obstacle == nil
  }

  /// Starts a step, and sends the examples of the next on their way.
  private func start(_ number: Int) throws -> () throws -> (loss: Float, norm: Float) {
    let batch = try parts(of: number)
    begin(number)
    let found = try run(batch, number)
    // What is wrong with the data is said when it is their turn.
    if number + 1 < recipe.steps, let parts = try? parts(of: number + 1) {
      next = (number + 1, parts)
      if let work, work.isReplayed, work.shape == parts.map(\.shape) {
        begin(number + 1)
        try work.prepare(parts)
      }
    }
    return found
  }

  /// Waits for the step after those that are done.
  private func finish(_ found: () throws -> (loss: Float, norm: Float)) throws -> StepResult {
    let (loss, norm) = try found()
    guard loss.isFinite, norm.isFinite else {
      // The next step may be under way, and the examples of the one after it.
      work = nil
      throw loss.isFinite
        ? TrainError.gradients(step: step + 1, loss: loss, norm: norm)
        : TrainError.diverged(step: step + 1, loss: loss)
    }
    step += 1
    return StepResult(step: step, loss: loss, norm: norm, rate: rate(recipe.optimizer.rate, at: step - 1))
  }

  /// Sets what differs from step to step beside the examples.
  private func begin(_ step: Int) {
    device.begin(step: step, seed: recipe.seed)
    optimizer.prepare(step: step) { rate($0, at: step) }
  }

  private func rate(_ own: Double, at step: Int) -> Double {
    recipe.schedule.rate(step: step, of: recipe.steps, rate: own, base: recipe.optimizer.rate)
  }

  /// Whether steps are started as one now.
  public var isReplayed: Bool { work?.isReplayed ?? false }
  /// Why they are not.
  public var obstacle: String? { failure ?? work?.obstacle }

  private func run(_ batch: [ExampleBatch], _ number: Int) throws -> () throws -> (loss: Float, norm: Float) {
    let shape = batch.map(\.shape)
    // The last batch of an epoch may be smaller; memory for a record of its own would not pay.
    let isWhole = batch.reduce(0) { $0 + $1.count } == min(recipe.batch, data.train.count)
    let replays = startsStepsAsOne && isWhole
    if replays, work?.shape != shape { work = StepWork(batch, network, optimizer) }
    guard replays, let work else {
      return try withoutRecord(number) { try StepWork(batch, network, optimizer).run(batch, replays: false) }
    }
    let records = work.isAboutToRecord
    do { return try work.run(batch, replays: true) } catch  where records {
      // What cannot be recorded is done operation by operation.
      failure = "\(error)"
      (self.work, startsStepsAsOne) = (nil, false)
      begin(number)
      return try StepWork(batch, network, optimizer).run(batch, replays: false)
    }
  }

  /// What `body` gives; where there is no memory for it, once more without what is kept for steps that start as one.
  private func withoutRecord<Result>(_ number: Int, _ body: () throws -> Result) throws -> Result {
    do { return try body() } catch  where work?.isReplayed == true {
      failure = "there was no memory for it: \(error)"
      (work, startsStepsAsOne) = (nil, false)
      begin(number)
      return try body()
    }
  }

  /// A step's examples, in the parts whose gradients are added up.
  private func parts(of step: Int) throws -> [ExampleBatch] {
    if let next, next.step == step { return next.parts }
    let (epoch, place) = step.quotientAndRemainder(dividingBy: recipe.stepsPerEpoch)
    if order.epoch != epoch { order = (epoch, shuffled(epoch)) }
    let first = place * recipe.batch
    let examples = Array(order.places[first..<min(first + recipe.batch, order.places.count)])
    return try stride(from: 0, to: examples.count, by: recipe.microbatch).map { start in
      try data.train.examples(
        examples[start..<min(start + recipe.microbatch, examples.count)], pass: epoch + 1)
    }
  }

  private func shuffled(_ epoch: Int) -> [Int] {
    var generator = SeededNumbers(seed: recipe.seed &* 0x9E37_79B9 &+ UInt64(epoch) &+ 1)
    return Array(0..<data.train.count).shuffled(using: &generator)
  }

  /// Judges the network by the examples it was not trained on.
  ///
  /// - Parameter report: is told after each batch how many of them are done.
  public func evaluate(_ report: (_ done: Int, _ all: Int) -> Void = { _, _ in }) throws -> Evaluation {
    try withoutRecord(step) {
      try network.evaluate(data.test, batch: recipe.evaluationBatch(of: data.test.count), report)
    }
  }

  /// What it trains, without what that has learned: the recipe, the model's settings, the seed, and how many parameters there are.
  public var outline: JSON {
    [
      "recipe": recipe.source, "model": recipe.model.json, "seed": .integer(Int(clamping: recipe.seed)),
      "parameters": .integer(network.parameters.count),
    ]
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
      tokenizer: recipe.task.tokenizer, dataMark: dataMark, to: path)
  }
}
