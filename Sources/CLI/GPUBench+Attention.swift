internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

extension GPUBench {
  private struct Problem {
    let batch = 16
    let heads = 16
    var length: Int
    var size: Int
    var mask: Attention.Mask

    var title: String { "B=\(batch) H=\(heads) N=\(length) D=\(size) \(mask == .full ? "full" : "causal")" }
    /// As the papers count: half of all pairs under a causal mask.
    var flops: Double {
      4 * Double(batch * heads * size) * Double(length) * Double(length) / (mask == .full ? 1 : 2)
    }
    var scale: Float { 1 / Float(size).squareRoot() }
    var shape: [Int] { [batch, heads, length, size] }
  }

  private var problems: [Problem] {
    [64, 128].flatMap { size in
      [Attention.Mask.full, .causal].flatMap { mask in
        [768, 1536, 3072, 6144, 12288].map { Problem(length: $0, size: size, mask: mask) }
      }
    }
  }

  private func forward(_ problem: Problem) throws -> any CompiledKernel {
    let shape = Attention.Shape.gpu(
      kvHeads: problem.heads, group: 1, headSize: problem.size, mask: problem.mask)
    return try executor.compile(try Attention.kernel(shape, mask: problem.mask, scale: problem.scale))
  }

  /// The forward kernel.
  func attention() throws {
    for problem in problems where bench.wants(problem.title) {
      let kernel = try forward(problem)
      let inputs = try (0..<2).map { set in
        try (0..<3).map { try random(.bfloat16, problem.shape, seed: UInt64(3 * set + $0)) }
      }
      let y = try executor.tensor(.bfloat16, problem.shape)
      let lse = try executor.tensor(.float32, Array(problem.shape.dropLast()))
      let seconds = try time(
        inputs.map { set in { try kernel.run(set + [y, lse], integers: [problem.length]) } })
      report(Figure(op: "attention", shape: problem.title, seconds: seconds, flops: problem.flops))
    }
  }

  /// All gradients, from preparation to rounded results.
  func attentionBackward() throws {
    for problem in problems where bench.wants(problem.title) {
      for isDeterministic in [false, true] { try attentionBackward(problem, isDeterministic) }
    }
  }

  private func attentionBackward(_ problem: Problem, _ isDeterministic: Bool) throws {
    let shape = AttentionBackward.Shape(
      kvHeads: problem.heads, group: 1, headSize: problem.size, mask: problem.mask,
      isDeterministic: isDeterministic)
    let run = try AttentionGradients(
      shape, mask: problem.mask, scale: problem.scale, batch: problem.batch, queries: problem.length,
      executor: executor)
    let tensors = try (0..<4).map { try random(.bfloat16, problem.shape, seed: UInt64($0)) }
    let (y, lse) = (
      try executor.tensor(.bfloat16, problem.shape),
      try executor.tensor(.float32, Array(problem.shape.dropLast()))
    )
    try forward(problem).run(Array(tensors[..<3]) + [y, lse], integers: [problem.length])
    let results = try (0..<3).map { _ in try executor.tensor(.bfloat16, problem.shape) }
    let seconds = try time([
      {
        try run(
          q: tensors[0], k: tensors[1], v: tensors[2], y: y, lse: lse, dy: tensors[3], dq: results[0],
          dk: results[1], dv: results[2])
      }
    ])
    report(
      Figure(
        op: "attention_bwd", shape: problem.title, seconds: seconds, flops: 2.5 * problem.flops,
        variant: isDeterministic ? "deterministic" : nil))
  }
}
