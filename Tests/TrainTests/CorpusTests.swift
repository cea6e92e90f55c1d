import Foundation
import Memory
import Models
import TestSupport
import Testing

@testable import Formats
@testable import Tensors
@testable import Train

extension ExampleBatch {
  /// What stands at positions, where that is tokens.
  var tokens: [Int32] { if case .tokens(let tokens) = input { tokens } else { [] } }
}

@Suite struct CorpusTests {
  private func path() throws -> String {
    Scratch.path("corpus.safetensors")
  }

  private func text(_ count: Int, below limit: Int) -> [Int32] {
    var generator = SeededGenerator(seed: 1)
    // Each token says what the next is, mostly.
    var last: Int32 = 1
    return (0..<count).map { _ in
      last = Bool.random(using: &generator) ? (last * 5 + 1) % Int32(limit) : last
      return last
    }
  }

  @Test(arguments: [7, 256, 257, 40_000]) func tokensSurviveTheFile(vocabulary: Int) throws {
    let path = try path()
    let train = (0..<1000).map { Int32($0 * 37 % vocabulary) }
    try Corpus.write(
      train: train, test: [0, Int32(vocabulary - 1)], vocabularySize: vocabulary, tokenizer: "bytes", to: path
    )
    let corpus = try Corpus(path: path)
    #expect(try corpus.train[0..<1000] == train)
    #expect(try corpus.test[0..<2] == [0, Int32(vocabulary - 1)])
    #expect(corpus.vocabularySize == vocabulary && corpus.tokenizer == "bytes")
  }

  @Test func windowsFollowEachOther() throws {
    let path = try path()
    try Corpus.write(
      train: (0..<23).map { Int32($0) }, test: [1, 2, 3], vocabularySize: 30, tokenizer: "bytes", to: path)
    let windows = try TextWindows(Corpus(path: path).train, length: 5)
    #expect(windows.count == 4)
    let found = try windows.examples([0, 3], pass: 0)
    #expect(found.tokens == [0, 1, 2, 3, 4, 15, 16, 17, 18, 19])
    #expect(found.targets == [1, 2, 3, 4, 5, 16, 17, 18, 19, 20])
    // Fewer are spread over the text.
    #expect(
      try TextWindows(Corpus(path: path).train, length: 5, most: 2).examples([1], pass: 0).tokens.first == 10)
    #expect(try TextWindows(Corpus(path: path).test, length: 5).count == 0)
  }

  @Test func brokenFilesAreRefused() throws {
    let path = try path()
    try SafetensorsWriter.write([("train", Tensor(zeros: .uint8, [9]))], to: path)
    #expect(throws: TrainError.self) { try Corpus(path: path) }
    // A number that is no token.
    let numbers = try Tensor(zeros: .uint8, [9])
    numbers.withMutableElements(as: UInt8.self) { $0[4] = 200 }
    try SafetensorsWriter.write(
      [("train", numbers), ("test", numbers)],
      metadata: ["godwit.corpus.vocabulary": "100", "godwit.tokenizer": "bytes"], to: path)
    let corpus = try Corpus(path: path)
    #expect(try corpus.train[0..<4] == [0, 0, 0, 0])
    #expect(throws: TrainError.self) { try corpus.train[0..<5] }
    // A vocabulary that no number of a token reaches.
    try SafetensorsWriter.write(
      [("train", numbers), ("test", numbers)],
      metadata: ["godwit.corpus.vocabulary": "\(Int.max)", "godwit.tokenizer": "bytes"], to: path)
    #expect(throws: TrainError.self) { try Corpus(path: path) }
    // Two axes, and floats.
    for tensor in [try Tensor(zeros: .uint8, [3, 3]), try Tensor(zeros: .float32, [9])] {
      try SafetensorsWriter.write(
        [("train", tensor), ("test", tensor)],
        metadata: ["godwit.corpus.vocabulary": "100", "godwit.tokenizer": "bytes"], to: path)
      #expect(throws: TrainError.self) { try Corpus(path: path) }
    }
  }

  @Test func languageModelsLearnAndResume() throws {
    let (path, file) = (try path(), try path())
    try Corpus.write(
      train: text(4000, below: 12), test: text(500, below: 12), vocabularySize: 12, tokenizer: "bytes",
      to: path)
    let changes = """
      {"task": {"corpus": {"file": "\(path)", "length": 32}}, "examples": {"test": 8}, "epochs": null, "steps": 24,
       "evaluate": {"steps": 8}, "batch": 8}
      """
    let recipe = try recipe(changes)
    #expect(recipe.trainCount == 124 && recipe.stepsPerEpoch == 16 && recipe.steps == 24)
    #expect(recipe.evaluationInterval == 8)
    let whole = try Training(recipe, on: cores())
    let before = try whole.evaluate()
    #expect(before.count == 8 * 32)
    var losses: [Float] = []
    while !whole.isDone { losses.append(try whole.advance().loss) }
    #expect(try whole.evaluate().loss < before.loss - 0.3)
    let first = try Training(recipe, on: cores())
    var found: [Float] = []
    for _ in 0..<17 { found.append(try first.advance().loss) }
    try first.save(to: file)
    let checkpoint = try Checkpoint(path: file)
    #expect(checkpoint.tokenizer == "bytes")
    let second = try Training(recipe, on: cores(), from: checkpoint)
    while !second.isDone { found.append(try second.advance().loss) }
    #expect(found == losses)
    // What is exported judges nearly as well, and cannot be resumed.
    try checkpoint.export(to: path + ".out")
    let exported = try Checkpoint(path: path + ".out")
    let judge = try Judge(recipe, exported, on: cores())
    let kept = try Judge(recipe, checkpoint, on: cores())
    #expect(abs(try judge.evaluate().loss - kept.evaluate().loss) < 0.01)
    #expect(throws: TrainError.self) { try Training(recipe, on: cores(), from: exported) }
    #expect(throws: TrainError.self) { try judge.evaluate(newExamples: 5) }
    // A text that is another since.
    try Corpus.write(
      train: text(4000, below: 12).reversed(), test: text(500, below: 12), vocabularySize: 12,
      tokenizer: "bytes",
      to: path)
    let other = try Recipe(recipe.source, file: "test")
    #expect(message { _ = try Judge(other, checkpoint, on: cores()) }.contains("is not as it was"))
    #expect(message { _ = try Training(other, on: cores(), from: checkpoint) }.contains("is not as it was"))
  }

  @Test func recipesOfCorporaAreChecked() throws {
    let path = try path()
    try Corpus.write(
      train: text(400, below: 12), test: text(50, below: 12), vocabularySize: 12, tokenizer: "bytes", to: path
    )
    func task(_ length: Int, _ more: String) throws -> Recipe {
      try recipe(#"{"task": {"corpus": {"file": "\#(path)", "length": \#(length)}}, \#(more)}"#)
    }
    #expect(throws: TrainError.self) { try task(64, #""epochs": 1"#) }
    #expect(throws: FormatError.self) { try task(.max, #""epochs": 1"#) }
    #expect(throws: FormatError.self) { try task(16, #""epochs": 1, "steps": 2, "examples": {"test": 2}"#) }
    #expect(throws: FormatError.self) { try task(16, #""examples": {"seed": 2}"#) }
    #expect(throws: FormatError.self) { try task(16, #""examples": {"train": 25}"#) }
    #expect(throws: FormatError.self) { try task(16, #""examples": {"train": 5, "test": 4}"#) }
    #expect(throws: FormatError.self) {
      try task(16, #""examples": {"train": 5}, "evaluate": {"steps": 2, "every": 3}"#)
    }
    #expect(try task(16, #""examples": {"train": 24, "test": 1}"#).steps == 8)
  }
}

