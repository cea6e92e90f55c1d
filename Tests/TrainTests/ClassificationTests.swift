import Formats
import Foundation
import Memory
import Models
import TestSupport
import Testing

@testable import Tensors
@testable import Train

/// Networks that sort sequences into classes, trained by recipes.
@Suite struct ClassificationTests {
  private static let listOps = """
    {"task": {"listops": {"depth": 2, "arguments": [2, 3], "tokens": [4, 11]}},
     "examples": {"train": 300, "test": 100}, "batch": 30, "epochs": 12,
     "model": {"mixer": {"longconv": {"filters": 1, "tap_dropout": 0, "squash": 0}}, "width": 32, "layers": 2},
     "optimizer": {"rate": 0.004}}
    """

  private static let pathfinder = """
    {"task": {"pathfinder": {"size": 16, "contour": 3}}, "examples": {"train": 20, "test": 10}, "batch": 10,
     "epochs": 2, "model": {"mixer": "s4d", "width": 8, "layers": 2, "norm": "post", "dropout": 0.1}}
    """

  @Test func listsOfDigitsAreLearnt() throws {
    let recipe = try recipe(Self.listOps)
    guard case .classifier(let settings) = recipe.model else {
      Issue.record("no classifier")
      return
    }
    #expect(settings.classes == 10 && settings.input == .tokens(18) && settings.longest == 12)
    let training = try Training(recipe, on: cores())
    let before = try training.evaluate()
    while !training.isDone { _ = try training.advance() }
    let after = try training.evaluate()
    // Guessing the commonest digit is right in about one of five.
    #expect(after.count == 100 && before.accuracy < 0.3 && after.accuracy > 0.33)
    #expect(after.loss < before.loss)
  }

  @Test(arguments: [listOps, pathfinder]) func resumedRunsAreTheSameBitForBit(changes: String) throws {
    let recipe = try recipe(changes)
    let path = Scratch.path("classes.safetensors")
    let whole = try Training(recipe, on: cores())
    var losses: [Float] = []
    for _ in 0..<4 { losses.append(try whole.advance().loss) }
    let first = try Training(recipe, on: cores())
    var found = [try first.advance().loss, try first.advance().loss]
    try first.save(to: path)
    let checkpoint = try Checkpoint(path: path)
    let second = try Training(recipe, on: cores(), from: checkpoint)
    for _ in 0..<2 { found.append(try second.advance().loss) }
    #expect(found == losses)
    let judged = try Judge(recipe, Checkpoint(path: path), on: cores()).evaluate()
    #expect(judged.count == recipe.testCount && judged.loss.isFinite)
    #expect(try Judge(recipe, checkpoint, on: cores()).evaluate(newExamples: 7).count == 7)
  }

  @Test func paddingIsLeftOutOfThePool() throws {
    let recipe = try recipe(Self.listOps)
    let test = try recipe.task.examples(train: 2, test: 6, seed: 0).test
    let batch = try test.examples(0..<6, pass: 0)
    #expect(batch.lengths?.count == 6 && batch.targets.count == 6 && batch.tokens.count == 6 * 12)
    for (row, length) in (batch.lengths ?? []).enumerated() {
      #expect(batch.tokens[row * 12 + length - 1] == 2)
      #expect(batch.tokens[(row * 12 + length)..<(row + 1) * 12].allSatisfy { $0 == 0 })
    }
  }

  @Test(arguments: [
    #"{"task": {"listops": {"tokens": [9]}}}"#, #"{"task": {"listops": {"tokens": [9, 3]}}}"#,
    #"{"task": {"listops": {"tokens": [1, 9223372036854775807]}}}"#, #"{"batch": 9223372036854775807}"#,
    #"{"examples": {"train": 9223372036854775807, "test": 9223372036854775807}}"#,
    #"{"task": {"listops": {"depth": 0}}}"#, #"{"task": {"listops": {"width": 10, "tokens": [3, 10]}}}"#,
    #"{"task": {"listops": {"unknown": 1}}}"#, #"{"task": {"pathfinder": {"size": 4}}}"#,
    #"{"task": {"pathfinder": {"contour": 1}}}"#, #"{"recompute_blocks": true}"#,
    #"{"model": {"mixer": "h3", "width": 8, "layers": 1}}"#,
    #"{"model": {"mixer": "s4d", "width": 8, "layers": 1, "classes": 3}}"#,
  ]) func badSettingsAreRefused(changes: String) throws {
    guard case .object(let base) = try JSON.parse(Self.listOps, file: "base"),
      case .object(let other) = try JSON.parse(changes, file: "changes")
    else { return }
    let members = base.members.filter { other[$0.key] == nil } + other.members
    let text = try JSON.object(JSONObject(members)!).serialized()
    #expect(throws: (any Error).self) { try recipe(text) }
  }
}
