internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

/// Long convolution, with the filters' transform in the timed call as in the peers'.
extension GPUBench {
  /// Batch and channels of a length, as FlashFFTConv's own benchmark has them.
  static func rows(_ length: Int) -> (batch: Int, channels: Int) {
    let batch = length <= 8192 ? 64 : max(8, 64 * 8192 / length)
    let channels = [2_097_152: 32, 4_194_304: 16][length] ?? 768 * 65536 / max(65536, length)
    return (batch, max(16, channels))
  }

  /// What peers are timed at, and lengths that have no power of two.
  private static let convolutionLengths = (8...22).map { 1 << $0 } + [1000, 14_113, 100_003, 2_300_000]

  /// Circular, causal, and gated causal.
  func convolution() throws {
    for length in Self.convolutionLengths {
      let (batch, channels) = Self.rows(length)
      let title = "B=\(batch) H=\(channels) L=\(length)"
      guard bench.wants(title) else { continue }
      let shape = [batch, channels, length]
      let inputs = try (0..<3).map { try random(.float16, shape, seed: UInt64($0 + 1)) }
      let filter = try random(.float32, [channels, length], seed: 7, scale: 0.02)
      let y = try executor.tensor(.float16, shape)
      for mode in [MonarchConvolution.Mode.circular, .causal]
      where mode == .causal || length & (length - 1) == 0 {
        let plan = try MonarchConvolution(
          MonarchConvolution.Shape(
            batch: batch, channels: channels, length: length, mode: mode, type: .float16),
          executor: executor)
        let spectrum = try plan.prepare(filter: filter)
        for gates in mode == .causal ? [[], [inputs[1], inputs[2]]] : [[]] {
          let name = mode == .circular ? "circular" : gates.isEmpty ? "causal" : "gated_causal"
          func apply() throws {
            try plan.apply(inputs[0], spectrum, before: gates.first, after: gates.last, into: y)
          }
          let bytes = Double(4 + 2 * gates.count) * Double(y.count)
          let whole = try time([
            {
              _ = try plan.prepare(filter: filter, into: spectrum)
              try apply()
            }
          ])
          let error = try convolutionError(
            plan.shape, u: inputs[0], filter: filter, gates: gates, y: y)
          report(
            Figure(op: "fftconv_\(name)", shape: title, seconds: whole, bytes: bytes, error: error))
          guard mode == .causal else { continue }
          report(
            Figure(
              op: "fftconv_\(name)_cached", shape: title, seconds: try time([apply]), bytes: bytes))
        }
      }
    }
  }

  /// Of the last row: norm of the error at 61 positions over the norm of what the definition gives there, in float64.
  func convolutionError(
    _ shape: MonarchConvolution.Shape, u: Tensor, filter: Tensor, gates: [Tensor], y: Tensor
  ) throws -> Double {
    let n = shape.length
    var x = try numbers(u)
    if let before = gates.first { x = zip(x, try numbers(before)).map(*) }
    let (taps, after, found) = (try numbers(filter), try gates.last.map(numbers), try numbers(y))
    var (difference, norm) = (0.0, 0.0)
    for number in 0..<61 {
      let t = (n - 1) * number / 60
      var exact = 0.0
      for s in 0..<min(t + 1, taps.count) { exact += taps[s] * x[t - s] }
      if shape.mode == .circular { for s in (t + 1)..<max(t + 1, n) { exact += taps[s] * x[t - s + n] } }
      if let after { exact *= after[t] }
      difference += (found[t] - exact) * (found[t] - exact)
      norm += exact * exact
    }
    return (difference / norm).squareRoot()
  }
}
