internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

extension GPUBench {
  private static let size = 128
  private static let heads = 16

  /// Linear attention with features that cost nothing, and with normalised ones.
  func linearAttention() throws {
    for length in Self.lengths {
      let title = "B=16 H=\(Self.heads) N=\(length) Dqk=\(Self.size) Dv=\(Self.size)"
      guard bench.wants(title) else { continue }
      let rows = [16, Self.heads, length, Self.size]
      let inputs = try (1...3).map { try random(.bfloat16, rows, seed: $0) }
      let (y, last) = (
        try executor.tensor(.bfloat16, rows),
        try executor.tensor(.float32, [16, Self.heads, Self.size + 1, Self.size])
      )
      for features in [LinearAttention.FeatureMap.identity, .eluPlusOne] {
        let shape = LinearAttention.Shape(
          heads: Self.heads, headSize: Self.size, valueSize: Self.size, features: features,
          isNormalized: features == .eluPlusOne)
        let kernel = try executor.compile(try LinearAttention.kernel(shape))
        let seconds = try time([{ try kernel.run(inputs + [y, last]) }])
        report(
          Figure(
            op: "linear_attention", shape: title, seconds: seconds, bytes: 8 * Double(y.count),
            variant: features == .identity ? nil : "\(features)"))
      }
    }
  }

  /// Gated linear attention; one long sequence whole and in segments.
  func gatedLinearAttention() throws {
    for length in Self.lengths { try gatedLinearAttention(batch: 16, length: length, variants: [nil]) }
    try gatedLinearAttention(batch: 1, length: 131_072, variants: ["unsplit", nil])
  }

  private func gatedLinearAttention(batch: Int, length: Int, variants: [String?]) throws {
    let title = "B=\(batch) H=\(Self.heads) N=\(length) D=\(Self.size)"
    guard bench.wants(title) else { return }
    let shape = GatedLinearAttention.Shape(
      heads: Self.heads, headSize: Self.size, valueSize: Self.size)
    let rows = [batch, Self.heads, length, Self.size]
    let inputs = try (1...3).map { try random(.bfloat16, rows, seed: $0) }
    let gates = try executor.place(try Tensor(random: .bfloat16, rows, seed: 4, in: -0.125...0))
    let (y, last) = (
      try executor.tensor(.bfloat16, rows),
      try executor.tensor(.float32, [batch, Self.heads, Self.size, Self.size])
    )
    for variant in variants {
      let seconds: Double
      if batch == 1, variant == nil {
        let attention = try SegmentedGatedAttention(
          shape, batch: batch, length: length, cores: executor.device.multiprocessors, executor: executor)
        seconds = try time([
          { try attention(q: inputs[0], k: inputs[1], v: inputs[2], gates: gates, y: y) }
        ])
      } else {
        let kernel = try executor.compile(try GatedLinearAttention.kernel(shape))
        seconds = try time([{ try kernel.run(inputs + [gates, y, last]) }])
      }
      report(
        Figure(op: "gla", shape: title, seconds: seconds, bytes: 10 * Double(y.count), variant: variant))
    }
  }
}