/// Texts some of whose tokens are masked.
@Suite struct MaskedTests {
  private func corpus() throws -> (path: String, corpus: Corpus) {
    let path = Scratch.path("masked.safetensors")
    // Every token is told by its neighbours.
    let text = (0..<4100).map { Int32($0 % 8) }
    try Corpus.write(
      train: text, test: Array(text.prefix(500)), vocabularySize: 8, tokenizer: "bytes", to: path)
    return (path, try Corpus(path: path))
  }

  @Test func aShareIsAskedForAndMostOfItMasked() throws {
    let (_, corpus) = try corpus()
    let windows = MaskedWindows(
      windows: TextWindows(corpus.train, length: 64), share: 0.2, vocabularySize: 8)
    let batch = try windows.examples(0..<60, pass: 1)
    let asked = batch.targets.indices.filter { batch.targets[$0] >= 0 }
    #expect((0.15...0.25).contains(Double(asked.count) / Double(60 * 64)))
    let masked = asked.count { batch.tokens[$0] == 8 }
    #expect((0.7...0.9).contains(Double(masked) / Double(asked.count)))
    for place in batch.targets.indices {
      #expect(batch.targets[place] == (asked.contains(place) ? Int32(place % 8) : -100))
      if batch.targets[place] < 0 { #expect(batch.tokens[place] == Int32(place % 8)) }
    }
    // Masks of one window tell nothing of the next one's.
    func row(_ place: Int) throws -> [Bool] {
      try windows.examples([place], pass: 1).targets.map { $0 >= 0 }
    }
    for place in 0..<20 {
      let (one, next) = (try row(place), try row(place + 1))
      for shift in 0..<4 { #expect(Array(one.dropFirst(shift)) != Array(next.prefix(64 - shift))) }
    }
    // The same again in this pass, others in the next, and always one at least.
    #expect(try windows.examples(0..<60, pass: 1).tokens == batch.tokens)
    #expect(try windows.examples(0..<60, pass: 2).tokens != batch.tokens)
    let few = MaskedWindows(windows: TextWindows(corpus.train, length: 5), share: 0.001, vocabularySize: 8)
    let rare = try few.examples(0..<50, pass: 0)
    for row in 0..<50 { #expect(rare.targets[row * 5..<row * 5 + 5].contains { $0 >= 0 }) }
  }

  @Test func masksAreFilledIn() throws {
    let path = try corpus().path
    let recipe = try recipe(
      """
      {"task": {"masked": {"file": "\(path)", "length": 32, "share": 0.2}}, "examples": {"test": 15}, "batch": 16,
       "model": {"width": 32, "layers": 2, "feed_forward": 64, "filter_width": 16, "dropout": 0},
       "optimizer": {"rate": 0.004}, "epochs": 10}
      """)
    guard case .masked(let settings) = recipe.model else {
      Issue.record("no network for masks")
      return
    }
    #expect(settings.vocabularySize == 9 && settings.longest == 32)
    let training = try Training(recipe, on: cores())
    let before = try training.evaluate()
    while !training.isDone { _ = try training.advance() }
    let after = try training.evaluate()
    #expect(before.accuracy < 0.4 && after.accuracy > 0.8)
    let file = path + ".checkpoint"
    try training.save(to: file)
    let judge = try Judge(recipe, Checkpoint(path: file), on: cores())
    #expect(try judge.evaluate().loss == after.loss)
  }

  @Test(arguments: [#""share": 0"#, #""share": 1.5"#, #""unknown": 1"#]) func badSharesAreRefused(key: String)
    throws
  {
    let path = try corpus().path
    #expect(throws: (any Error).self) {
      try recipe(#"{"task": {"masked": {"file": "\#(path)", "length": 32, \#(key)}}}"#)
    }
  }
}
