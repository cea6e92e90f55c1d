import Fourier
import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

/// Rows, filters and what they should give in float64.
struct ConvolutionCase {
  let shape: ConvolutionShape
  let (batch, channels): (Int, Int)
  let rows: ConvolutionRows
  let filters: ConvolutionFilters

  init(
    _ shape: ConvolutionShape, batch: Int = 2, channels: Int = 3, type: ElementType = .float32,
    gated: Bool = true
  ) throws {
    self.shape = shape
    (self.batch, self.channels) = (batch, channels)
    let extents = [batch, channels, shape.length]
    rows = ConvolutionRows(
      try uniform(type, extents, seed: 11), inputGate: gated ? try uniform(type, extents, seed: 12) : nil,
      outputGate: gated ? try uniform(type, extents, seed: 13) : nil,
      skip: gated ? try uniform([channels], seed: 14) : nil)
    filters = ConvolutionFilters(
      try uniform([channels, shape.filterLength], seed: 15),
      reverse: shape.mode.hasReverse ? try uniform([channels, shape.filterLength], seed: 16) : nil)
  }

  /// v (k ∗ (w u) + D w u), row by row, by the definition or where that takes too long by float64 transforms.
  func exact(mask: FrequencyMask? = nil) -> [Double] {
    let length = shape.length
    let (u, k) = (values(rows.input), values(filters.forward))
    let (w, v) = (rows.inputGate.map(values), rows.outputGate.map(values))
    let q = filters.reverse.map(values)
    let oracle = ConvolutionOracle(shape, mask: mask)
    var y: [Double] = []
    for row in 0..<batch * channels {
      let channel = row % channels
      let span = row * length..<(row + 1) * length
      let taps = channel * shape.filterLength..<(channel + 1) * shape.filterLength
      var s = Array(u[span])
      if let w { for i in 0..<length { s[i] *= w[span.lowerBound + i] } }
      let filter = (Array(k[taps]), q.map { Array($0[taps]) } ?? [])
      let small = mask == nil && length * shape.filterLength < 4_000_000
      let c =
        small
        ? oracle.definition(s, filter.0, reverse: filter.1)
        : oracle.transformed(s, filter.0, reverse: filter.1)
      for i in 0..<length {
        let skip = rows.skip.map { values($0)[channel] * s[i] } ?? 0
        y.append((c[i] + skip) * (v?[span.lowerBound + i] ?? 1))
      }
    }
    return y
  }
}

@Suite struct LongConvolutionTests {
  static let modes: [ConvolutionMode] = [
    .causal, .circular, .bidirectional(lagZero: .both), .bidirectional(lagZero: .causalOnly),
  ]

  func machine(_ threads: Int = 2, _ microkernels: String? = nil) throws -> CPUExecutor {
    try CPUExecutor(threads: threads, microkernels: microkernels)
  }

  func result(
    _ test: ConvolutionCase, on executor: CPUExecutor, mask: FrequencyMask? = nil, cached: Bool = false
  ) throws -> [Double] {
    let convolution = try LongConvolution(
      test.shape, channels: test.channels, type: test.rows.input.type, mask: mask, on: executor)
    let y = try poisoned(test.rows.input.type, test.rows.input.shape)
    let filter =
      cached
      ? LongConvolution.Filter.spectrum(try convolution.spectrum(of: test.filters)) : .taps(test.filters)
    try convolution.apply(test.rows, filter, into: y)
    return values(y)
  }

  @Test(
    arguments: [1, 2, 3, 7, 8, 15, 17, 63, 64, 65, 127, 255, 256, 257, 1000, 1024, 1031], modes)
  func agreesWithTheDefinition(length: Int, mode: ConvolutionMode) throws {
    for taps in Set([1, (length + 2) / 3, length]) {
      let test = try ConvolutionCase(ConvolutionShape(mode: mode, length: length, filterLength: taps))
      let exact = test.exact()
      for cached in [false, true] {
        #expect(relativeError(try result(test, on: machine(), cached: cached), exact) < 1e-6)
      }
    }
  }

