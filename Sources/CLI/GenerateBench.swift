internal import Engine
internal import Models
internal import Synchronization
internal import Tiles
internal import TilesCPU

/// Prompt and decoding speed of a whole model.
struct GenerateBench {
  private let bench: BenchCommand

  init(_ bench: BenchCommand) { self.bench = bench }

  func run() throws {
    let loaded = try bench.options.load()
    loaded.backEnd.cores?.profile.isOn.store(bench.profile, ordering: .relaxed)
    for length in [512, 2048] where bench.wants("prompt \(length)") {
      let time = try bench.median(bench.repeats) { try prompt(loaded, length) }
      report(
        "prompt \(length)", milliseconds: time * 1e3, tokens: Double(length) / time, loaded)
      bench.reportProfile(loaded.backEnd)
    }
    if bench.wants("decode 128") {
      let time = try bench.median(bench.repeats) { try decode(loaded, [random(1, 1)], count: 128) }
      // Weights once a token, and keys and values of 65 positions on average.
      let model = loaded.model
      let read = 128 * (model.stepWeightBytes + model.cacheGeometry.pageBytes)
      let share = try bandwidth(loaded).map { Double(read) / $0 / time }
      report(
        "decode 128", milliseconds: time * 1e3, tokens: 128 / time, loaded, ofBandwidth: share)
      bench.reportProfile(loaded.backEnd)
    }
    if bench.wants("batch 32 own prompts 128") {
      let prompts = (0..<32).map { random(128, UInt64($0) + 10) }
      let time = try bench.median(bench.repeats) { try decode(loaded, prompts, count: 32) }
      report(
        "batch 32 own prompts 128", milliseconds: time * 1e3, tokens: 32 * 32 / time, loaded)
      bench.reportProfile(loaded.backEnd)
    }
    if bench.wants("batch 32 shared prefix 2048") {
      let prefix = random(2048, 5)
      let prompts = (0..<32).map { prefix + random(1, UInt64($0) + 50) }
      let time = try bench.median(bench.repeats) { try decode(loaded, prompts, count: 32) }
      report(
        "batch 32 shared prefix 2048", milliseconds: time * 1e3, tokens: 32 * 32 / time, loaded)
      bench.reportProfile(loaded.backEnd)
    }
  }

  /// Bytes a second that the GPU copies, measured; `nil` on cores.
  private func bandwidth(_ loaded: LoadedModel) throws -> Double? {
    guard case .gpu(let executor) = loaded.backEnd else { return nil }
    let (seconds, bytes) = try GPUBench(bench: bench, executor: executor).copyTime()
    return bytes / seconds
  }

  private func report(
    _ shape: String, milliseconds: Double, tokens rate: Double, _ loaded: LoadedModel,
    ofBandwidth share: Double? = nil
  ) {
    bench.report(
      "generate", shape, milliseconds: milliseconds, rate: ("tok_s", rate), device: loaded.backEnd.name,
      ofBandwidth: share)
  }

  /// Tokens that differ from prompt to prompt.
  private func random(_ count: Int, _ seed: UInt64) -> [Int32] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int32(state >> 33) % 40_000 + 100
    }
  }

  /// Seconds to compute a prompt and its first token.
  private func prompt(_ loaded: LoadedModel, _ length: Int) throws -> Double {
    let generator = try loaded.generator()
    _ = try generator.submit(GenerationRequest(prompt: random(length, 3), maximumTokens: 1))
    let start = ContinuousClock.now
    while !generator.isIdle { _ = try generator.step() }
    return seconds(since: start)
  }

  /// Seconds to generate `count` tokens for each prompt, from the step after the last prompt token was computed.
  private func decode(_ loaded: LoadedModel, _ prompts: [[Int32]], count: Int) throws -> Double {
    let generator = try loaded.generator()
    // Early sequences go on while later prompts are computed, so they need tokens to spare.
    for prompt in prompts {
      _ = try generator.submit(GenerationRequest(prompt: prompt, maximumTokens: count + 64))
    }
    var started: Set<Int> = []
    while started.count < prompts.count {
      for event in try generator.step() { if case .token(let request, _) = event { started.insert(request) } }
    }
    let before = generator.statistics.tokensGenerated
    let start = ContinuousClock.now
    while generator.statistics.tokensGenerated - before < count * prompts.count { _ = try generator.step() }
    return seconds(since: start)
  }
}
