internal import Engine
internal import Formats
internal import Tokenizers

/// Log-probabilities of generated tokens in the shapes of OpenAI's interfaces.
struct LogProbabilities {
  /// Which shape is wanted.
  enum Shape: Hashable {
    /// `content`: an object a token, as chat completions have it.
    case chat
    /// `tokens`, `token_logprobs`, `top_logprobs`, `text_offset`: parallel arrays, as completions have it.
    case completion
  }

  /// Most alternatives that may be asked for.
  static let maximumAlternatives = 20

  let tokenizer: Tokenizer
  let shape: Shape

  /// The choices of one answer, in order.
  func json(_ choices: [Sampling.Choice]) -> JSON {
    switch shape {
    case .chat: ["content": .array(choices.map(entry))]
    case .completion: completion(choices)
    }
  }

  private func entry(_ choice: Sampling.Choice) -> JSON {
    var members = members(choice.token, choice.logProbability)
    let alternatives = choice.alternatives.map {
      JSON.object(JSONObject(self.members($0.token, $0.logProbability)) ?? JSONObject())
    }
    members.append(JSONObject.Member(key: "top_logprobs", value: .array(alternatives)))
    return .object(JSONObject(members) ?? JSONObject())
  }

  private func members(_ token: Int32, _ logProbability: Double) -> [JSONObject.Member] {
    let bytes = tokenizer.bytes(of: token, showsControl: true)
    return [
      JSONObject.Member(key: "token", value: .string(text(token))),
      JSONObject.Member(key: "logprob", value: number(logProbability)),
      JSONObject.Member(key: "bytes", value: .array(bytes.map { .integer(Int($0)) })),
    ]
  }

  private func completion(_ choices: [Sampling.Choice]) -> JSON {
    let offsets = tokenizer.textOffsets(of: choices.map(\.token))
    return [
      "tokens": .array(choices.map { .string(text($0.token)) }),
      "token_logprobs": .array(choices.map { number($0.logProbability) }),
      "top_logprobs": .array(choices.map(alternatives)), "text_offset": .array(offsets.map { .integer($0) }),
    ]
  }

  /// Alternatives by their text; of tokens with one text the likeliest, which comes first.
  private func alternatives(_ choice: Sampling.Choice) -> JSON {
    var members: [JSONObject.Member] = []
    for alternative in choice.alternatives {
      let text = text(alternative.token)
      guard !members.contains(where: { $0.key == text }) else { continue }
      members.append(JSONObject.Member(key: text, value: number(alternative.logProbability)))
    }
    return .object(JSONObject(members) ?? JSONObject())
  }

  private func text(_ token: Int32) -> String { tokenizer.decode([token], showsControl: true) }

  /// JSON has no infinity: a token that cannot come is given the logarithm OpenAI uses for it.
  private func number(_ value: Double) -> JSON { .number(max(value, -9999)) }
}
