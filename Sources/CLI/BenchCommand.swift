internal import ArgumentParser
internal import Engine
internal import Models
internal import Synchronization
internal import TilesCPU
internal import TilesCUDA

/// Times of what users wait for, in the format that joins with those of other programs.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure kernels and models.",
    discussion: """
        godwit bench generate --model smollm2 --threads 2 --json
        godwit bench gemm --json
      Times leave out loading, tokenising and sampling of the prompt; each figure is the median of its repeats.
      """)

  @Argument(
    help:
      """
      What to measure: generate, gemm, attention, fftconv, short_conv, train, encoders, operators, \
      sequence_generation; on a GPU train, encoders, operators, sequence_generation, gemm, linear, ablations, \
      attention, attention_bwd, ssm, h3, \
      based, hedgehog, linear_attention, gla, fftconv, fftconv_bwd, prefix, rotary, layernorm, copy, launch.
      """
  )
  var groups: [BenchGroup] = [.generate]

  @Option(name: [.short, .long], help: "Repeats of each measurement.")
  var repeats = 3

  @Option(help: "Only shapes whose name contains this.")
  var only: String?

  @Flag(help: "Print JSON lines.")
  var json = false

  @Flag(
    help:
      "Print which kernels took the time, on standard error (generate, encoders, operators, sequence_generation)."
  )
  var profile = false

  @Option(
    help:
      """
      Prompts that are continued together, instead of 64 as in the paper, or 4 on cores; half as many, or fewer, where keys \
      and values would take more than 64 GiB: B= says how many (sequence_generation only).
      """
  )
  var sequences: Int?

  @Flag(help: "Judge results instead of timing them (sequence_generation only).")
  var check = false

  @Flag(
    help: "On a GPU, time candidates for each product first, and keep the best for this run and later ones.")
  var tune = false

  @OptionGroup var options: ModelOptions

  enum BenchGroup: String, ExpressibleByArgument, CaseIterable {
    case generate, gemm, linear, attention, short_conv, ablations, attention_bwd, ssm, h3, based, hedgehog
    case linear_attention, gla, fftconv, fftconv_bwd, train, encoders, operators, sequence_generation
    case prefix, rotary, layernorm, copy, launch
  }

  func run() throws {
    guard (1...1000).contains(repeats) else { throw ValidationError("--repeats must be 1 to 1000.") }
    let isProfiled =
      groups == [.generate] || groups == [.sequence_generation]
      || Set(groups).isSubset(of: [.encoders, .operators])
    guard !profile || isProfiled else {
      throw ValidationError(
        "--profile is for `bench generate` or `bench sequence_generation` alone, or for `encoders` and `operators`."
      )
    }
    guard !check || groups == [.sequence_generation] else {
      throw ValidationError("--check is for `bench sequence_generation` alone.")
    }
    if let sequences {
      guard groups == [.sequence_generation] else {
        throw ValidationError("--sequences is for `bench sequence_generation` alone.")
      }
      guard !check else { throw ValidationError("--check has sequences of its own; leave out --sequences.") }
      guard (1...4096).contains(sequences) else { throw ValidationError("--sequences must be 1 to 4096.") }
    }
    guard !tune || options.machine.device == .cuda else {
      throw ValidationError("--tune is for --device cuda.")
    }
    try options.machine.device == .cuda ? runOnGPU() : runOnCores()
    // Generation has one shape, which is not asked.
    if let only, !groups.contains(.generate), !Self.hasMatched.load(ordering: .relaxed) {
      throw CommandFailure("--only \(only): no shape's name contains it. Leave it out to see all.")
    }
  }

  private func runOnCores() throws {
    for group in groups {
      switch group {
      case .generate: try GenerateBench(self).run()
      case .gemm: try GemmBench(self).run()
      case .attention: try AttentionBench(self).run()
      case .fftconv: try ConvolutionBench(self).run()
      case .short_conv: try ShortConvolutionBench(self).run()
      case .train: try TrainingBench(self).run(on: options.machine.cpu())
      case .encoders: try SequenceForwardBench(self, on: options.machine.cpu()).encoders()
      case .operators: try SequenceForwardBench(self, on: options.machine.cpu()).operators()
      case .sequence_generation:
        let cores = try options.machine.cpu()
        try SequenceGenerationBench(self, on: cores, bandwidth: nil, profile: cores.profile).run()
      default: throw ValidationError("`bench \(group.rawValue)` is for --device cuda.")
      }
    }
  }

  private func runOnGPU() throws {
    if groups == [.generate] { return try GenerateBench(self).run() }
    let executor = try options.machine.gpu()
    let gpu = GPUBench(bench: self, executor: executor, tuner: tune ? GPUTuner(executor) : nil)
    for group in groups {
      switch group {
      case .generate: throw ValidationError("`bench generate` is a run of its own on a GPU.")
      case .gemm: try gpu.gemm()
      case .linear: try gpu.linear()
      case .ablations: try gpu.ablations()
      case .attention: try gpu.attention()
      case .attention_bwd: try gpu.attentionBackward()
      case .ssm: try gpu.selectiveScan()
      case .h3: try gpu.h3()
      case .based: try gpu.taylor()
      case .hedgehog: try gpu.hedgehog()
      case .linear_attention: try gpu.linearAttention()
      case .gla: try gpu.gatedLinearAttention()
      case .fftconv: try gpu.convolution()
      case .fftconv_bwd: try gpu.convolutionGradients()
      case .prefix: try gpu.prefix()
      case .rotary: try gpu.rotary()
      case .layernorm: try gpu.dropoutResidualNorm()
      case .copy: try gpu.copy()
      case .short_conv: throw ValidationError("`bench short_conv` is for --device cpu.")
      case .launch: try gpu.launching()
      case .train: try TrainingBench(self).run(on: executor)
      case .encoders: try SequenceForwardBench(self, on: executor).encoders()
      case .operators: try SequenceForwardBench(self, on: executor).operators()
      case .sequence_generation:
        let (seconds, bytes) = try gpu.copyTime()
        try SequenceGenerationBench(self, on: executor, bandwidth: bytes / seconds, profile: executor.profile)
          .run()
      }
    }
  }

  /// Whether a shape was asked for.
  func wants(_ shape: String) -> Bool {
    let isWanted = only.map { shape.contains($0) } ?? true
    if isWanted { Self.hasMatched.store(true, ordering: .relaxed) }
    return isWanted
  }

  /// Whether anything was asked for that there is.
  private static let hasMatched = Atomic(false)

  /// Threads in use.
  var threadCount: Int { options.machine.threads ?? Machine.cores }

  /// Prints one measurement.
  func report(
    _ op: String, _ shape: String, milliseconds: Double, rate: (name: String, value: Double),
    peer: String = "godwit", device: String? = nil, ofBandwidth share: Double? = nil
  ) {
    if json {
      Output.json([
        "op": JSONField(op), "shape": JSONField(shape), "peer": JSONField(peer),
        "threads": JSONField(threadCount), "device": device.map { JSONField($0) },
        "ms": JSONField(milliseconds, decimals: 4),
        "gflops": rate.name == "gflops" ? JSONField(rate.value, decimals: 1) : nil,
        "tok_s": rate.name == "tok_s" ? JSONField(rate.value, decimals: 1) : nil,
        "of_bandwidth": share.map { JSONField($0, decimals: 3) },
      ])
    } else {
      let memory = share.map { ", \(Output.fixed(100 * $0, 1)) % of what memory allows" } ?? ""
      Output.write(
        "\(op)  \(shape)\(peer == "godwit" ? "" : " (\(peer))"): \(Output.fixed(milliseconds, 3)) ms, \(Output.fixed(rate.value, 1)) \(rate.name)\(memory)\n"
      )
    }
  }

  /// Prints the kernels by time since the last call, when that was asked for.
  func reportProfile(_ backEnd: BackEnd) {
    guard profile, let executor = backEnd.cores else { return }
    executor.profile.report()
  }

  /// Median seconds of so many calls, after one that does not count.
  func median(_ count: Int, _ body: () throws -> Double) rethrows -> Double {
    _ = try body()
    var times: [Double] = []
    for _ in 0..<count { times.append(try body()) }
    return times.sorted()[count / 2]
  }
}
