public import Formats
public import Memory

/// Weights of a GPT-2 network, in place in the file they come from.
///
/// The files hold projections as `[in, out]`; these are transposed views, `[out, in]`, of the same bytes.
public struct GPT2Weights: Sendable {
  /// A matrix `[out, in]` with its bias.
  public struct Projection: Sendable {
    public var weight: Tensor
    public var bias: Tensor
  }

  /// Scale and shift of a normalisation.
  public struct Norm: Sendable {
    public var weight: Tensor
    public var bias: Tensor
  }

  /// Weights of one block.
  public struct Layer: Sendable {
    public var attentionNorm: Norm
    public var query: Projection
    public var key: Projection
    public var value: Projection
    public var output: Projection
    public var feedForwardNorm: Norm
    public var up: Projection
    public var down: Projection
  }

  /// Row of each token `[vocabulary, hidden]`.
  public var embedding: Tensor
  /// Row of each position `[context, hidden]`.
  public var positions: Tensor
  /// Weights of each block.
  public var layers: [Layer]
  /// The last normalisation.
  public var finalNorm: Norm
  /// The embedding again where the settings tie them.
  public var head: Tensor

  /// Takes the weights of a Hugging Face folder, with or without the prefix `transformer.`.
  ///
  /// - Throws: ``ModelError`` naming the first tensor that is missing, misshapen, of a type no kernel reads, or left
  ///   over.
  public init(_ file: Safetensors, _ c: GPT2Configuration) throws {
    let prefix = file.contains("transformer.wte.weight") ? "transformer." : ""
    var reader = WeightReader(file) { $0 == "lm_head.weight" ? $0 : prefix + $0 }
    let width = c.hiddenSize
    embedding = try reader.matrix("wte.weight", c.vocabularySize, width)
    positions = try reader.matrix("wpe.weight", c.contextLength, width)
    head = c.isTied ? embedding : try reader.matrix("lm_head.weight", c.vocabularySize, width)
    finalNorm = try Self.norm("ln_f", width, &reader)
    layers = []
    for number in 0..<c.layers {
      let name = "h.\(number)."
      let joint = try Self.projection(name + "attn.c_attn", width, 3 * width, &reader)
      func third(_ index: Int) -> Projection {
        let part = index * width..<(index + 1) * width
        return Projection(
          weight: joint.weight.sliced(axis: 0, part), bias: joint.bias.sliced(axis: 0, part))
      }
      layers.append(
        Layer(
          attentionNorm: try Self.norm(name + "ln_1", width, &reader), query: third(0), key: third(1),
          value: third(2), output: try Self.projection(name + "attn.c_proj", width, width, &reader),
          feedForwardNorm: try Self.norm(name + "ln_2", width, &reader),
          up: try Self.projection(name + "mlp.c_fc", width, c.feedForwardSize, &reader),
          down: try Self.projection(name + "mlp.c_proj", c.feedForwardSize, width, &reader)))
    }
    // Files of old carry the causal mask as tensors.
    try reader.finish {
      $0.hasSuffix(".attn.bias") || $0.hasSuffix(".attn.masked_bias") || c.isTied && $0 == "lm_head.weight"
    }
  }

  private static func norm(_ name: String, _ width: Int, _ reader: inout WeightReader) throws -> Norm {
    Norm(
      weight: try reader.vector(name + ".weight", width), bias: try reader.vector(name + ".bias", width))
  }

  private static func projection(
    _ name: String, _ inputs: Int, _ outputs: Int, _ reader: inout WeightReader
  ) throws -> Projection {
    let stored = try reader.matrix(name + ".weight", inputs, outputs)
    return Projection(weight: stored.permuted([1, 0]), bias: try reader.vector(name + ".bias", outputs))
  }
}
