internal import Fourier
internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCPU

/// Long convolutions on the cores, at the shapes that other libraries are timed at and at those they cannot do.
struct ConvolutionBench {
  let bench: BenchCommand
  let executor: CPUExecutor
  let planner = ConvolutionPlanner(.measure(candidates: 12))

  init(_ bench: BenchCommand) throws {
    self.bench = bench
    executor = try CPUExecutor(threads: bench.threadCount)
  }

  /// What other libraries are timed at: batch, channels and length.
  private static let shapes = [
    (4, 64, 256), (4, 64, 1024), (4, 64, 4096), (4, 64, 16_384), (1, 64, 65_536), (1, 16, 262_144),
    (1, 4, 1_048_576),
  ]

  /// Float32 rows and filters of one shape.
  struct Problem {
    let shape: ConvolutionShape
    let name: String
    let rows: ConvolutionRows
    let filters: ConvolutionFilters
    let output: Tensor
    let convolution: LongConvolution
  }

  func run() throws {
    try forward()
    try lengths()
    try backward()
    try sparse()
    try partial()
    try streaming()
  }

  /// Causal convolutions, the filters' transforms in the call, and without them.
  private func forward() throws {
    for (batch, channels, length) in Self.shapes {
      let name = "B=\(batch) H=\(channels) L=\(length)"
      guard bench.wants(name) else { continue }
      let problem = try problem(batch, channels, length)
      let bytes = Double(8 * batch * channels * length)
      let flops = 10 * Double(batch * channels) * Double(length) * logarithm(2 * length)
      let time = try seconds { try problem.apply(.taps(problem.filters)) }
      report(
        "fftconv_causal", problem.name, "godwit", time, flops: flops, bytes: bytes, note: "\(problem.plan)")
      let spectrum = LongConvolution.Filter.spectrum(try problem.convolution.spectrum(of: problem.filters))
      let cached = try seconds { try problem.apply(spectrum) }
      report("fftconv_causal", problem.name, "godwit cached", cached, flops: flops, bytes: bytes)
      let gated = ConvolutionRows(
        problem.rows.input, inputGate: try Tensor(random: .float32, problem.rows.input.shape, seed: 3),
        outputGate: try Tensor(random: .float32, problem.rows.input.shape, seed: 4))
      let both = try seconds {
        try problem.convolution.apply(gated, .taps(problem.filters), into: problem.output)
      }
      report("fftconv_gated_causal", problem.name, "godwit", both, flops: flops, bytes: 2 * bytes)
      let copy = try seconds { try executor.copy(from: problem.rows.input, into: problem.output) }
      report("fftconv_causal", problem.name, "memory limit", copy, bytes: bytes)
    }
  }

  /// Lengths with large prime factors, each with its error at 64 places against float64 sums.
  private func lengths() throws {
    for (channels, length) in [(64, 1000), (16, 14_113), (4, 100_003), (1, 2_300_000), (1, 8_388_608)] {
      let name = "B=1 H=\(channels) L=\(length)"
      guard bench.wants(name) else { continue }
      let problem = try problem(1, channels, length)
      let time = try seconds { try problem.apply(.taps(problem.filters)) }
      report(
        "fftconv_any_length", name, "godwit", time, bytes: Double(8 * channels * length),
        error: problem.error,
        note: "\(problem.plan)")
    }
  }

  /// Gradients of input and filter beside the forward pass, both from the filter's spectrum.
  private func backward() throws {
    for (batch, channels, length) in Self.shapes {
      let name = "B=\(batch) H=\(channels) L=\(length)"
      guard bench.wants(name) else { continue }
      let problem = try problem(batch, channels, length)
      let spectrum = try problem.convolution.spectrum(of: problem.filters)
      let forward = try seconds { try problem.apply(.spectrum(spectrum)) }
      var targets = ConvolutionGradients()
      targets.input = try Tensor(zeros: .float32, [batch, channels, length])
      targets.filters = ConvolutionFilters(try Tensor(zeros: .float32, [channels, length]))
      let time = try seconds {
        try problem.convolution.gradients(
          of: problem.rows, spectrum: spectrum, outputGradient: problem.output, into: targets)
      }
      report(
        "fftconv_causal_bwd", name, "godwit", time, bytes: Double(16 * batch * channels * length),
        note: "\(Output.fixed(time / forward, 2)) of forward")
    }
  }

