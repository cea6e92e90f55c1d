internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

/// Long convolution, with the filters' transform in the timed call as in the peers'.
extension GPUBench {
  /// Batch and channels of a length, as FlashFFTConv's own benchmark has them.
  private static let rows: [(length: Int, batch: Int, channels: Int)] =
    [256, 512, 1024, 2048, 4096].map { ($0, 64, 768) }

  /// Circular, causal, and gated causal.
  func convolution() throws {
    for (length, batch, channels) in Self.rows {
      let title = "B=\(batch) H=\(channels) L=\(length)"
      guard bench.wants(title) else { continue }
      let shape = [batch, channels, length]
      let inputs = try (0..<3).map { try random(.float16, shape, seed: UInt64($0 + 1)) }
      let filter = try random(.float32, [channels, length], seed: 7, scale: 0.02)
      let y = try executor.tensor(.float16, shape)
      for mode in [MonarchConvolution.Mode.circular, .causal] {
        let plan = try MonarchConvolution(
          MonarchConvolution.Shape(
            batch: batch, channels: channels, length: length, mode: mode, type: .float16),
          executor: executor)
        let spectrum = try plan.prepare(filter: filter)
        func report(_ op: String, gates: [Tensor]) throws {
          func apply() throws {
            try plan.apply(
              inputs[0], spectrum, before: gates.first, after: gates.dropFirst().first, into: y)
          }
          let bytes = Double(4 + 2 * gates.count) * Double(y.count)
          let whole = try time([
            {
              _ = try plan.prepare(filter: filter, into: spectrum)
              try apply()
            }
          ])
          self.report(Figure(op: op, shape: title, seconds: whole, bytes: bytes))
          self.report(
            Figure(op: op, shape: title, seconds: try time([apply]), bytes: bytes, variant: "cached spectrum"))
        }
        try report(mode == .causal ? "fftconv_causal" : "fftconv_circular", gates: [])
        if mode == .causal { try report("fftconv_gated_causal", gates: [inputs[1], inputs[2]]) }
      }
    }
  }
}
