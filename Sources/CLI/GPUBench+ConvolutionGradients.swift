internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

/// Gradients of long convolution: those of inputs, filters and gates, with the spectra that the forward pass left.
extension GPUBench {
  /// Causal, and gated causal.
  func convolutionGradients() throws {
    for length in [1024, 4096, 8192, 16384, 65536, 1_000] {
      let (batch, channels) = Self.rows(length)
      let title = "B=\(batch) H=\(channels) L=\(length)"
      guard bench.wants(title) else { continue }
      let shape = [batch, channels, length]
      let inputs = try (0..<4).map { try random(.float16, shape, seed: UInt64($0 + 1)) }
      let filter = try random(.float32, [channels, length], seed: 7, scale: 0.02)
      let targets = try (0..<3).map { _ in try executor.tensor(.float16, shape) }
      let dFilter = try executor.tensor(.float32, [channels, length])
      let plan = try MonarchConvolution(
        MonarchConvolution.Shape(batch: batch, channels: channels, length: length, type: .float16),
        executor: executor)
      let spectrum = try plan.prepare(filter: filter)
      for isGated in [false, true] {
        let (before, after) = (isGated ? inputs[2] : nil, isGated ? inputs[3] : nil)
        let into = MonarchConvolution.Gradients(
          u: targets[0], before: isGated ? targets[1] : nil, after: isGated ? targets[2] : nil,
          filter: dFilter)
        let seconds = try time([
          {
            try plan.gradients(
              inputs[1], u: inputs[0], spectrum, before: before, after: after, into: into)
          }
        ])
        let errors = try gradientErrors(
          plan.shape, u: inputs[0], dy: inputs[1], filter: filter,
          gates: isGated ? [inputs[2], inputs[3]] : [],
          into)
        report(
          Figure(
            op: isGated ? "fftconv_gated_causal_bwd" : "fftconv_causal_bwd", shape: title, seconds: seconds,
            bytes: Double(isGated ? 14 : 6) * Double(targets[0].count), error: errors.max() ?? .infinity))
        if bench.json { continue }
        Output.note("  errors \(errors)\n")
      }
    }
  }

  /// Of the last row, or the last filter: norms of errors at 31 positions over norms of what the definitions give.
  private func gradientErrors(
    _ shape: MonarchConvolution.Shape, u: Tensor, dy: Tensor, filter: Tensor, gates: [Tensor],
    _ found: MonarchConvolution.Gradients
  ) throws -> [Double] {
    let n = shape.length
    let ones = [Double](repeating: 1, count: n)
    func rows(_ tensor: Tensor) throws -> [[Double]] {
      try (0..<shape.batch).map { try numbers(tensor.selecting(axis: 0, $0)) }
    }
    let us = try rows(u)
    let gs = try rows(dy)
    let ws = try gates.first.map(rows) ?? us.map { _ in ones }
    let vs = try gates.last.map(rows) ?? us.map { _ in ones }
    let taps = try numbers(filter)
    let positions = (0...30).map { (n - 1) * $0 / 30 }
    func distance(_ found: Tensor?, _ exact: (Int) -> Double) throws -> Double? {
      guard let found else { return nil }
      let values = try numbers(found)
      var (difference, norm) = (0.0, 0.0)
      for t in positions {
        let right = exact(t)
        difference += (values[t] - right) * (values[t] - right)
        norm += right * right
      }
      return (difference / norm).squareRoot()
    }
    let (x, g) = (
      zip(us[us.count - 1], ws[ws.count - 1]).map(*), zip(gs[gs.count - 1], vs[vs.count - 1]).map(*)
    )
    func correlation(_ t: Int) -> Double { (t..<n).reduce(0) { $0 + g[$1] * taps[$1 - t] } }
    func convolution(_ t: Int) -> Double { (0...t).reduce(0) { $0 + taps[$1] * x[t - $1] } }
    let last = us.count - 1
    return try [
      distance(found.u) { correlation($0) * ws[last][$0] },
      distance(found.before) { correlation($0) * us[last][$0] },
      distance(found.after) { convolution($0) * gs[last][$0] },
      distance(found.filter) { m in
        us.indices.reduce(0) { sum, row in
          (m..<n).reduce(sum) {
            $0 + gs[row][$1] * vs[row][$1] * us[row][$1 - m] * ws[row][$1 - m]
          }
        }
      },
    ].compactMap { $0 }
  }

  /// The last row of a dense tensor in float64.
  func numbers(_ tensor: Tensor) throws -> [Double] {
    let count = tensor.shape[tensor.shape.count - 1]
    let flat = tensor.reshaped([tensor.count])
    let host = try executor.fetch(flat.sliced(axis: 0, (tensor.count - count)..<tensor.count))
    switch host.type {
    case .float32:
      return host.withElements(as: Float.self) { span in span.indices.map { Double(span[$0]) } }
    case .bfloat16:
      return host.withElements(as: UInt16.self) { span in
        span.indices.map { Double(Float(BFloat16(bitPattern: span[$0]))) }
      }
    default:
      return host.withElements(as: UInt16.self) { span in span.indices.map { Double(float16(span[$0])) } }
    }
  }
}
