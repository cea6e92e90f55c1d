import Formats
import Memory
import Models
import TestSupport
import Testing
import TilesCPU

/// `json` with one member replaced, or taken out for `nil`.
private func changed(_ json: JSON, _ key: String, to value: JSON?) throws -> JSON {
  var members = try #require(json.object).members.filter { $0.key != key }
  if let value { members.append(JSONObject.Member(key: key, value: value)) }
  return .object(try #require(JSONObject(members)))
}

/// A setting, a value that must be refused, and what the message says.
private struct BrokenSetting: Sendable, CustomTestStringConvertible {
  let key: String
  let value: JSON
  let message: String

  init(_ key: String, _ value: JSON, _ message: String) {
    (self.key, self.value, self.message) = (key, value, message)
  }

  var testDescription: String { "\(key) = \(value.summary)" }
}

@Suite struct ConfigurationTests {
  private static let sizes: [BrokenSetting] = [
    BrokenSetting("num_hidden_layers", 0, "num_hidden_layers"),
    BrokenSetting("num_hidden_layers", 2000, "layer count is 2000; allowed is 1 to 1024"),
    BrokenSetting("num_attention_heads", 0, "num_attention_heads"),
    BrokenSetting("num_attention_heads", 5, "head count is 5; allowed is a divisor of the hidden size, 64"),
    BrokenSetting("num_key_value_heads", 3, "a multiple of the 3 key-value heads"),
    BrokenSetting("num_key_value_heads", 8, "key-value head count is 8; allowed is 1 to 4"),
    BrokenSetting("hidden_size", .null, "hidden_size"),
    BrokenSetting("hidden_size", "64", "hidden_size"),
    BrokenSetting("hidden_size", -64, "hidden_size"),
    BrokenSetting("hidden_size", 9_000_000_000_000_000_000, "hidden_size"),
    BrokenSetting("vocab_size", 0, "vocab_size"),
    BrokenSetting("head_dim", 4096, "head size is 4096; allowed is 2 to 1024"),
    BrokenSetting("head_dim", 15, "rotary size is 15"),
    BrokenSetting("intermediate_size", 0, "intermediate_size"),
    BrokenSetting("max_position_embeddings", 0, "max_position_embeddings"),
  ]

  private static let constants: [BrokenSetting] = [
    BrokenSetting("rms_norm_eps", 0, "rms_norm_eps"),
    BrokenSetting("rms_norm_eps", 2, "norm epsilon is 2.0"),
    BrokenSetting("rope_theta", 1, "rotary base is 1.0"),
    BrokenSetting("rope_theta", -5, "rope_theta"),
    BrokenSetting("partial_rotary_factor", 1.5, "partial_rotary_factor is 1.5"),
    BrokenSetting("hidden_act", "gelu", "hidden_act gelu is not supported"),
    BrokenSetting("mlp_bias", true, "mlp_bias"),
    BrokenSetting("residual_multiplier", 0.22, "residual_multiplier"),
    BrokenSetting("quantization_config", ["bits": 4], "quantization_config"),
    BrokenSetting(
      "model_type", "mamba", "architecture mamba is not known. Known are: gpt2, llama, mistral, qwen2."),
  ]

  private static let scalings: [BrokenSetting] = [
    BrokenSetting(
      "rope_scaling", ["type": "longrope", "factor": 2], "rope scaling longrope is not supported"),
    BrokenSetting("rope_scaling", ["type": "linear"], "rope_scaling.factor"),
    BrokenSetting("rope_scaling", ["type": "linear", "factor": 0], "rope_scaling.factor"),
    BrokenSetting("rope_scaling", ["type": "yarn", "factor": 0.5], "rope scaling factor is 0.5"),
    BrokenSetting("rope_scaling", ["type": "yarn", "factor": 2, "mscale": 1], "rope_scaling.mscale"),
    BrokenSetting(
      "rope_scaling", ["rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4],
      "high frequency factor is 4.0; allowed is above the low one, 4.0"),
  ]

  @Test(arguments: [sizes, constants, scalings])
  private func brokenLlamaSettingsAreNamed(settings: [BrokenSetting]) throws {
    let network = try #require(try GoldenNetwork.read("tiny-llama.json")["tied"])
    for setting in settings {
      let config = try changed(network.config, setting.key, to: setting.value)
      let text = message { _ = try LlamaConfiguration(JSONNode(config, file: "config.json")) }
      #expect(text.contains(setting.message), "\(text)")
    }
  }

  /// Rows of the embedding say how many tokens there are.
  @Test(arguments: [[], [8], [2, 2, 2]] as [[UInt64]]) func embeddingsAreMatrices(shape: [UInt64]) throws {
    let file = GGUFBytes(
      [
        "general.architecture": .text("llama"), "llama.block_count": .integer(1),
        "llama.embedding_length": .integer(32), "llama.attention.head_count": .integer(2),
        "llama.feed_forward_length": .integer(64), "llama.context_length": .integer(128),
        "llama.attention.layer_norm_rms_epsilon": .number(1e-5),
      ], [.init("token_embd.weight", shape, type: 24)])
    let gguf = try GGUF(HeapStorage(copying: file.bytes.span), name: "f")
    let text = message { _ = try LlamaConfiguration(gguf) }
    #expect(text == "the shape of token_embd.weight is \(shape); allowed is [tokens, 32].")
  }

  private static let gpt2: [BrokenSetting] = [
    BrokenSetting("n_head", 5, "n_head is 5"), BrokenSetting("n_head", 0, "n_head"),
    BrokenSetting("n_layer", 0, "n_layer"), BrokenSetting("n_embd", 1_000_000, "n_embd"),
    BrokenSetting("vocab_size", 0, "vocab_size"),
    BrokenSetting("activation_function", "mish", "activation_function mish is not supported"),
    BrokenSetting("scale_attn_by_inverse_layer_idx", true, "scale_attn_by_inverse_layer_idx"),
    BrokenSetting("layer_norm_epsilon", 3, "layer_norm_epsilon is 3.0"),
  ]

  @Test(arguments: gpt2)
  private func brokenGPT2SettingsAreNamed(setting: BrokenSetting) throws {
    let network = try #require(try GoldenNetwork.read("tiny-gpt2.json")["tied"])
    let config = try changed(network.config, setting.key, to: setting.value)
    let text = message { _ = try GPT2Configuration(JSONNode(config, file: "config.json")) }
    #expect(text.contains(setting.message), "\(text)")
  }

  @Test func slidingWindows() throws {
    let mistral = try #require(try GoldenNetwork.read("tiny-llama.json")["mistral"]).config
    func window(_ changes: [(String, JSON)]) throws -> Int? {
      let config = try changes.reduce(mistral) { try changed($0, $1.0, to: $1.1) }
      return try LlamaConfiguration(JSONNode(config, file: "config.json")).slidingWindow
    }
    #expect(try window([]) == 9)
    #expect(try window([("sliding_window", .null)]) == nil)
    let qwen2: (String, JSON) = ("model_type", "qwen2")
    #expect(try window([qwen2]) == nil)
    #expect(try window([qwen2, ("use_sliding_window", true)]) == nil)
    #expect(try window([qwen2, ("use_sliding_window", true), ("max_window_layers", 0)]) == 9)
    let mixed = message {
      _ = try window([qwen2, ("use_sliding_window", true), ("max_window_layers", 1)])
    }
    #expect(mixed.contains("a sliding window in 1 of 2 layers is not supported"), "\(mixed)")
  }

  @Test func unknownArchitectureListsTheKnown() throws {
    let network = try #require(try GoldenNetwork.read("tiny-llama.json")["tied"])
    let text = message {
      _ = try network.withFolder(config: try changed(network.config, "model_type", to: "rwkv")) {
        try Catalog.load($0, executor: CPUExecutor(threads: 1))
      }
    }
    #expect(text == "architecture rwkv is not known. Known are: gpt2, llama, mistral, qwen2.")
  }
}

@Suite struct WeightTests {
  private func load(
    _ file: String, _ variant: String, _ change: (inout [(name: String, tensor: Tensor)]) throws -> Void
  ) throws -> String {
    let network = try #require(try GoldenNetwork.read(file)[variant])
    return message {
      _ = try network.withFolder(tensors: change) { try Catalog.load($0, executor: CPUExecutor(threads: 1)) }
    }
  }

  @Test(arguments: [
    ("tiny-llama.json", "untied", "lm_head.weight", "[97, 64]"),
    ("tiny-llama.json", "qwen2", "model.layers.1.self_attn.k_proj.bias", "[32]"),
    ("tiny-llama.json", "attention-bias", "model.layers.0.self_attn.o_proj.bias", "[64]"),
    ("tiny-gpt2.json", "tied", "h.1.mlp.c_fc.weight", "[64, 256]"),
  ])
  func missingTensorIsNamed(file: String, variant: String, name: String, shape: String) throws {
    let text = try load(file, variant) { $0.removeAll { $0.name == name } }
    #expect(text == "there is no tensor \(name); the configuration asks for one of shape \(shape).")
  }

  @Test func misshapenTensorIsNamed() throws {
    let name = "model.layers.0.mlp.down_proj.weight"
    let text = try load("tiny-llama.json", "tied") { tensors in
      let index = try #require(tensors.firstIndex { $0.name == name })
      tensors[index].tensor = try Tensor(zeros: .float32, [96, 64])
    }
    #expect(text == "tensor \(name) has shape [96, 64], the configuration asks for [64, 96].")
  }

  @Test func typesNoKernelReadsAreRefused() throws {
    let name = "model.layers.0.mlp.up_proj.weight"
    let text = try load("tiny-llama.json", "tied") { tensors in
      let index = try #require(tensors.firstIndex { $0.name == name })
      tensors[index].tensor = try Tensor(zeros: .int8, [96, 64])
    }
    #expect(text.contains("tensor \(name) is of type int8, which no kernel reads"), "\(text)")
  }

  /// A network with a part that nobody computes would run and be wrong.
  @Test(arguments: [
    ("tiny-llama.json", "model.layers.0.self_attn.q_norm.weight"),
    ("tiny-llama.json", "model.layers.0.self_attn.q_proj.bias"), ("tiny-gpt2.json", "h.0.attn.gate.weight"),
  ])
  func leftOverTensorIsRefused(file: String, name: String) throws {
    let text = try load(file, "tied") { $0.append((name, try Tensor(zeros: .float32, [16]))) }
    #expect(text.contains("1 tensors such as \(name) have no place in this architecture"), "\(text)")
  }

  /// Masks, angles and the second copy of a tied head follow from the rest.
  @Test(arguments: [
    ("tiny-llama.json", "model.layers.0.self_attn.rotary_emb.inv_freq"),
    ("tiny-llama.json", "lm_head.weight"), ("tiny-gpt2.json", "h.0.attn.bias"),
    ("tiny-gpt2.json", "lm_head.weight"),
  ])
  func inertTensorsAreLeft(file: String, name: String) throws {
    let network = try #require(try GoldenNetwork.read(file)["tied"])
    _ = try network.withFolder(tensors: { $0.append((name, try Tensor(zeros: .float32, [8]))) }) {
      try Catalog.load($0, executor: CPUExecutor(threads: 1))
    }
  }

  @Test func gpt2PositionsEndWithTheTable() throws {
    let network = try #require(try GoldenNetwork.read("tiny-gpt2.json")["tied"])
    let model = try network.load(config: network.config)
    #expect(model.contextLength == 128)
    let text = message {
      var batch = ForwardBatch()
      batch.tokens = [1]
      batch.positions = [128]
      _ = try model.forward(batch, cache: PagedCache(model.cacheGeometry, pages: 1, executor: model.executor))
    }
    #expect(text == "position is 128; allowed is 0 to 127.")
  }
}