  @Test(arguments: [4096, 14_113, 65_536, 100_003]) func longRowsAgree(length: Int) throws {
    let test = try ConvolutionCase(
      ConvolutionShape(mode: .causal, length: length, filterLength: length), batch: 1, channels: 2)
    let exact = test.exact()
    #expect(relativeError(try result(test, on: machine()), exact) < 1e-6)
    #expect(relativeError(try result(test, on: machine(1)), exact) < 1e-6)
  }

  @Test(arguments: [ElementType.float16, .bfloat16]) func sixteenBitRowsAgree(type: ElementType) throws {
    for mode in Self.modes {
      let test = try ConvolutionCase(ConvolutionShape(mode: mode, length: 300, filterLength: 300), type: type)
      // Only the result is rounded; sums are float32.
      #expect(relativeError(try result(test, on: machine()), test.exact()) < roundoff(type))
    }
  }

  @Test func portableRoutinesAgree() throws {
    for (mode, length) in zip(Self.modes, [840, 448, 1031, 250]) {
      let test = try ConvolutionCase(ConvolutionShape(mode: mode, length: length, filterLength: length))
      #expect(relativeError(try result(test, on: machine(2, "portable")), test.exact()) < 1e-6)
    }
  }

  /// Every plan computes the same, so that a choice by measurement changes times only.
  @Test func everyPlanAgrees() throws {
    let executor = try machine()
    for shape in [
      try ConvolutionShape(mode: .causal, length: 720, filterLength: 720),
      try ConvolutionShape(mode: .causal, length: 5000, filterLength: 300),
      try ConvolutionShape(mode: .circular, length: 840, filterLength: 840),
    ] {
      let test = try ConvolutionCase(shape)
      let exact = test.exact()
      for plan in PlanSearch(shape).candidates(24) {
        let y = try poisoned(test.rows.input.shape)
        try executor.prepare(plan, mask: nil).run(test.rows, filters: test.filters, into: y)
        #expect(relativeError(values(y), exact) < 1e-6, "\(plan)")
      }
    }
    let measured = ConvolutionPlanner(.measure(candidates: 3))
    let shape = try ConvolutionShape(mode: .causal, length: 500, filterLength: 500)
    let plan = try measured.plan(for: shape, mask: nil, on: executor)
    #expect(plan == (try measured.plan(for: shape, mask: nil, on: executor)))
  }

  /// An impulse gives the filter, a shifted one the shifted filter, and earlier numbers nothing.
  @Test func impulsesGiveTheFilter() throws {
    let shape = try ConvolutionShape(mode: .causal, length: 1000, filterLength: 1000)
    let k = try uniform([1, 1000], seed: 3)
    let convolution = try LongConvolution(shape, channels: 1, on: machine())
    for at in [0, 1, 500, 999] {
      let u = try tensor([1, 1, 1000]) { $0 == at ? 1 : 0 }
      let y = try poisoned([1, 1, 1000])
      try convolution.apply(ConvolutionRows(u), .taps(ConvolutionFilters(k)), into: y)
      let exact = Array(repeating: 0, count: at) + values(k).prefix(1000 - at)
      #expect(error(values(y), exact, inUnitsOf: 1e-6) <= 1)
    }
  }

  /// What comes later moves what came before by no more than the rounding of the whole row.
  @Test func laterNumbersMoveEarlierOnesByRoundingOnly() throws {
    let shape = try ConvolutionShape(mode: .causal, length: 4096, filterLength: 4096)
    let k = ConvolutionFilters(try uniform([1, 4096], seed: 4))
    let convolution = try LongConvolution(shape, channels: 1, on: machine())
    let quiet = try uniform([1, 1, 4096], seed: 5)
    let loud = try tensor([1, 1, 4096]) { $0 < 2048 ? Float(values(quiet)[$0]) : 1000 }
    let (a, b) = (try poisoned([1, 1, 4096]), try poisoned([1, 1, 4096]))
    try convolution.apply(ConvolutionRows(quiet), .taps(k), into: a)
    try convolution.apply(ConvolutionRows(loud), .taps(k), into: b)
    let scale = values(b).map(abs).max() ?? 0
    let moved = zip(values(a), values(b)).prefix(2048).map { abs($0 - $1) }.max() ?? 1
    #expect(moved <= 1e-6 * scale)
  }