  func problem(
    _ batch: Int, _ channels: Int, _ length: Int, taps: Int? = nil, mask: FrequencyMask? = nil
  ) throws -> Problem {
    let shape = try ConvolutionShape(mode: .causal, length: length, filterLength: taps ?? length)
    return Problem(
      shape: shape, name: "B=\(batch) H=\(channels) L=\(length)",
      rows: ConvolutionRows(try Tensor(random: .float32, [batch, channels, length], seed: 1)),
      filters: ConvolutionFilters(try Tensor(random: .float32, [channels, shape.filterLength], seed: 2)),
      output: try Tensor(zeros: .float32, [batch, channels, length]),
      convolution: try LongConvolution(shape, channels: channels, mask: mask, planner: planner, on: executor))
  }

  func logarithm(_ count: Int) -> Double {
    var (bits, power) = (0.0, 1)
    while power < count {
      power *= 2
      bits += 1
    }
    return bits
  }

  /// Median seconds of one call among at least ten runs of several.
  func seconds(_ body: () throws -> Void) throws -> Double {
    func once(_ calls: Int) throws -> Double {
      let start = ContinuousClock.now
      for _ in 0..<calls { try body() }
      return (ContinuousClock.now - start) / .seconds(1) / Double(calls)
    }
    let first = try min(once(1), once(1))
    let calls = max(1, min(1000, Int(0.02 / first)))
    var times: [Double] = []
    for _ in 0..<max(10, bench.repeats) { times.append(try once(calls)) }
    return times.sorted()[times.count / 2]
  }

  func report(
    _ op: String, _ shape: String, _ peer: String, _ seconds: Double, flops: Double? = nil,
    bytes: Double? = nil,
    error: Double? = nil, note: String? = nil
  ) {
    guard bench.json else {
      let rate = flops.map { ", \(Output.fixed($0 / seconds / 1e9, 1)) gflops" } ?? ""
      let memory = bytes.map { ", \(Output.fixed($0 / seconds / 1e9, 2)) GB/s" } ?? ""
      let wrong = error.map { ", error \($0)" } ?? ""
      Output.write(
        "\(op)  \(shape)  \(peer): \(Output.fixed(seconds * 1e3, 4)) ms\(rate)\(memory)\(wrong)"
          + (note.map { "  (\($0))" } ?? "") + "\n")
      return
    }
    Output.json([
      "op": JSONField(op), "shape": JSONField(shape), "peer": JSONField(peer),
      "threads": JSONField(bench.threadCount),
      "ms": JSONField(seconds * 1e3, decimals: 5),
      "gflops": flops.map { JSONField($0 / seconds / 1e9, decimals: 1) },
      "gbps": bytes.map { JSONField($0 / seconds / 1e9, decimals: 2) },
      "error": error.map { JSONField($0, decimals: 9) },
      "note": note.map { JSONField($0) },
    ])
  }
}

extension ConvolutionBench.Problem {
  /// The transform's size and how it is split.
  var plan: String {
    let plan = convolution.plan
    let pieces = plan.chunks > 1 ? "\(plan.chunks) x " : ""
    return "\(pieces)\(plan.columns.length) x \(plan.rows.length)"
  }

  func apply(_ filter: LongConvolution.Filter) throws { try convolution.apply(rows, filter, into: output) }

  /// ‖y − exact‖ over ‖exact‖ at 64 places of the first row.
  var error: Double {
    let length = shape.length
    return rows.input.withElements(as: Float.self) { u in
      filters.forward.withElements(as: Float.self) { k in
        output.withElements(as: Float.self) { y in
          var (difference, size) = (0.0, 0.0)
          for place in 0..<64 {
            let at = (length - 1) * (place + 1) / 64
            var exact = 0.0
            for lag in 0...min(at, shape.filterLength - 1) { exact += Double(k[lag]) * Double(u[at - lag]) }
            difference += (Double(y[at]) - exact) * (Double(y[at]) - exact)
            size += exact * exact
          }
          return size > 0 ? (difference / size).squareRoot() : .infinity
        }
      }
    }
  }
}
