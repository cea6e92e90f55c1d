import Formats
import Glibc
import TestSupport
import Testing

@testable import Train

@Suite struct PicturesTests {
  /// A file with that content, and what is done with it.
  private func reading<Result>(_ text: String, _ body: (String) throws -> Result) throws -> Result {
    let path = "/tmp/godwit-pictures-\(UInt64.random(in: 0 ... .max)).jsonl"
    let file = fopen(path, "w")
    fputs(text, file)
    fclose(file)
    defer { unlink(path) }
    return try body(path)
  }

  @Test func numbersAreScaledAndDrawnOnce() throws {
    let text = (0..<10).map { #"{"values": [\#($0), 0, 16, \#($0)], "label": \#($0 % 3)}"# + "\n" }.joined()
    try reading(text) { path in
      let pictures = try Pictures(path: path, channels: 2)
      #expect(
        pictures.count == 10 && pictures.length == 2 && pictures.classes == 3 && pictures.channels == 2)
      let (train, test) = try pictures.examples(train: 7, test: 3, seed: 1)
      #expect(train.count == 7 && test.count == 3)
      var seen: Set<Float> = []
      for (source, count) in [(train, 7), (test, 3)] {
        let batch = source.examples(0..<count, pass: 0)
        guard case .numbers(let numbers) = batch.input else {
          Issue.record("pictures are numbers")
          return
        }
        for place in 0..<count {
          let picture = Array(numbers[place * 4..<place * 4 + 4])
          #expect(picture[1] == -1 && picture[2] == 1 && picture[0] == picture[3])
          let value = (picture[0] + 1) * 8
          #expect(batch.targets[place] == Int32(value) % 3, "labels stay with their pictures")
          seen.insert(value)
        }
      }
      #expect(seen.count == 10, "no picture is in both")
      let again = try pictures.examples(train: 7, test: 3, seed: 1)
      #expect(again.train.labels == train.labels)
    }
  }

  @Test func recipesAskForNoMoreThanThereAre() throws {
    let line = #"{"values": [1, 2], "label": 0}"# + "\n"
    try reading(String(repeating: line, count: 30)) { path in
      func counts(_ examples: String) throws -> [Int] {
        let recipe = try recipe(
          #"{"task": {"pictures": {"file": "\#(path)"}}, "examples": \#(examples), "model": {"mixer": "s4d", "width": 8, "layers": 1}}"#
        )
        return [recipe.trainCount, recipe.testCount]
      }
      let found = try counts(#"{"test": 10}"#)
      #expect(found == [20, 10])
      #expect(message { _ = try counts("{}") }.contains("it has 30 pictures, and 500 are to judge"))
    }
  }

  @Test(arguments: [
    ("", "empty"), ("\n \n", "no pictures"),
    (#"{"values": [1, 2], "label": 0}"# + "\n" + #"{"values": [1], "label": 0}"#, "line 2"),
    (#"{"values": [], "label": 0}"#, "line 1"), (#"{"values": [1], "label": -1}"#, "label"),
    (#"{"values": [1], "label": 65536}"#, "label"), (#"{"values": [1e300], "label": 1}"#, "float32"),
    (#"{"values": [1], "label": 1, "more": 2}"#, "more"), (#"{"values": ["a"], "label": 1}"#, "values"),
    (#"{"values": [1]}"#, "label"), ("nonsense", "line 1"),
  ]) func brokenFilesSayWhatIsWrong(text: String, word: String) throws {
    try reading(text) { path in
      do {
        _ = try Pictures(path: path, channels: 1)
        Issue.record("\(text) was read")
      } catch { #expect("\(error)".contains(word), "\(error)") }
    }
  }

  @Test func moreThanThereAreAndOddChannelsAreRefused() throws {
    try reading(#"{"values": [1, 2, 3], "label": 1}"#) { path in
      #expect(throws: FormatError.self) { try Pictures(path: path, channels: 2) }
      let pictures = try Pictures(path: path, channels: 3)
      #expect(pictures.classes == 2)
      #expect(throws: TrainError.self) { try pictures.examples(train: 1, test: 1, seed: 0) }
      #expect(throws: TrainError.self) { try pictures.examples(train: .max, test: 1, seed: 0) }
    }
    #expect(throws: (any Error).self) { try Pictures(path: "/nowhere/digits.jsonl", channels: 1) }
  }
}
