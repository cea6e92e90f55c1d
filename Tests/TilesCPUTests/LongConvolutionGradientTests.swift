import Fourier
import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@Suite struct LongConvolutionGradientTests {
  /// All gradients of ⟨g, y⟩ by float64 sums, in the order input, gates, skip, filter, reverse.
  func exact(_ test: ConvolutionCase, _ g: [Double]) -> [[Double]] {
    let (length, taps) = (test.shape.length, test.shape.filterLength)
    let (u, w, v) = (
      values(test.rows.input), test.rows.inputGate.map(values), test.rows.outputGate.map(values)
    )
    let (k, q) = (values(test.filters.forward), test.filters.reverse.map(values))
    let oracle = ConvolutionOracle(test.shape)
    var (du, dw, dv) = (u.map { _ in 0.0 }, u.map { _ in 0.0 }, u.map { _ in 0.0 })
    var dd = [Double](repeating: 0, count: test.channels)
    var (dk, dq) = (k.map { _ in 0.0 }, k.map { _ in 0.0 })
    for row in 0..<test.batch * test.channels {
      let (channel, start) = (row % test.channels, row * length)
      let s = (0..<length).map { u[start + $0] * (w?[start + $0] ?? 1) }
      let dc = (0..<length).map { g[start + $0] * (v?[start + $0] ?? 1) }
      let skip = test.rows.skip.map { values($0)[channel] } ?? 0
      let filter = Array(k[channel * taps..<(channel + 1) * taps])
      let other = q.map { Array($0[channel * taps..<(channel + 1) * taps]) } ?? []
      let c = oracle.definition(s, filter, reverse: other)
      for i in 0..<length {
        dv[start + i] = g[start + i] * (c[i] + skip * s[i])
        dd[channel] += dc[i] * s[i]
        var ds = skip * dc[i]
        for m in 0..<taps {
          switch test.shape.mode {
          case .circular:
            ds += filter[m] * dc[(i + m) % length]
            dk[channel * taps + m] += dc[i] * s[(i - m + length) % length]
          case .causal, .bidirectional:
            if i + m < length { ds += filter[m] * dc[i + m] }
            if i >= m { dk[channel * taps + m] += dc[i] * s[i - m] }
          }
          if case .bidirectional(let lagZero) = test.shape.mode, m > 0 || lagZero == .both {
            if i >= m { ds += other[m] * dc[i - m] }
            if i + m < length { dq[channel * taps + m] += dc[i] * s[i + m] }
          }
        }
        du[start + i] = ds * (w?[start + i] ?? 1)
        dw[start + i] = ds * u[start + i]
      }
    }
    return [du, dw, dv, dd, dk, dq]
  }

  /// The same from the convolution.
  func found(
    _ test: ConvolutionCase, _ g: Tensor, on executor: CPUExecutor, plan: ConvolutionPlan? = nil
  ) throws -> [[Double]] {
    let gated = test.rows.inputGate != nil
    let extents = test.rows.input.shape
    let taps = test.filters.forward.shape
    var targets = ConvolutionGradients()
    targets.input = try poisoned(test.rows.input.type, extents)
    if gated {
      targets.inputGate = try poisoned(test.rows.input.type, extents)
      targets.outputGate = try poisoned(test.rows.input.type, extents)
      targets.skip = try poisoned([test.channels])
    }
    targets.filters = ConvolutionFilters(
      try poisoned(taps), reverse: test.shape.mode.hasReverse ? try poisoned(taps) : nil)
    let planned = try executor.prepare(plan ?? PlanSearch(test.shape).estimate, mask: nil)
    let spectrum = try Tensor(zeros: .float32, [test.channels, planned.plan.spectrumCount])
    try planned.transform(test.filters, into: spectrum)
    try planned.gradients(of: test.rows, spectrum: spectrum, outputGradient: g, into: targets)
    return [
      targets.input, targets.inputGate, targets.outputGate, targets.skip, targets.filters?.forward,
      targets.filters?.reverse,
    ].map { $0.map(values) ?? [] }
  }

  func compare(_ found: [[Double]], _ exact: [[Double]], _ bound: Double, _ note: String) {
    for (number, name) in ["input", "inputGate", "outputGate", "skip", "filter", "reverse"].enumerated()
    where !found[number].isEmpty {
      #expect(relativeError(found[number], exact[number]) < bound, "\(name), \(note)")
    }
  }

  @Test(arguments: [1, 2, 3, 8, 63, 65, 127, 200], LongConvolutionTests.modes)
  func agreeWithTheSums(length: Int, mode: ConvolutionMode) throws {
    let executor = try CPUExecutor(threads: 2)
    for (taps, gated) in [(1, true), ((length + 1) / 2, true), (length, true), (length, false)] {
      let shape = try ConvolutionShape(mode: mode, length: length, filterLength: taps)
      let test = try ConvolutionCase(shape, batch: 3, channels: 2, gated: gated)
      let g = try uniform(test.rows.input.shape, seed: 20)
      compare(
        try found(test, g, on: executor), exact(test, values(g)), 2e-6, "\(taps) taps, gated \(gated)")
    }
  }

  /// Pieces shorter than the row: what spills over has gradients too.
  @Test func agreeInPieces() throws {
    let executor = try CPUExecutor(threads: 1)
    let shape = try ConvolutionShape(mode: .causal, length: 100, filterLength: 20)
    let test = try ConvolutionCase(shape, batch: 2, channels: 2)
    let g = try uniform(test.rows.input.shape, seed: 21)
    for (columns, rows) in [([8], [4]), ([8], [3]), ([3], [7])] {
      let plan = ConvolutionPlan(shape: shape, columns: Radices(columns), rows: Radices(rows))
      compare(try found(test, g, on: executor, plan: plan), exact(test, values(g)), 2e-6, "\(plan.size)")
    }
  }

  @Test(arguments: [ElementType.float16, .bfloat16]) func sixteenBitGradientsAgree(type: ElementType) throws {
    let shape = try ConvolutionShape(mode: .causal, length: 129, filterLength: 129)
    let test = try ConvolutionCase(shape, type: type)
    let g = try uniform(type, test.rows.input.shape, seed: 22)
    compare(
      try found(test, g, on: CPUExecutor(threads: 2)), exact(test, values(g)), 2 * roundoff(type),
      type.rawValue)
  }

  /// ⟨g, A u⟩ = ⟨Aᵀ g, u⟩ for a long row, where the sums would take too long.
  @Test(arguments: [4096, 14_113]) func areAdjoint(length: Int) throws {
    let executor = try CPUExecutor(threads: 2)
    let shape = try ConvolutionShape(mode: .causal, length: length, filterLength: length)
    let test = try ConvolutionCase(shape, batch: 1, channels: 1, gated: false)
    let g = try uniform(test.rows.input.shape, seed: 23)
    let gradients = try found(test, g, on: executor)
    let y = test.exact()
    func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    let forward = dot(values(g), y)
    let scale = dot(values(g), values(g)).squareRoot() * dot(y, y).squareRoot()
    #expect(abs(dot(gradients[0], values(test.rows.input)) - forward) < 1e-6 * scale)
    #expect(abs(dot(gradients[4], values(test.filters.forward)) - forward) < 1e-6 * scale)
  }

  @Test func channelsMayLieLast() throws {
    let executor = try CPUExecutor(threads: 2)
    let shape = try ConvolutionShape(mode: .causal, length: 40, filterLength: 40)
    let test = try ConvolutionCase(shape, batch: 2, channels: 18)
    let g = try uniform(test.rows.input.shape, seed: 24)
    let exact = exact(test, values(g))
    func turned(_ t: Tensor) throws -> Tensor {
      let result = try Tensor(zeros: t.type, [2, 40, 18])
      try executor.copy(from: t.permuted([0, 2, 1]), into: result)
      return result
    }
    func back(_ t: Tensor?) throws -> [Double] {
      let result = try Tensor(zeros: .float32, [2, 18, 40])
      if let t { try executor.copy(from: t.permuted([0, 2, 1]), into: result) }
      return values(result)
    }
    let convolution = try LongConvolution(shape, channels: 18, layout: .channelsLast, on: executor)
    let rows = ConvolutionRows(
      try turned(test.rows.input), inputGate: try test.rows.inputGate.map(turned),
      outputGate: try test.rows.outputGate.map(turned), skip: test.rows.skip)
    var targets = ConvolutionGradients()
    targets.input = try poisoned([2, 40, 18])
    targets.inputGate = try poisoned([2, 40, 18])
    targets.outputGate = try poisoned([2, 40, 18])
    targets.skip = try poisoned([18])
    targets.filters = ConvolutionFilters(try poisoned([18, 40]))
    try convolution.gradients(
      of: rows, spectrum: convolution.spectrum(of: test.filters), outputGradient: turned(g), into: targets)
    let found = [
      try back(targets.input), try back(targets.inputGate), try back(targets.outputGate),
      targets.skip.map(values) ?? [], targets.filters.map { values($0.forward) } ?? [], [],
    ]
    compare(found, exact, 2e-6, "channels last")
  }

  @Test func gradientsOfWhatIsNotThereAreRefused() throws {
    let shape = try ConvolutionShape(mode: .causal, length: 8, filterLength: 8)
    let test = try ConvolutionCase(shape, gated: false)
    let convolution = try LongConvolution(shape, channels: 3, on: CPUExecutor(threads: 1))
    var targets = ConvolutionGradients()
    targets.skip = try poisoned([3])
    #expect(throws: ExecutionError.self) {
      try convolution.gradients(
        of: test.rows, spectrum: convolution.spectrum(of: test.filters), outputGradient: test.rows.input,
        into: targets)
    }
  }
}
