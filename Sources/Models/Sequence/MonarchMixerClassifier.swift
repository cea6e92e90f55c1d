internal import Kernels
public import Tensors

/// M2-BERT that sorts whole sequences into classes.
public final class MonarchMixerClassifier {
  /// What a sequence's state is made of.
  public enum Pool: Sendable, Hashable {
    /// The first position's.
    case first
    /// The mean over positions that hold more than padding.
    case mean
  }

  /// What it was built with.
  public let settings: MonarchMixerSettings
  /// Its parameters.
  public let parameters: ParameterSet
  private let encoder: MonarchMixerEncoder
  private let pooler: AffineLayer
  private let head: AffineLayer?
  private let pool: Pool

  /// - Parameter classes: 0 for a network of states alone, as those for retrieval are.
  /// - Throws: ``ModelError`` where parameters are read and do not fit.
  public init(_ settings: MonarchMixerSettings, classes: Int, pool: Pool, _ parameters: ParameterSet) throws {
    self.settings = settings
    self.parameters = parameters
    self.pool = pool
    let (d, bert) = (settings.width, parameters.scope("bert"))
    encoder = try MonarchMixerEncoder(bert, settings: settings)
    pooler = try AffineLayer(bert.scope("pooler").scope("dense"), inputs: d, outputs: d)
    head = classes > 0 ? try AffineLayer(parameters.scope("classifier"), inputs: d, outputs: classes) : nil
  }

  /// States of whole sequences, `[batch, D]`.
  ///
  /// - Parameters:
  ///   - tokens: `[batch, L]`, filled up with padding.
  ///   - batch: sequences.
  public func pooled(_ tokens: [Int32], batch: Int) throws -> Variable {
    let states = try encoder(Feed(tokens), batch: batch)
    let pooled =
      switch pool {
      case .first:
        try states.sliced(axis: 1, 0..<1).reshaped([batch, settings.width])
      case .mean: try states.mean(where: tokens.map { $0 == settings.padding ? 0 : 1 })
      }
    return try pooler(pooled).map { $0.tanh }
  }

  /// Logits of each sequence's class, `[batch, classes]`.
  ///
  /// - Precondition: there are classes.
  public func logits(_ tokens: [Int32], batch: Int) throws -> Variable {
    guard let head else { preconditionFailure("a network without classes") }
    return try head(pooled(tokens, batch: batch).dropout(settings.dropout))
  }
}