  @Test func channelsMayLieLast() throws {
    let shape = try ConvolutionShape(mode: .causal, length: 100, filterLength: 100)
    let test = try ConvolutionCase(shape, batch: 3, channels: 19)
    let turned = { (t: Tensor) throws -> Tensor in
      let result = try Tensor(zeros: t.type, [3, 100, 19])
      try CPUExecutor(threads: 1).copy(from: t.permuted([0, 2, 1]), into: result)
      return result
    }
    let rows = ConvolutionRows(
      try turned(test.rows.input), inputGate: try test.rows.inputGate.map(turned),
      outputGate: try test.rows.outputGate.map(turned), skip: test.rows.skip)
    let y = try poisoned([3, 100, 19])
    let convolution = try LongConvolution(shape, channels: 19, layout: .channelsLast, on: machine())
    try convolution.apply(rows, .taps(test.filters), into: y)
    let exact = test.exact()
    let found = values(y)
    let back = (0..<3).flatMap { b in
      (0..<19).flatMap { h in (0..<100).map { found[(b * 100 + $0) * 19 + h] } }
    }
    #expect(relativeError(back, exact) < 1e-6)
  }

  @Test(arguments: [[8, 16, 8], [16, 64]], [1, 2, 4]) func dropsFrequencies(factors: [Int], part: Int) throws
  {
    var keep = factors
    keep[0] /= part
    keep[factors.count - 1] /= part
    let mask = try FrequencyMask(factors: factors, keep: keep)
    for (mode, length) in [(ConvolutionMode.causal, 1000), (.causal, 1024), (.circular, 1024)] {
      let test = try ConvolutionCase(ConvolutionShape(mode: mode, length: length, filterLength: length))
      #expect(relativeError(try result(test, on: machine(), mask: mask), test.exact(mask: mask)) < 1e-6)
    }
  }

  @Test func badOperandsAreErrors() throws {
    let executor = try machine()
    let shape = try ConvolutionShape(mode: .causal, length: 16, filterLength: 16)
    let convolution = try LongConvolution(shape, channels: 2, on: executor)
    let k = LongConvolution.Filter.taps(ConvolutionFilters(try uniform([2, 16], seed: 1)))
    let y = try poisoned([1, 2, 16])
    #expect(throws: (any Error).self) { try LongConvolution(shape, channels: 0, on: executor) }
    #expect(throws: (any Error).self) { try LongConvolution(shape, channels: 2, type: .int8, on: executor) }
    let short = ConvolutionRows(try uniform([1, 2, 15], seed: 1))
    #expect(throws: ConvolutionError.self) { try convolution.apply(short, k, into: y) }
    let half = ConvolutionRows(try uniform(.float16, [1, 2, 16], seed: 1))
    #expect(throws: ConvolutionError.self) { try convolution.apply(half, k, into: y) }
    let rows = ConvolutionRows(try uniform([1, 2, 16], seed: 1))
    #expect(throws: ConvolutionError.self) { try convolution.apply(rows, k, into: poisoned([1, 2, 17])) }
    let other = LongConvolution.Filter.taps(ConvolutionFilters(try uniform([3, 16], seed: 1)))
    #expect(throws: ConvolutionError.self) { try convolution.apply(rows, other, into: y) }
    #expect(throws: ExecutionError.self) {
      try convolution.apply(rows, .spectrum(try uniform([2, 3], seed: 1)), into: y)
    }
    let mask = try FrequencyMask(factors: [8], keep: [4])
    #expect(throws: ConvolutionError.self) {
      try LongConvolution(shape, channels: 2, mask: mask, on: executor)
    }
  }
}
