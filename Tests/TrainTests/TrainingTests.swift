import Formats
import Foundation
import Memory
import Models
import TestSupport
import Testing
import TilesCPU

@testable import Tensors
@testable import Train

/// A recipe as JSON with some members replaced; `null` removes one.
func recipe(_ changes: String = "{}", seed: UInt64? = nil) throws -> Recipe {
  let base = """
    {"task": {"recall": {"vocabulary": 10, "tokens": 12}}, "examples": {"train": 96, "test": 32},
     "model": {"mixer": "h3", "width": 16, "layers": 2, "feed_forward": 32, "embedding_dropout": 0},
     "optimizer": {"rate": 0.002, "decay": 0.1, "clip": 1.0},
     "schedule": {"cosine": {"warmup": 0.1, "floor": 0.1}}, "batch": 20, "epochs": 4, "evaluate": {"every": 1}}
    """
  guard case .object(let object) = try JSON.parse(base, file: "base"),
    case .object(let other) = try JSON.parse(changes, file: "changes")
  else { preconditionFailure("both are objects") }
  var members = object.members.filter { other[$0.key] == nil }
  members += other.members.filter { !$0.value.isNull }
  return try Recipe(.object(JSONObject(members)!), file: "recipe.yaml", seed: seed)
}

func cores() throws -> Device { Device(try CPUExecutor(threads: 2)) }

private func folder() throws -> String {
  let path = Scratch.path("train")
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  return path
}

@Suite struct TrainingTests {
  @Test(arguments: ["h3", "s4d", "attention", "hyena", "moving_average"])
  func resumedRunsAreTheSameBitForBit(mixer: String) throws {
    let recipe = try recipe(
      #"{"model": {"mixer": "\#(mixer)", "width": 16, "layers": 2, "feed_forward": 32, "positions": "learned"}}"#
    )
    let path = try folder() + "/checkpoint.safetensors"
    let whole = try Training(recipe, on: cores())
    var losses: [Float] = []
    while !whole.isDone { losses.append(try whole.advance().loss) }
    #expect(losses.count == 20 && losses.allSatisfy(\.isFinite))
    let first = try Training(recipe, on: cores())
    var found: [Float] = []
    for _ in 0..<7 { found.append(try first.advance().loss) }
    // What happens in between, such as an evaluation, does not count.
    _ = try first.evaluate()
    try first.save(to: path)
    let second = try Training(recipe, on: cores(), from: Checkpoint(path: path))
    while !second.isDone { found.append(try second.advance().loss) }
    #expect(found == losses)
    for (a, b) in zip(whole.network.parameters.parameters, second.network.parameters.parameters) {
      #expect(values(a.variable.value) == values(b.variable.value), "\(a.name)")
    }
    let (x, y) = (try whole.evaluate(), try second.evaluate())
    #expect(x.loss == y.loss && x.accuracy == y.accuracy && x.count == 32)
  }

