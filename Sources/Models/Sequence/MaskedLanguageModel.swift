internal import Kernels
public import Tensors

/// M2-BERT that learns to fill in masked tokens.
///
/// Parameters are named as in the published checkpoints.
public final class MaskedLanguageModel {
  /// What it was built with.
  public let settings: MonarchMixerSettings
  /// Its parameters.
  public let parameters: ParameterSet
  let encoder: MonarchMixerEncoder
  private let dense: AffineLayer
  private let norm: NormLayer
  private let bias: Variable

  /// - Throws: ``ModelError`` where parameters are read and do not fit.
  public init(_ settings: MonarchMixerSettings, _ parameters: ParameterSet) throws {
    self.settings = settings
    self.parameters = parameters
    encoder = try MonarchMixerEncoder(parameters.scope("bert"), settings: settings)
    let predictions = parameters.scope("cls").scope("predictions")
    let transform = predictions.scope("transform")
    let d = settings.width
    dense = try AffineLayer(transform.scope("dense"), inputs: d, outputs: d)
    norm = try NormLayer(transform.scope("LayerNorm"), width: d, epsilon: 1e-12)
    bias = try predictions.scope("decoder")("bias", [settings.vocabularySize], .constant(0))
  }

  /// Logits of the token at every position, `[batch, L, vocabulary]`.
  ///
  /// - Parameters:
  ///   - tokens: `[batch, L]`, row by row, some of them masked.
  ///   - batch: sequences.
  public func logits(_ tokens: [Int32], batch: Int) throws -> Variable {
    try logits(Feed(tokens), batch: batch)
  }

  /// The same of tokens that may be replaced.
  public func logits(_ tokens: Feed<Int32>, batch: Int) throws -> Variable {
    let states = try norm(dense(encoder(tokens, batch: batch)).activated(.gelu))
    return try states.product(encoder.embedding, transposesOther: true, bias: bias)
  }

  /// States behind the encoder's last layer, `[batch, L, D]`, of those before the first: the network between embedding and head.
  public func layers(_ states: Variable) throws -> Variable { try encoder.layers(states) }

  /// Mean cross entropy of the tokens that were masked.
  ///
  /// - Parameters:
  ///   - tokens: `[batch, L]`, some of them masked.
  ///   - targets: what stood there; at the other positions the padding token or a negative number.
  ///   - batch: sequences.
  public func loss(_ tokens: [Int32], targets: [Int32], batch: Int) throws -> CrossEntropyResult {
    try logits(tokens, batch: batch).crossEntropy(targets.map { $0 == settings.padding ? -100 : $0 })
  }
}
