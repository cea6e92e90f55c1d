import Kernels
import Models
import TestSupport
import Testing
import TilesCPU

@testable import Tensors
@testable import Train

/// Steps that a device starts as one, against the same steps operation by operation.
@Suite struct ReplayTests {
  private func device(_ recipe: Recipe) throws -> (Device, DeviceExecutor) {
    let executor = DeviceExecutor(try CPUExecutor(threads: 2))
    return (Device(executor, factors: recipe.precision), executor)
  }

  /// Losses, norms and parameters, bit for bit, over epochs whose last batch is smaller.
  @Test(arguments: [
    "{}", #"{"microbatch": 7}"#, #"{"recompute_blocks": true, "precision": "bfloat16"}"#,
    // Dropout draws other numbers every step; frequent tokens are added up in pieces.
    #"{"model": {"mixer": "hyena", "width": 16, "layers": 2, "embedding_dropout": 0.2, "residual_dropout": 0.1}, "batch": 45}"#,
    #"{"model": {"mixer": "attention", "width": 16, "layers": 2, "positions": "learned"}}"#,
    #"{"model": {"mixer": "monarch_mixer", "width": 16, "layers": 2}}"#,
    #"{"optimizer": {"rate": 0.002}, "model": {"mixer": "s4d", "width": 16, "layers": 2}}"#,
    """
    {"task": {"listops": {"depth": 3, "arguments": [2, 4], "tokens": [4, 31]}}, "examples": {"train": 50, "test": 10}, "batch": 10,
     "model": {"mixer": {"longconv": {"tap_dropout": 0.1}}, "normaliser": "batch", "width": 16, "layers": 2, "dropout": 0.1}}
    """,
  ])
  func stepsStartedAsOneAreTheSame(changes: String) throws {
    let recipe = try recipe(changes)
    let (device, executor) = try device(recipe)
    let replayed = try Training(recipe, on: device)
    let apart = try Training(recipe, on: self.device(recipe).0)
    apart.startsStepsAsOne = false
    let count = min(recipe.steps, 12)
    var found: [Training.StepResult] = []
    // Steps that follow each other without waiting, and what happens in between, which takes nothing away.
    for last in [1, 7, count] {
      try replayed.advance(through: last) { found.append($0) }
      #expect(replayed.step == last)
      while apart.step < last {
        let (a, b) = (found[apart.step], try apart.advance())
        #expect(a.loss == b.loss && a.norm == b.norm && a.step == b.step, "step \(b.step)")
      }
      #expect(try replayed.evaluate().loss == apart.evaluate().loss)
    }
    #expect(replayed.isReplayed && !apart.isReplayed)
    // All but the first two steps and the last of each epoch.
    #expect(executor.replays >= count / 2 - 1, "\(executor.replays) of \(count)")
    for (a, b) in zip(replayed.network.parameters.parameters, apart.network.parameters.parameters) {
      #expect(try device.numbers(a.variable.value) == apart.numbers(of: b), "\(a.name)")
    }
  }

  @Test func whatDiffersOutsideFeedsIsNotReplayed() throws {
    let (device, executor) = try device(recipe())
    let replay = Replay(on: device)
    for step in 0..<8 {
      let found = try replay.run { try [device.constant([Float(step)], [1]).map { $0 * 2 }.value] }
      #expect(try device.numbers(found[0]) == [Float(2 * step)])
    }
    #expect(!replay.isRecorded)
    let other = Replay(on: device)
    for step in 0..<8 {
      // A kernel of its own for each number.
      let found = try other.run { try [device.constant([1], [1]).map { $0 + Float(step + 1) }.value] }
      #expect(try device.numbers(found[0]) == [Float(step + 2)])
    }
    #expect(!other.isRecorded && executor.replays > 0)
    let feed = Feed<Float>([0])
    let third = Replay(on: device)
    for step in 0..<8 {
      feed.numbers = [Float(step)]
      let found = try third.run { try [device.variable(of: feed, [1]).map { $0 * 2 }.value] }
      #expect(try device.numbers(found[0]) == [Float(2 * step)])
    }
    #expect(third.isRecorded)
  }

  @Test func aStepThatIsNoNumberChangesNothing() throws {
    let recipe = try recipe(#"{"schedule": null}"#)
    let (device, _) = try device(recipe)
    let training = try Training(recipe, on: device)
    for _ in 0..<4 { _ = try training.advance() }
    let parameters = training.network.parameters.parameters
    let norm = try #require(parameters.first { $0.name.hasSuffix("ln_f.weight") })
    var numbers = try device.numbers(norm.variable.value)
    numbers[3] = .nan
    try norm.variable.assign(numbers)
    let before = try parameters.map { try device.numbers($0.variable.value) }
    // Steps that are started before somebody looks change nothing either.
    #expect(
      message { try training.advance(through: 8) { _ in } }.contains("step 5: the loss is not a number"))
    let after = try parameters.map { try device.numbers($0.variable.value) }
    #expect(zip(before.joined(), after.joined()).allSatisfy { $0 == $1 || $0.isNaN && $1.isNaN })
    #expect(training.step == 4)
  }
}

extension Training {
  fileprivate func numbers(of parameter: Parameter) throws -> [Float] {
    try network.parameters.device.numbers(parameter.variable.value)
  }
}
