public import Memory
public import Tiles

/// The kernels of ``PrefixDecoding`` in order, with the memory they share.
///
/// Not thread-safe: one call at a time.
public final class SharedPrefixStep {
  private let prefix: any CompiledKernel
  private let combination: (any CompiledKernel)?
  private let suffix: any CompiledKernel
  private let splitKeys: Int
  /// States of the splits, and joined.
  private let parts: (values: Tensor, tops: Tensor)
  private let whole: (values: Tensor, tops: Tensor)

  /// - Parameters:
  ///   - scale: that of the scores.
  ///   - sequences: B.
  ///   - prefixKeys: P, tokens that all sequences share.
  ///   - cores: how many tasks the machine runs at a time.
  /// - Throws: what the executor or the recorder refuses.
  public init(
    _ shape: PrefixDecoding.Shape, scale: Float, sequences: Int, prefixKeys: Int, cores: Int,
    executor: any Executor
  ) throws {
    let splits = shape.splits(sequences: sequences, keys: prefixKeys, cores: cores)
    splitKeys = splits.keys
    prefix = try executor.compile(try PrefixDecoding.prefix(shape, scale: scale))
    suffix = try executor.compile(try PrefixDecoding.suffix(shape, scale: scale))
    combination = splits.count > 1 ? try executor.compile(try PrefixDecoding.combination(shape)) : nil
    let rows = [sequences, shape.kvHeads, shape.group]
    func state(_ leading: [Int]) throws -> (values: Tensor, tops: Tensor) {
      (
        try executor.tensor(.float32, leading + rows + [shape.headSize]),
        try executor.tensor(.float32, leading + rows)
      )
    }
    parts = try state([splits.count])
    whole =
      splits.count > 1
      ? try state([]) : (parts.values.selecting(axis: 0, 0), parts.tops.selecting(axis: 0, 0))
  }

  /// Writes y `[B, kvHeads, group, D]`.
  ///
  /// - Parameters:
  ///   - q: queries, as y.
  ///   - prefixKeys: shared keys `[kvHeads, P, D]`; prefixValues likewise.
  ///   - lengths: own keys of each sequence, int32 `[B]`.
  ///   - keys: own keys `[B, kvHeads, S, D]`; values likewise.
  public func callAsFunction(
    q: Tensor, prefixKeys: Tensor, prefixValues: Tensor, lengths: Tensor, keys: Tensor, values: Tensor,
    y: Tensor
  ) throws {
    try prefix.run([q, prefixKeys, prefixValues, parts.values, parts.tops], integers: [splitKeys])
    if let combination {
      let (count, rows) = (parts.tops.shape[0], whole.tops.count)
      let size = whole.values.count / max(1, rows)
      try combination.run([
        parts.values.reshaped([count, rows, size]), parts.tops.reshaped([count, rows]),
        whole.values.reshaped([rows, size]), whole.tops.reshaped([rows]),
      ])
    }
    try suffix.run([lengths, q, keys, values, whole.values, whole.tops, y])
  }
}
