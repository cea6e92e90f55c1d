internal import Engine
internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCPU

/// Attention over plain tensors, and whole decoding steps over a shared prefix that is visited once for all sequences
/// or by each on its own.
struct AttentionBench {
  private let bench: BenchCommand

  init(_ bench: BenchCommand) { self.bench = bench }

  func run() throws {
    try dense()
    guard ["shared", "unshared"].contains(where: { bench.wants("decode B=32 P=2048 \($0)") }) else { return }
    let loaded = try bench.options.load()
    for (mode, title) in [(SharingMode.always, "shared"), (.never, "unshared")] {
      let shape = "decode B=32 P=2048 \(title)"
      guard bench.wants(shape) else { continue }
      let time = try bench.median(bench.repeats) { try step(loaded, mode) }
      bench.report("attention", shape, milliseconds: time * 1e3, rate: ("tok_s", 32 / time))
    }
  }

  /// The kernel alone: rate over the pairs of rows and keys that are visible.
  private func dense() throws {
    let executor = try CPUExecutor(threads: bench.threadCount)
    let (kvHeads, group, size) = (3, 3, 64)
    for (length, mask, name) in [(1024, Attention.Mask.full, "full"), (2048, .causal, "causal")] {
      let shape = "B=1 H=\(kvHeads * group) N=\(length) D=\(size) \(name)"
      guard bench.wants(shape) else { continue }
      let kernel = try executor.compile(
        try Attention.kernel(
          Attention.Shape(kvHeads: kvHeads, group: group, headSize: size), mask: mask,
          scale: 1 / Float(size).squareRoot()))
      let q = try numbers([1, kvHeads, group * length, size])
      let (k, v) = (try numbers([1, kvHeads, length, size]), try numbers([1, kvHeads, length, size]))
      let y = try Tensor(zeros: .float32, q.shape)
      let lse = try Tensor(zeros: .float32, [1, kvHeads, group * length])
      let time = try bench.median(max(5, bench.repeats)) {
        let start = ContinuousClock.now
        try kernel.run([q, k, v, y, lse], integers: [length])
        return seconds(since: start)
      }
      let pairs = mask == .full ? length * length : length * (length + 1) / 2
      let flops = 4 * Double(kvHeads * group * size) * Double(pairs)
      bench.report("attention", shape, milliseconds: time * 1e3, rate: ("gflops", flops / time / 1e9))
    }
  }

  /// Numbers in −1…1 that differ from each other.
  private func numbers(_ shape: [Int]) throws -> Tensor {
    let tensor = try Tensor(zeros: .float32, shape)
    tensor.withMutableElements(as: Float.self) { span in
      for index in span.indices { span[index] = Float(index &* 2_654_435_761 % 2001 - 1000) / 1000 }
    }
    return tensor
  }

  /// Seconds of one decoding step of 32 sequences over one prefix.
  private func step(_ loaded: LoadedModel, _ mode: SharingMode) throws -> Double {
    let generator = try loaded.generator { $0.sharing = mode }
    let prefix = (0..<2048).map { Int32($0 * 17 % 40_000 + 100) }
    for number in 0..<32 {
      _ = try generator.submit(GenerationRequest(prompt: prefix + [Int32(number + 200)], maximumTokens: 12))
    }
    while generator.statistics.tokensGenerated < 64 { _ = try generator.step() }
    let start = ContinuousClock.now
    for _ in 0..<4 { _ = try generator.step() }
    return seconds(since: start) / 4
  }
}
