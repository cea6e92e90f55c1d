internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

extension GPUBench {
  static let lengths = [1024, 2048, 4096, 8192, 16384]

  /// Mamba-2's state-space duality; one long sequence whole and in segments.
  func selectiveScan() throws {
    for length in Self.lengths { try selectiveScan(batch: 16, length: length, variants: [nil]) }
    try selectiveScan(batch: 1, length: 131_072, variants: ["unsplit", nil])
  }

  private func selectiveScan(batch: Int, length: Int, variants: [String?]) throws {
    let (heads, size, state) = (16, 64, 64)
    let title = "B=\(batch) H=\(heads) N=\(length) P=\(size) S=\(state)"
    guard bench.wants(title) else { return }
    let shape = SelectiveScan.Shape(heads: heads, headSize: size, stateSize: state)
    let x = try random(.bfloat16, [batch, length, heads, size], seed: 1)
    let dt = try positive([batch, heads, length], seed: 2, scale: 0.02)
    let rates = try Tensor(zeros: .float32, [heads])
    rates.withMutableElements(as: Float.self) { span in
      for index in span.indices { span[index] = -1 - Float(index) / Float(heads) }
    }
    let a = try executor.place(rates)
    let (b, c) = (
      try random(.bfloat16, [batch, length, state], seed: 3),
      try random(.bfloat16, [batch, length, state], seed: 4)
    )
    let (y, last) = (
      try executor.tensor(.bfloat16, x.shape), try executor.tensor(.float32, [batch, heads, size, state])
    )
    for variant in variants {
      let seconds: Double
      if batch == 1, variant == nil {
        let scan = try SegmentedScan(
          shape, batch: batch, length: length, cores: executor.device.multiprocessors, executor: executor)
        seconds = try time([{ try scan(x: x, dt: dt, rates: a, b: b, c: c, y: y) }])
      } else {
        let kernel = try executor.compile(try SelectiveScan.kernel(shape))
        seconds = try time([{ try kernel.run([x, dt, a, b, c, y, last]) }])
      }
      report(
        Figure(
          op: "mamba2_ssd", shape: title, seconds: seconds,
          bytes: 4 * Double(x.count) + 4 * Double(b.count) + 4 * Double(dt.count), variant: variant))
    }
  }

  /// Based's second-order features.
  func taylor() throws {
    let (heads, size) = (16, 64)
    for batch in [4, 16] {
      for length in Self.lengths {
        let title = "B=\(batch) H=\(heads) N=\(length) Dqk=16 Dv=\(size)"
        guard bench.wants(title) else { continue }
        let kernel = try executor.compile(
          try TaylorAttention.kernel(TaylorAttention.Shape(heads: heads, valueSize: size), scale: 0.25))
        let constants = try TaylorAttention.constants(.bfloat16).map { try executor.place($0) }
        let (q, k) = (
          try random(.bfloat16, [batch, heads, length, 16], seed: 1),
          try random(.bfloat16, [batch, heads, length, 16], seed: 2)
        )
        let v = try random(.bfloat16, [batch, heads, length, size], seed: 3)
        let y = try executor.tensor(.bfloat16, v.shape)
        let seconds = try time([{ try kernel.run([q, k, v] + constants + [y]) }])
        report(
          Figure(
            op: "based", shape: title, seconds: seconds,
            bytes: 2 * 2 * Double(q.count) + 2 * 2 * Double(v.count)))
      }
    }
  }

  /// Hedgehog's window with learned features behind it; one long sequence whole and in segments.
  func hedgehog() throws {
    for length in Self.lengths { try hedgehog(batch: 16, length: length, variants: [nil]) }
    try hedgehog(batch: 1, length: 131_072, variants: ["unsplit", nil])
  }

  private func hedgehog(batch: Int, length: Int, variants: [String?]) throws {
    let shape = HedgehogAttention.Shape(heads: 16)
    let size = shape.headSize
    let title = "B=\(batch) H=\(shape.heads) N=\(length) D=\(size) F=2x\(shape.features)"
    guard bench.wants(title) else { return }
    let scale = 1 / Float(size).squareRoot()
    let (q, k, v) = (
      try random(.bfloat16, [batch, shape.heads, length, size], seed: 1),
      try random(.bfloat16, [batch, shape.heads, length, size], seed: 2),
      try random(.bfloat16, [batch, shape.heads, length, shape.valueSize], seed: 3)
    )
    let maps = try [UInt64(4), 5].map {
      try random(.bfloat16, [shape.heads, shape.features, size], seed: $0, scale: scale)
    }
    let weights = try [UInt64(6), 7].map { try positive([shape.heads], seed: $0, scale: 1) }
    let (y, last) = (
      try executor.tensor(.bfloat16, v.shape),
      try executor.tensor(.float32, [batch, shape.heads, shape.valueSize + 1, 2 * shape.features])
    )
    for variant in variants {
      let seconds: Double
      if batch == 1, variant == nil {
        let attention = try SegmentedHedgehog(
          shape, scale: scale, batch: batch, length: length, cores: executor.device.multiprocessors,
          executor: executor)
        seconds = try time([
          {
            try attention(
              q: q, k: k, v: v, queryMap: maps[0], keyMap: maps[1], linear: weights[0], window: weights[1],
              y: y)
          }
        ])
      } else {
        let kernel = try executor.compile(try HedgehogAttention.kernel(shape, scale: scale))
        seconds = try time([{ try kernel.run([q, k, v] + maps + weights + [y, last]) }])
      }
      report(
        Figure(op: "hedgehog", shape: title, seconds: seconds, bytes: 8 * Double(q.count), variant: variant))
    }
  }

  /// Numbers above 0.
  private func positive(_ shape: [Int], seed: UInt64, scale: Float) throws -> Tensor {
    let host = try Tensor(zeros: .float32, shape)
    var state = seed &+ 77
    host.withMutableElements(as: Float.self) { span in
      for index in span.indices {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        span[index] = scale * (Float(state >> 40) / 16_777_216 + 0.01)
      }
    }
    return try executor.place(host)
  }
}
