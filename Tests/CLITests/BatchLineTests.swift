import Formats
import TestSupport
import Testing
import Tokenizers

@testable import CLI
@testable import Engine

@Suite struct BatchLineTests {
  private func probabilities(_ line: String) throws -> (shape: LogProbabilities.Shape, count: Int)? {
    try BatchCommand.probabilities(JSONNode(JSON.parse(line, file: "in.jsonl"), file: "in.jsonl"))
  }

  @Test func theShapeFollowsFromTheKeys() throws {
    #expect(try probabilities("{}") == nil)
    #expect(try probabilities(#"{"logprobs": false}"#) == nil)
    for (line, shape, count) in [
      (#"{"logprobs": true}"#, LogProbabilities.Shape.chat, 0),
      (#"{"logprobs": true, "top_logprobs": 5}"#, .chat, 5), (#"{"logprobs": 2}"#, .completion, 2),
    ] {
      let found = try #require(try probabilities(line))
      #expect(found.shape == shape && found.count == count, "\(line)")
    }
  }

  /// A number says how many alternatives there are, and false that there are none.
  @Test(arguments: [
    (#"{"logprobs": 2, "top_logprobs": 5}"#, "top_logprobs: expected no such key beside logprobs: 2"),
    (#"{"logprobs": false, "top_logprobs": 5}"#, "top_logprobs: expected no such key beside logprobs: false"),
    (#"{"top_logprobs": 5}"#, "logprobs: true (for top_logprobs) is missing"),
    (#"{"logprobs": true, "top_logprobs": 21}"#, "an integer from 0 to 20"),
    (#"{"logprobs": "yes"}"#, "an integer from 0 to 20"),
  ])
  func keysThatContradictAreRefused(line: String, complaint: String) {
    let found = message { _ = try probabilities(line) }
    #expect(found.contains(complaint), "\(found)")
  }

  /// A character of two tokens counts once, as in the text.
  @Test func offsetsAreThoseOfTheText() {
    let choices = Array("xéy€z".utf8).map { Sampling.Choice(token: Int32($0), logProbability: -1) }
    let found = LogProbabilities(tokenizer: .bytes, shape: .completion).json(choices)
    #expect(found["text_offset"] == [0, 1, 1, 2, 3, 3, 3, 4])
  }
}
