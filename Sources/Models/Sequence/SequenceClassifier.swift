internal import Kernels
public import Tensors

/// Sorts sequences of tokens or numbers into classes: blocks of any mixer, a state for the whole sequence, a linear layer.
///
/// The blocks of the Long Range Arena: residual, normalised before or behind, and with feed-forward layers or without. Of patches of pictures
/// the same blocks are ViT and M2-ViT (``PicturePatches``).
public final class SequenceClassifier {
  /// What it was built with.
  public let settings: ClassifierSettings
  /// Its parameters.
  public let parameters: ParameterSet
  private let encoder: Encoder
  private let positions: Variable?
  private let blocks: [Block]
  private let norm: Norm?
  private let decoder: AffineLayer

  /// What makes states of what stands at positions.
  private enum Encoder {
    case tokens(Variable)
    case numbers(AffineLayer)
  }

  private struct Block {
    let norm: Norm
    let mixer: any SequenceMixer
    let feedForward: (norm: Norm, layer: FeedForward)?
  }

  private enum Norm {
    case layer(NormLayer)
    case batch(BatchNormLayer)

    init(_ kind: ClassifierSettings.Normaliser, _ scope: ParameterScope, width: Int) throws {
      self =
        switch kind {
        case .layer: .layer(try NormLayer(scope, width: width))
        case .batch: .batch(try BatchNormLayer(scope, width: width))
        }
    }

    func callAsFunction(_ x: Variable) throws -> Variable {
      switch self {
      case .layer(let layer): try layer(x)
      case .batch(let layer): try layer(x)
      }
    }
  }

  /// - Throws: ``ModelError`` where parameters are read and do not fit.
  public init(_ settings: ClassifierSettings, _ parameters: ParameterSet) throws {
    self.settings = settings
    self.parameters = parameters
    let (d, root) = (settings.width, parameters.root)
    switch settings.input {
    case .tokens(let count):
      encoder = .tokens(try root.scope("encoder")("weight", [count, d], .normal(deviation: 1)))
    case .numbers(let channels):
      let count = channels * (settings.patches?.pixels ?? 1)
      let deviation = 1 / Float(count).squareRoot()
      encoder = .numbers(
        try AffineLayer(root.scope("encoder"), inputs: count, outputs: d, deviation: deviation))
    }
    positions =
      try settings.learnsPositions
      ? root.scope("positions")("weight", [settings.longest, d], .normal(deviation: 0.02)) : nil
    let deviation = 0.02 / Float(2 * settings.layers).squareRoot()
    let context = MixerContext(
      width: d, longest: settings.longest, heads: settings.heads, isCausal: settings.isCausal,
      deviation: deviation, attentionDropout: settings.attentionDropout, dropout: settings.dropout)
    blocks = try (0..<settings.layers).map { number in
      let scope = root.scope("layers").scope("\(number)")
      return Block(
        norm: try Norm(settings.normaliser, scope.scope("norm1"), width: d),
        mixer: try settings.mixer.make(scope.scope("mixer"), context),
        feedForward: try settings.feedForward == 0
          ? nil
          : (
            Norm(settings.normaliser, scope.scope("norm2"), width: d),
            settings.feedForwardKind.make(
              scope.scope("mlp"), width: d, inner: settings.feedForward, deviation: deviation)
          ))
    }
    norm = try settings.norm == .pre ? Norm(settings.normaliser, root.scope("norm"), width: d) : nil
    decoder = try AffineLayer(root.scope("decoder"), inputs: d, outputs: settings.classes)
  }

  /// Logits of each sequence's class, `[batch, classes]`, from sequences of tokens.
  ///
  /// - Parameters:
  ///   - tokens: `[batch, L]`, row by row.
  ///   - batch: sequences.
  ///   - lengths: of the sequences, at least 1 each, where they were filled up to L. The filling is mixed like anything else; the
  ///     pool leaves it out.
  public func logits(_ tokens: [Int32], batch: Int, lengths: [Int]? = nil) throws -> Variable {
    try logits(Feed(tokens), batch: batch, lengths: lengths.map(Feed.init))
  }

  /// The same of tokens and lengths that may be replaced.
  public func logits(_ tokens: Feed<Int32>, batch: Int, lengths: Feed<Int>?) throws -> Variable {
    guard case .tokens(let table) = encoder else {
      preconditionFailure("a classifier of numbers was given tokens")
    }
    let length = tokens.numbers.count / max(1, batch)
    return try logits(
      table.rows(tokens).reshaped([batch, length, settings.width]), lengths: lengths)
  }

  /// Logits of each sequence's class, `[batch, classes]`, from sequences of numbers.
  ///
  /// - Parameters:
  ///   - numbers: `[batch, L, channels]`, row by row; with patches, L pixels of whole patches.
  ///   - batch: sequences.
  ///   - lengths: as for tokens; none with patches.
  public func logits(_ numbers: [Float], batch: Int, lengths: [Int]? = nil) throws -> Variable {
    try logits(Feed(numbers), batch: batch, lengths: lengths.map(Feed.init))
  }

  /// The same of numbers and lengths that may be replaced.
  public func logits(_ numbers: Feed<Float>, batch: Int, lengths: Feed<Int>?) throws -> Variable {
    guard case .numbers(let layer) = encoder, case .numbers(let channels) = settings.input else {
      preconditionFailure("a classifier of tokens was given numbers")
    }
    let length = numbers.numbers.count / max(1, batch * channels)
    let input = try parameters.device.variable(of: numbers, [batch, length, channels])
    guard let patches = settings.patches else { return try logits(layer(input), lengths: lengths) }
    precondition(lengths == nil, "pictures are not filled up")
    return try logits(layer(patches(input)), lengths: nil)
  }

  /// - Parameter states: `[batch, L, D]`.
  private func logits(_ states: Variable, lengths: Feed<Int>?) throws -> Variable {
    let (batch, length) = (states.shape[0], states.shape[1])
    precondition((1...settings.longest).contains(length), "\(length) positions of \(settings.longest)")
    var x = states
    if let positions { x = try x + positions.sliced(axis: 0, 0..<length) }
    for block in blocks {
      x = try residual(x, block.norm) { try block.mixer($0) }
      if let (norm, layer) = block.feedForward { x = try residual(x, norm) { try layer($0) } }
    }
    if let norm { x = try norm(x) }
    let counted = lengths ?? Feed([Int](repeating: length, count: batch))
    let pool = settings.pool
    return try decoder(
      x.mean(of: counted) { counted in
        precondition(
          counted.count == batch && counted.allSatisfy { (1...length).contains($0) },
          "lengths \(counted) of \(batch) sequences of \(length)")
        return counted.flatMap { Self.mask($0, of: length, pool) }
      })
  }

  /// A block's function with a way around it.
  private func residual(
    _ x: Variable, _ norm: Norm, _ body: (Variable) throws -> Variable
  ) throws -> Variable {
    switch settings.norm {
    case .pre: try x.adding(body(norm(x)), dropping: settings.dropout)
    case .post: try norm(x.adding(body(x), dropping: settings.dropout))
    }
  }

  /// 1 at the positions that the pool takes of a sequence.
  private static func mask(_ count: Int, of length: Int, _ pool: ClassifierSettings.Pool) -> [Float] {
    let taken =
      switch pool {
      case .mean: 0..<count
      case .first: 0..<1
      case .last: count - 1..<count
      }
    return (0..<length).map { taken.contains($0) ? 1 : 0 }
  }
}
