internal import Fourier
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
    let copy = try copyTime()
    let pace = copy.seconds / copy.bytes
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
            Figure(
              op: "fftconv_\(name)", shape: title, seconds: whole, bytes: bytes, floor: bytes * pace,
              error: error))
          guard mode == .causal else { continue }
          report(
            Figure(
              op: "fftconv_\(name)_cached", shape: title, seconds: try time([apply]), bytes: bytes,
              floor: bytes * pace))
        }
      }
      if [1000, 4096, 65_536].contains(length) {
        try twoSided(
          title, inputs, filter, try random(.float32, [channels, length], seed: 8, scale: 0.02), y)
      }
    }
  }

  /// Gated, with a second filter for what comes later, its spectrum kept.
  private func twoSided(
    _ title: String, _ inputs: [Tensor], _ filter: Tensor, _ reverse: Tensor, _ y: Tensor
  ) throws {
    let (channels, length) = (y.shape[1], y.shape[2])
    let convolution = try LongConvolution(
      ConvolutionShape(mode: .bidirectional(lagZero: .both), length: length, filterLength: length),
      channels: channels, type: .float16, on: executor)
    let spectrum = try convolution.spectrum(of: ConvolutionFilters(filter, reverse: reverse))
    let rows = ConvolutionRows(inputs[0], inputGate: inputs[1], outputGate: inputs[2])
    let seconds = try time([{ try convolution.apply(rows, .spectrum(spectrum), into: y) }])
    let shape = MonarchConvolution.Shape(
      batch: y.shape[0], channels: channels, length: length, type: .float16)
    let error = try convolutionError(
      shape, u: inputs[0], filter: filter, reverse: reverse, gates: [inputs[1], inputs[2]], y: y)
    report(
      Figure(
        op: "fftconv_gated_two_sided_cached", shape: title, seconds: seconds, bytes: 8 * Double(y.count),
        error: error))
  }

  /// Of the last row: norm of the error at 61 positions, or of rows of up to 131,072 numbers at 601, over the norm of what the definition gives
  /// there, in float64.
  func convolutionError(
    _ shape: MonarchConvolution.Shape, u: Tensor, filter: Tensor, reverse: Tensor? = nil, gates: [Tensor],
    y: Tensor
  ) throws -> Double {
    let n = shape.length
    var x = try numbers(u)
    if let before = gates.first { x = zip(x, try numbers(before)).map(*) }
    let later = try reverse.map(numbers)
    let (taps, after, found) = (try numbers(filter), try gates.last.map(numbers), try numbers(y))
    var (difference, norm) = (0.0, 0.0)
    let positions = n <= 1 << 17 ? 601 : 61
    for number in 0..<positions {
      let t = (n - 1) * number / (positions - 1)
      var exact = 0.0
      for s in 0..<min(t + 1, taps.count) { exact += taps[s] * x[t - s] }
      if shape.mode == .circular { for s in (t + 1)..<max(t + 1, n) { exact += taps[s] * x[t - s + n] } }
      if let later { for m in 0..<(n - t) { exact += later[m] * x[t + m] } }
      if let after { exact *= after[t] }
      difference += (found[t] - exact) * (found[t] - exact)
      norm += exact * exact
    }
    return (difference / norm).squareRoot()
  }
}
