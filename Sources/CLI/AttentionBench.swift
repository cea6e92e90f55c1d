internal import Engine

/// Decode attention over a shared prefix, with and without visiting it once for all sequences.
struct AttentionBench {
  private let bench: BenchCommand

  init(_ bench: BenchCommand) { self.bench = bench }

  func run() throws {
    let loaded = try bench.options.load()
    for (mode, title) in [(SharingMode.always, "shared"), (.never, "unshared")] {
      let shape = "decode B=32 P=2048 \(title)"
      guard bench.wants(shape) else { continue }
      let time = try bench.median(bench.repeats) { try step(loaded, mode) }
      bench.report("attention", shape, milliseconds: time * 1e3, rate: ("tok_s", 32 / time))
    }
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
