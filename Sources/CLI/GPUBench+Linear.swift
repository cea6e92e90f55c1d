internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

extension GPUBench {
  /// Layers y = x · Wᵀ in 16-bit arithmetic, weights in bfloat16 and in blocks that are decoded on the way.
  func linear() throws {
    for (inputs, outputs) in [(4096, 14336), (14336, 4096)] {
      for type in [ElementType.bfloat16, .q8_0, .q4_0, .q4_1] {
        for rows in [1, 8, 16, 64, 256, 4096] {
          try linear(type, rows: rows, inputs: inputs, outputs: outputs)
        }
      }
    }
  }

  private func linear(_ type: ElementType, rows: Int, inputs: Int, outputs: Int) throws {
    let title = "M=\(rows) N=\(outputs) K=\(inputs) \(type.rawValue)"
    guard bench.wants(title) else { return }
    let limit = Linear.Shape.rowLimits.first { rows <= $0 }
    if let tuner { try tuner.linear(type, rowLimit: limit, inputs: inputs, outputs: outputs) }
    let shape = Linear.Shape.planned(
      inputs: inputs, outputs: outputs, rowLimit: limit, weight: type, cores: executor.cores,
      plans: executor.plans)
    var whole = shape
    whole.splits = 1
    // Both ways where the shape is cut into parts, so that what that is worth is seen.
    for shape in shape.splits > 1 ? [shape, whole] : [shape] {
      let run = try LinearRun(self, shape, type)
      let calls = try run.calls(rows: rows, sets: 4)
      report(
        Figure(
          op: "linear", shape: title, seconds: try time(calls),
          flops: 2 * Double(rows) * Double(inputs) * Double(outputs),
          bytes: rows <= 256 ? Double(type.byteCount(of: inputs * outputs) ?? 0) : nil,
          variant: shape.splits > 1 ? "splits=\(shape.splits)" : nil))
    }
  }
}

/// A layer's kernels in one shape, with what they run on.
struct LinearRun<Timing: KernelTiming> {
  private let timing: Timing
  private let shape: Linear.Shape
  private let type: ElementType
  private let kernels: [any CompiledKernel]

  init(_ timing: Timing, _ shape: Linear.Shape, _ type: ElementType) throws {
    (self.timing, self.shape, self.type) = (timing, shape, type)
    let executor = timing.executor
    kernels =
      shape.splits > 1
      ? [
        try executor.compile(try Linear.parts(shape, weight: type)),
        try executor.compile(try SplitSum.kernel(splits: shape.splits)),
      ] : [try executor.compile(try Linear.kernel(shape, weight: type, arithmetic: .sixteenBit))]
  }

  /// Calls on so many sets of weights, which together are larger than the cache.
  func calls(rows: Int, sets: Int) throws -> [() throws -> Void] {
    let executor = timing.executor
    let y = try executor.tensor(.float32, [rows, shape.outputs])
    let parts = try executor.tensor(.float32, [shape.splits, rows, shape.outputs])
    let x = try timing.random(.bfloat16, [rows, shape.inputs], seed: 1)
    return try (0..<sets).map { number in
      let size = [shape.outputs, shape.inputs]
      let seed = UInt64(number + 2)
      let weight =
        type.isBlocked
        ? try timing.randomBlocks(type, size, seed: seed) : try timing.random(type, size, seed: seed)
      let kernels = kernels
      return {
        guard kernels.count > 1 else { return try kernels[0].run([x, weight, y]) }
        try kernels[0].run([x, weight, parts])
        try kernels[1].run([parts, y])
      }
    }
  }
}
