public import Formats
public import Memory

/// Weights of a network of the Llama family, in place in the file they come from; matrices are `[out, in]`.
public struct LlamaWeights: Sendable {
  /// Row of each token `[vocabulary, hidden]`.
  public var embedding: Tensor
  /// Weights of each block.
  public var layers: [Layer]
  /// Weight of the last normalisation.
  public var finalNorm: Tensor
  /// The embedding again where the file ties them.
  public var head: Tensor

  /// Weights held in memory.
  public init(embedding: Tensor, layers: [Layer], finalNorm: Tensor, head: Tensor) {
    self.embedding = embedding
    self.layers = layers
    self.finalNorm = finalNorm
    self.head = head
  }

  /// Weights of one block.
  public struct Layer: Sendable {
    /// A block without biases.
    public init(
      attentionNorm: Tensor, query: Tensor, key: Tensor, value: Tensor, output: Tensor,
      feedForwardNorm: Tensor,
      gate: Tensor, up: Tensor, down: Tensor
    ) {
      self.attentionNorm = attentionNorm
      self.query = query
      self.key = key
      self.value = value
      self.output = output
      self.feedForwardNorm = feedForwardNorm
      self.gate = gate
      self.up = up
      self.down = down
    }

    public var attentionNorm: Tensor
    public var query: Tensor
    public var key: Tensor
    public var value: Tensor
    public var queryBias: Tensor?
    public var keyBias: Tensor?
    public var valueBias: Tensor?
    public var output: Tensor
    public var outputBias: Tensor?
    public var feedForwardNorm: Tensor
    public var gate: Tensor
    public var up: Tensor
    public var down: Tensor
  }

  /// Takes every tensor, by its GGUF name, and checks its shape and type.
  ///
  /// - Parameter isTied: whether the embedding is the head; `nil` if it is wherever there is no other.
  init(_ c: LlamaConfiguration, _ reader: inout WeightReader, isTied: Bool?) throws {
    let (width, queries, keys) = (c.hiddenSize, c.headCount * c.headSize, c.kvHeadCount * c.headSize)
    embedding = try reader.matrix("token_embd.weight", c.vocabularySize, width)
    finalNorm = try reader.vector("output_norm.weight", width)
    let isTied = isTied ?? !reader.contains("output.weight")
    head = isTied ? embedding : try reader.matrix("output.weight", c.vocabularySize, width)
    layers = []
    for number in 0..<c.layers {
      func name(_ part: String) -> String { "blk.\(number).\(part)" }
      var layer = Layer(
        attentionNorm: try reader.vector(name("attn_norm.weight"), width),
        query: try reader.matrix(name("attn_q.weight"), queries, width),
        key: try reader.matrix(name("attn_k.weight"), keys, width),
        value: try reader.matrix(name("attn_v.weight"), keys, width),
        output: try reader.matrix(name("attn_output.weight"), width, queries),
        feedForwardNorm: try reader.vector(name("ffn_norm.weight"), width),
        gate: try reader.matrix(name("ffn_gate.weight"), c.feedForwardSize, width),
        up: try reader.matrix(name("ffn_up.weight"), c.feedForwardSize, width),
        down: try reader.matrix(name("ffn_down.weight"), width, c.feedForwardSize))
      func bias(_ part: String, _ count: Int, _ presence: LlamaConfiguration.Presence) throws -> Tensor? {
        switch presence {
        case .required: try reader.vector(name(part), count)
        case .optional: try reader.vectorIfPresent(name(part), count)
        case .absent: nil
        }
      }
      layer.queryBias = try bias("attn_q.bias", queries, c.inputBias)
      layer.keyBias = try bias("attn_k.bias", keys, c.inputBias)
      layer.valueBias = try bias("attn_v.bias", keys, c.inputBias)
      layer.outputBias = try bias("attn_output.bias", width, c.outputBias)
      layers.append(layer)
    }
  }

  /// Types that the linear layers read.
  static let weightTypes: Set<ElementType> = [
    .float32, .float16, .bfloat16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q4_K, .q5_K, .q6_K,
  ]

  /// Takes the weights of a GGUF file.
  ///
  /// - Throws: ``ModelError`` naming the first tensor that is missing, misshapen, of a type no kernel reads, or left
  ///   over.
  public init(_ file: GGUF, _ configuration: LlamaConfiguration) throws {
    var reader = WeightReader(file)
    try self.init(configuration, &reader, isTied: nil)
    try reader.finish { $0 == "rope_freqs.weight" }
  }

  /// Takes the weights of a Hugging Face folder.
  ///
  /// - Throws: as ``init(_:_:)-(GGUF,_)``.
  public init(_ file: Safetensors, _ configuration: LlamaConfiguration, isTied: Bool) throws {
    var reader = WeightReader(file, rename: Self.huggingFaceName)
    try self.init(configuration, &reader, isTied: isTied)
    // Old files carry the angles, which follow from the settings, and tied ones may carry the head again.
    try reader.finish { $0.hasSuffix(".rotary_emb.inv_freq") || isTied && $0 == "lm_head.weight" }
  }

  /// The name in a Hugging Face folder of what GGUF calls `name`.
  private static func huggingFaceName(_ name: String) -> String {
    let parts = name.split(separator: ".")
    guard let kind = parts.last, parts.count >= 2 else { return name }
    let stem = String(parts[parts.count - 2])
    guard let known = huggingFaceStems[stem] else { return name }
    return parts.count == 4 ? "model.layers.\(parts[1]).\(known).\(kind)" : "\(known).\(kind)"
  }

  private static let huggingFaceStems = [
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
  ]
}

extension Tensor {
  /// A small tensor's numbers as float32; itself where it is that already.
  func asFloat32(_ name: String) throws -> Tensor {
    if type == .float32 { return self }
    guard type == .float16 || type == .bfloat16, isDense else {
      throw ModelError.unsupportedType(tensor: name, type: type.rawValue)
    }
    let result = try Tensor(zeros: .float32, shape)
    withElements(as: UInt16.self) { source in
      result.withMutableElements(as: Float.self) { target in
        for index in source.indices {
          target[index] =
            type == .float16 ? float16(source[index]) : Float(BFloat16(bitPattern: source[index]))
        }
      }
    }
    return result
  }
}
