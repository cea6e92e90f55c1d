internal import Memory
internal import Models
internal import Tensors

/// What a device does for one step: losses and gradients of all parts of a batch, and a move of the parameters.
///
/// All that differs between steps of batches of one shape is in feeds, so that a GPU starts the second and later ones as one.
final class StepWork {
  /// Shapes of the parts.
  let shape: [ExampleFeed.Shape]
  private let network: TrainedNetwork
  private let optimizer: Optimizer
  private let parts: [ExampleFeed]
  /// What each part's loss counts for in the batch's.
  private let shares: Feed<Float>
  private let replay: Replay

  /// - Parameters:
  ///   - parts: the first batch, in the parts whose gradients are added up.
  init(_ parts: [ExampleBatch], _ network: TrainedNetwork, _ optimizer: Optimizer) {
    self.network = network
    self.optimizer = optimizer
    self.parts = parts.map(ExampleFeed.init)
    shape = parts.map(\.shape)
    shares = Feed(Self.shares(parts))
    replay = Replay(on: network.parameters.device)
  }

  private static func shares(_ parts: [ExampleBatch]) -> [Float] {
    let counts = parts.map { CrossEntropyResult.count(of: $0.targets) }
    let total = max(1, counts.reduce(0, +))
    return counts.map { Float($0) / Float(total) }
  }

  /// Whether the work is started as one.
  var isReplayed: Bool { replay.isRecorded }
  /// Whether the next time is the one that is recorded.
  var isAboutToRecord: Bool { replay.isAboutToRecord }
  /// Why it is not started as one.
  var obstacle: String? { replay.obstacle }

  /// Does the work for a batch of the same shape.
  ///
  /// - Parameter replays: whether it may be noted and started as one; otherwise it is done operation by operation.
  /// - Returns: a call that waits for the batch's loss and the norm of its gradients.
  func run(_ batch: [ExampleBatch], replays: Bool) throws -> () throws -> (loss: Float, norm: Float) {
    replace(batch)
    let device = network.parameters.device
    do {
      let found = try replays ? replay.run(work)[0] : work()[0]
      let numbers = try device.numbersLater(found)
      return {
        let numbers = try numbers()
        return (numbers[0], numbers[1])
      }
    } catch {
      for parameter in network.parameters.parameters { parameter.variable.clearGradient() }
      throw error
    }
  }

  private func replace(_ batch: [ExampleBatch]) {
    for (part, examples) in zip(parts, batch) { part.replace(examples) }
    shares.numbers = Self.shares(batch)
  }

  /// Sends the next batch, of the same shape, on its way to a device that is at work.
  func prepare(_ batch: [ExampleBatch]) throws {
    replace(batch)
    try replay.prepare()
  }

  /// Loss and norm of gradients, `[2]`.
  private func work() throws -> [Tensor] {
    var mean: Variable?
    for (number, part) in parts.enumerated() {
      var loss = try network.losses(part).loss
      if parts.count > 1 {
        let device = network.parameters.device
        loss = try loss * device.variable(of: shares, [1]) { [$0[number]] }
      }
      try loss.backward()
      mean = try mean.map { try $0 + loss.detached } ?? loss.detached
    }
    guard let mean else { preconditionFailure("a batch of nothing") }
    let norm = try optimizer.move(loss: mean)
    return [try Variable.joined([mean, norm], axis: 0).value]
  }
}
