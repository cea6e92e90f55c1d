public import Tensors

/// What mixes the positions of sequences: `[B, L, D]` → `[B, L, D]`.
public protocol SequenceMixer {
  /// Mixed sequences.
  func callAsFunction(_ u: Variable) throws -> Variable
}
