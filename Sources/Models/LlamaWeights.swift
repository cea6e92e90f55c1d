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
    public var feedForwardNorm: Tensor
    public var gate: Tensor
    public var up: Tensor
    public var down: Tensor
  }

  /// Finds every tensor through `find`, by its GGUF name, and checks its shape and type.
  init(
    _ c: LlamaConfiguration, find: (String) throws -> Tensor?
  ) throws {
    func matrix(_ name: String, _ outputs: Int, _ inputs: Int) throws -> Tensor {
      guard let tensor = try find(name) else {
        throw ModelError.misshapen(tensor: name, found: [], expected: [outputs, inputs])
      }
      guard tensor.shape == [outputs, inputs] else {
        throw ModelError.misshapen(tensor: name, found: tensor.shape, expected: [outputs, inputs])
      }
      guard Self.weightTypes.contains(tensor.type) else {
        throw ModelError.unsupportedType(tensor: name, type: tensor.type.rawValue)
      }
      return tensor
    }
    func vector(_ name: String, _ count: Int) throws -> Tensor? {
      guard let tensor = try find(name) else { return nil }
      guard tensor.shape == [count] else {
        throw ModelError.misshapen(tensor: name, found: tensor.shape, expected: [count])
      }
      return try tensor.asFloat32(name)
    }
    func required(_ name: String, _ count: Int) throws -> Tensor {
      guard let tensor = try vector(name, count) else {
        throw ModelError.misshapen(tensor: name, found: [], expected: [count])
      }
      return tensor
    }
    let (width, queries, keys) = (c.hiddenSize, c.headCount * c.headSize, c.kvHeadCount * c.headSize)
    embedding = try matrix("token_embd.weight", c.vocabularySize, width)
    finalNorm = try required("output_norm.weight", width)
    head = try find("output.weight") == nil ? embedding : try matrix("output.weight", c.vocabularySize, width)
    layers = try (0..<c.layers).map { number in
      func name(_ part: String) -> String { "blk.\(number).\(part)" }
      var layer = Layer(
        attentionNorm: try required(name("attn_norm.weight"), width),
        query: try matrix(name("attn_q.weight"), queries, width),
        key: try matrix(name("attn_k.weight"), keys, width),
        value: try matrix(name("attn_v.weight"), keys, width),
        output: try matrix(name("attn_output.weight"), width, queries),
        feedForwardNorm: try required(name("ffn_norm.weight"), width),
        gate: try matrix(name("ffn_gate.weight"), c.feedForwardSize, width),
        up: try matrix(name("ffn_up.weight"), c.feedForwardSize, width),
        down: try matrix(name("ffn_down.weight"), width, c.feedForwardSize))
      layer.queryBias = try vector(name("attn_q.bias"), queries)
      layer.keyBias = try vector(name("attn_k.bias"), keys)
      layer.valueBias = try vector(name("attn_v.bias"), keys)
      return layer
    }
  }

  /// Types that the linear layers read.
  static let weightTypes: Set<ElementType> = [
    .float32, .float16, .bfloat16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q4_K, .q5_K, .q6_K,
  ]

  /// Takes the weights of a GGUF file.
  public init(_ file: GGUF, _ configuration: LlamaConfiguration) throws {
    try self.init(configuration) { name in file.contains(name) ? try file.tensor(name) : nil }
  }
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