  @Test func gradientsOfPartsAddUp() throws {
    let whole = try Training(recipe(#"{"batch": 20}"#), on: cores())
    let parts = try Training(recipe(#"{"batch": 20, "microbatch": 7}"#), on: cores())
    for _ in 0..<4 {
      // Without dropout, of which parts draw other numbers.
      #expect(abs(try whole.advance().loss - parts.advance().loss) < 1e-4)
    }
    #expect(throws: FormatError.self) { try recipe(#"{"batch": 20, "microbatch": 21}"#) }
  }

  @Test func mixedPrecisionLearns() throws {
    let changes = #"{"precision": "bfloat16", "recompute_blocks": true, "batch": 32, "deterministic": false}"#
    let recipe = try recipe(changes)
    let training = try Training(recipe, on: Device(CPUExecutor(threads: 2), factors: recipe.precision))
    let first = try training.advance().loss
    while !training.isDone { _ = try training.advance() }
    #expect(try training.evaluate().loss < Double(first) * 0.95)
  }

  /// The small recipe of Recipes/induction-small.yaml: a network that cannot compare tokens stays at one in four.
  @Test func inductionHeadsAreLearnt() throws {
    let recipe = try recipe(
      """
      {"task": {"induction": {"vocabulary": 6, "tokens": 12}}, "examples": {"train": 2000, "test": 200},
       "model": {"mixer": {"h3": {"states": 16}}, "width": 32, "layers": 2, "feed_forward": 64,
        "embedding_dropout": 0},
       "optimizer": {"rate": 0.003, "decay": 0.1}, "schedule": {"cosine": {"warmup": 0.05, "floor": 0.1}},
       "batch": 50, "epochs": 60}
      """)
    let training = try Training(recipe, on: cores())
    let before = try training.evaluate()
    #expect(before.accuracy < 0.5)
    var found = before
    while !training.isDone, found.accuracy < 0.99 || found.loss >= 0.3 {
      for _ in 0..<200 { _ = try training.advance() }
      found = try training.evaluate()
    }
    #expect(found.accuracy >= 0.99 && found.loss < 0.3, "\(found) after \(training.step) steps")
  }

  @Test func seedsDecideEverything() throws {
    let (a, b) = (try Training(recipe(), on: cores()), try Training(recipe(), on: cores()))
    let c = try Training(recipe(seed: 1), on: cores())
    let losses = try [a, b, c].map { training in try (0..<3).map { _ in try training.advance().loss } }
    #expect(losses[0] == losses[1] && losses[0] != losses[2])
  }

  @Test func examplesOfOneSeedServeOthers() throws {
    let shared = try recipe().examples()
    let (own, given) = (
      try Training(recipe(seed: 1), on: cores()), try Training(recipe(seed: 1), on: cores(), examples: shared)
    )
    #expect(try own.advance().loss == given.advance().loss && own.evaluate().loss == given.evaluate().loss)
  }

  /// Batches of 20 of 96 examples, the last of 16, and the like.
  @Test(arguments: [
    ("{}", 36), (#"{"batch": 32}"#, 32), (#"{"batch": 200, "microbatch": 7}"#, 96),
    (#"{"examples": {"train": 7, "test": 1000}, "batch": 2}"#, 3),
  ]) func fewExamplesHaveTheShapesOfAll(changes: String, train: Int) throws {
    let recipe = try recipe(changes)
    let (fewest, judged) = (recipe.fewestExamples, recipe.evaluationBatch(of: recipe.testCount))
    #expect(fewest.train == train && fewest.train % recipe.batch == recipe.trainCount % recipe.batch)
    #expect((judged..<2 * judged).contains(fewest.test) && fewest.test % judged == recipe.testCount % judged)
    #expect(recipe.evaluationBatch(of: fewest.test) == judged)
  }

  @Test func groupsThatTheNetworkLacksAreRefused() throws {
    let recipe = try recipe(#"{"optimizer": {"rate": 0.1, "groups": {"filter": {"rate": 0.2}}}}"#)
    #expect(message { _ = try Training(recipe, on: cores()) }.contains("no parameter of the group filter"))
  }

  @Test func aRunawayLossStopsBeforeItSpoilsAnything() throws {
    let training = try Training(recipe(#"{"optimizer": {"rate": 1e30}, "schedule": null}"#), on: cores())
    let found = message { while !training.isDone { _ = try training.advance() } }
    #expect(found.contains("the loss is") && found.contains("Lower the rate"))
  }

  @Test func checkpointsOfOtherRecipesAreRefused() throws {
    let path = try folder() + "/checkpoint.safetensors"
    try Training(recipe(), on: cores()).save(to: path)
    let checkpoint = try Checkpoint(path: path)
    let other = try recipe(#"{"batch": 10}"#)
    #expect(message { _ = try Training(other, on: cores(), from: checkpoint) }.contains("another batch"))
    let seeded = try recipe(seed: 3)
    #expect(message { _ = try Training(seeded, on: cores(), from: checkpoint) }.contains("another seed"))
    try Data([1, 2, 3]).write(to: URL(fileURLWithPath: path))
    #expect(throws: FormatError.self) { try Checkpoint(path: path) }
    try SafetensorsWriter.write([("x", Tensor(zeros: .float32, [1]))], to: path)
    #expect(message { _ = try Checkpoint(path: path) }.contains("godwit.recipe"))
  }

  @Test(arguments: [
    (#"{"model": {"mixer": "h3", "width": 2147483646, "layers": 2}}"#, "MiB. Make the network narrower"),
    (
      #"{"model": {"mixer": {"longconv": {"smoothing": "frequency"}}, "width": 16, "layers": 2, "longest": 60000}}"#,
      "frequency, of filters of 60000 taps"
    ),
  ])
  func networksThatNoMemoryHoldsAreRefused(changes: String, expected: String) throws {
    let recipe = try recipe(changes)
    let found = message { _ = try Training(recipe, on: cores()) }
    #expect(found.contains(expected), "\(found)")
  }

  @Test func ratesRiseFromNoHigherThanTheyGo() {
    var schedule = Schedule()
    schedule.warmup = 0.5
    #expect((0..<5).allSatisfy { schedule.rate(step: $0, of: 10, rate: 0, base: 1) == 0 })
    let low = (0..<10).map { schedule.rate(step: $0, of: 10, rate: 1e-7, base: 1) }
    #expect(low.allSatisfy { $0 == 1e-7 })
    #expect(schedule.rate(step: 0, of: 10, rate: 0.1, base: 0.1) == 1e-6)
  }

  @Test func aCheckpointIsJudgedAsTheRunItCameFrom() throws {
    let path = try folder() + "/checkpoint.safetensors"
    let training = try Training(recipe(), on: cores())
    _ = try training.advance()
    try training.save(to: path)
    let judge = try Judge(recipe(), Checkpoint(path: path), on: cores())
    #expect(try judge.evaluate().loss == training.evaluate().loss)
    #expect(try judge.evaluate(newExamples: 50).count == 50)
    // Whatever is asked for is counted before anything is drawn.
    let most = message { _ = try judge.evaluate(newExamples: .max) }
    #expect(most.contains("9223372036854775807 behind the recipe's 128 are more"), "\(most)")
    let many = message { _ = try judge.evaluate(newExamples: 1 << 50) }
    #expect(many.contains("the number of examples is 1125899906842752, it must be in 0…"), "\(many)")
  }

  /// New examples are drawn batch by batch: those that one draw of all gives.
  @Test(arguments: [
    #"{"recall": {"vocabulary": 10, "tokens": 12}}"#,
    #"{"listops": {"depth": 2, "arguments": [2, 3], "tokens": [4, 11]}}"#,
    #"{"pathfinder": {"size": 16, "contour": 3}}"#,
  ])
  func newExamplesComeInBatches(task: String) throws {
    let task = try TrainingTask(JSONNode(JSON.parse(task, file: "test"), file: "test"))
    let whole = try task.examples(train: 10, test: 12, seed: 3).test
    var draws = try #require(try task.draws(behind: 10, all: 22, seed: 3))
    for places in [0..<5, 5..<10, 10..<12] {
      let (found, expected) = (try draws.batch(of: places.count), try whole.examples(places, pass: 0))
      #expect(found.count == places.count && found.targets == expected.targets)
      #expect(found.lengths == expected.lengths)
      switch (found.input, expected.input) {
      case (.tokens(let a), .tokens(let b)): #expect(a == b)
      case (.numbers(let a), .numbers(let b)): #expect(a == b)
      default: Issue.record("\(found.input)")
      }
    }
  }

  /// New examples are what the seed draws behind those that a network has seen.
  @Test(arguments: [
    #"{"recall": {"vocabulary": 10, "tokens": 12}}"#, #"{"addition": {"digits": 2}}"#,
    #"{"listops": {"depth": 2, "arguments": [2, 3], "tokens": [4, 11]}}"#,
    #"{"pathfinder": {"size": 16, "contour": 3}}"#,
  ])
  func drawsAreTheSameAsFarAsTheyGo(task: String) throws {
    let task = try TrainingTask(JSONNode(JSON.parse(task, file: "test"), file: "test"))
    func rows(_ source: any ExampleSource, _ range: Range<Int>) throws -> [String] {
      try range.map { place in
        switch try source.examples(place..<place + 1, pass: 0).input {
        case .tokens(let tokens): "\(tokens)"
        case .numbers(let numbers): "\(numbers)"
        }
      }
    }
    let few = try task.examples(train: 12, test: 8, seed: 3)
    let more = try task.examples(train: 20, test: 10, seed: 3)
    #expect(try rows(more.train, 0..<20) == rows(few.train, 0..<12) + rows(few.test, 0..<8))
    #expect(try Set(rows(more.test, 0..<10)).isDisjoint(with: rows(more.train, 0..<20)))
  }

  @Test(arguments: [
    (#"{"task": {"recal": {}}}"#, "task: expected one of induction, recall"),
    (#"{"task": {"recall": {"vocabulary": 10, "tokens": 12, "color": 1}}}"#, "task.recall.color"),
    (#"{"epochs": 0}"#, "epochs: expected a positive integer, found 0"),
    (#"{"speed": 1}"#, "speed: expected one of task"),
    (#"{"optimizer": {"rate": -1}}"#, "optimizer.rate: expected a positive number"),
    (
      #"{"optimizer": {"rate": 1, "betas": [0.9, 1]}}"#,
      "optimizer.betas: expected two numbers from 0 to below 1"
    ),
    (#"{"optimizer": {"rate": 1, "clip": 1e39}}"#, "optimizer.clip: expected a number from"),
    (#"{"optimizer": {"rate": 1, "epsilon": 1e-50}}"#, "which float32 holds, found 1e-50"),
    (#"{"optimizer": {"rate": 1, "betas": [0.9, 0.99999999999]}}"#, "also in float32"),
    (#"{"schedule": {"constant": {"floor": 0.1}}}"#, "a constant rate has no end"),
    (
      #"{"model": {"mixer": {"hyena": {"window": false, "window_shift": 5}}, "width": 16, "layers": 2}}"#,
      "window_shift: expected 0 or no such key, since there is no window"
    ),
    (#"{"schedule": "steps"}"#, "schedule: expected one of constant, linear, cosine"),
    (#"{"model": {"mixer": "hyenna", "width": 16, "layers": 2}}"#, "model.mixer: expected one of h3"),
    (
      #"{"model": {"mixer": {"h3": {"head_width": 3}}, "width": 16, "layers": 2}}"#,
      "head_width that divides the width, 16"
    ),
    (
      #"{"model": {"mixer": "attention", "width": 16, "layers": 2, "heads": 3}}"#,
      "a divisor of the width, 16"
    ),
    (
      #"{"model": {"mixer": "h3", "width": 16, "layers": 2, "attention_layers": [2]}}"#, "attention_layers[0]"
    ),
    (
      #"{"model": {"mixer": "h3", "width": 16, "layers": 2, "longest": 4}}"#,
      "at least the data's 14"
    ),
    (
      #"{"model": {"mixer": "h3", "width": 16, "layers": 2, "heads": 2}}"#,
      "model.heads: expected no such key, since no layer has attention"
    ),
    (
      #"{"model": {"mixer": {"s4d": {"states": 5}}, "width": 16, "layers": 2}}"#,
      "model.mixer.s4d.states: expected an even number"
    ),
    (#"{"optimizer": {"rate": 1, "groups": {"kernel": {}}}}"#, "optimizer.groups.kernel"),
    (#"{"stop": {"accuracy": 2}}"#, "stop.accuracy: expected a number up to 1"),
    (#"{"model": null}"#, "model"),
  ])
  func badRecipesAreNamed(changes: String, expected: String) throws {
    let found = message { _ = try recipe(changes) }
    #expect(found.contains(expected), "\(found)")
  }

  @Test func ratesRiseAndFall() {
    var schedule = Schedule()
    #expect(schedule.rate(step: 7, of: 10, rate: 2, base: 2) == 2)
    (schedule.shape, schedule.warmup, schedule.floor) = (.linear, 0.1, 0)
    #expect(schedule.rate(step: 0, of: 100, rate: 1, base: 1) == 1e-6)
    #expect(schedule.rate(step: 10, of: 100, rate: 1, base: 1) == 1)
    #expect(abs(schedule.rate(step: 55, of: 100, rate: 1, base: 1) - 0.5) < 1e-12)
    #expect(schedule.rate(step: 100, of: 100, rate: 1, base: 1) == 0)
    (schedule.shape, schedule.floor) = (.cosine, 0.1)
    #expect(abs(schedule.rate(step: 50, of: 100, rate: 1, base: 1) - 0.55) < 1e-12)
    #expect(abs(schedule.rate(step: 100, of: 100, rate: 3, base: 1) - 0.1) < 1e-12)
  }
}
