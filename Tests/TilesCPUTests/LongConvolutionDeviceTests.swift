import Fourier
import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

/// The convolution on machines without transforms of their own: tile programs, here run by the cores.
@Suite struct LongConvolutionDeviceTests {
  /// Cores that only run tile programs.
  struct TilesOnly: Executor {
    let host: CPUExecutor
    func compile(_ kernel: Kernel) throws(ExecutionError) -> any CompiledKernel { try host.compile(kernel) }
  }

  func machine() throws -> TilesOnly { TilesOnly(host: try CPUExecutor(threads: 2)) }

  @Test(arguments: [100, 128, 200], [LongConvolution.Layout.channelsFirst, .channelsLast])
  func agreesWithTheDefinition(length: Int, layout: LongConvolution.Layout) throws {
    try agree(.causal, length, layout)
  }

  @Test(
    arguments: [ConvolutionMode.LagZero.both, .causalOnly],
    [LongConvolution.Layout.channelsFirst, .channelsLast])
  func twoSidedAgreesWithTheDefinition(lagZero: ConvolutionMode.LagZero, layout: LongConvolution.Layout)
    throws
  {
    for length in [65, 128, 512] { try agree(.bidirectional(lagZero: lagZero), length, layout) }
  }

  /// Rows that are cut into two chunks or four, whole and padded.
  @Test(arguments: [10_000, 16_384, 20_000, 32_768]) func chunksAgreeWithTheDefinition(length: Int) throws {
    try agree(.causal, length, .channelsFirst, batch: 3, channels: 2)
  }

  /// Rows whose causal convolution would be cut into chunks, in which the first could not take what comes from the second; and
  /// lengths on both sides of those.
  @Test(arguments: [5000, 8192, 10_000, 16_384, 20_000])
  func longTwoSidedAgreesWithTheDefinition(length: Int) throws {
    try agree(.bidirectional(lagZero: .causalOnly), length, .channelsFirst)
  }

  /// Filters of fewer taps than rows have numbers, with and without gates.
  @Test(
    arguments: [(1, 1), (2, 1), (65, 3), (1000, 31), (4097, 1000), (9000, 4500), (16_384, 512)],
    [false, true])
  func filtersMayBeShort(size: (length: Int, taps: Int), gated: Bool) throws {
    for mode in [ConvolutionMode.causal, .bidirectional(lagZero: .both)] {
      try agree(
        mode, size.length, .channelsFirst, batch: gated ? 2 : 1, taps: size.taps, gated: gated)
    }
  }

  private func agree(
    _ mode: ConvolutionMode, _ length: Int, _ layout: LongConvolution.Layout, batch: Int = 2,
    channels: Int = 3, taps: Int? = nil, gated: Bool = true
  ) throws {
    let executor = try machine()
    let shape = try ConvolutionShape(mode: mode, length: length, filterLength: taps ?? length)
    let test = try ConvolutionCase(shape, batch: batch, channels: channels, type: .float16, gated: gated)
    let isLast = layout == .channelsLast
    func turned(_ t: Tensor) throws -> Tensor {
      guard isLast else { return t }
      let result = try Tensor(zeros: t.type, [batch, length, channels])
      try executor.copy(from: t.permuted([0, 2, 1]), into: result)
      return result
    }
    func back(_ t: Tensor) throws -> [Double] {
      guard isLast else { return values(t) }
      let result = try Tensor(zeros: t.type, [batch, channels, length])
      try executor.copy(from: t.permuted([0, 2, 1]), into: result)
      return values(result)
    }
    let rows = ConvolutionRows(
      try turned(test.rows.input), inputGate: try test.rows.inputGate.map(turned),
      outputGate: try test.rows.outputGate.map(turned), skip: test.rows.skip)
    let convolution = try LongConvolution(
      shape, channels: channels, type: .float16, layout: layout, on: executor)
    let spectrum = try convolution.spectrum(of: test.filters)
    let exactly = test.exact()
    func judge(_ filter: LongConvolution.Filter) throws {
      let y = try poisoned(.float16, rows.input.shape)
      try convolution.apply(rows, filter, into: y)
      #expect(relativeError(try back(y), exactly) < 2e-3)
    }
    for filter in [LongConvolution.Filter.taps(test.filters), .spectrum(spectrum)] { try judge(filter) }
    let g = try uniform(.float16, test.rows.input.shape, seed: 40)
    var targets = ConvolutionGradients()
    targets.input = try poisoned(.float16, rows.input.shape)
    if gated {
      targets.inputGate = try poisoned(.float16, rows.input.shape)
      targets.outputGate = try poisoned(.float16, rows.input.shape)
      targets.skip = try poisoned([channels])
    }
    let extents = test.filters.forward.shape
    targets.filters = ConvolutionFilters(
      try poisoned(extents), reverse: mode.hasReverse ? try poisoned(extents) : nil)
    try convolution.gradients(of: rows, spectrum: spectrum, outputGradient: turned(g), into: targets)
    let exact = LongConvolutionGradientTests().exact(test, values(g))
    let found =
      [
        try targets.input.map(back), try targets.inputGate.map(back), try targets.outputGate.map(back),
        targets.skip.map(values), targets.filters.map { values($0.forward) },
      ] + (mode.hasReverse ? [targets.filters?.reverse.map(values)] : [])
    for (number, result) in found.enumerated() where gated || result != nil {
      #expect(relativeError(result ?? [], exact[number]) < 2e-3, "gradient \(number)")
    }
    // What gradients leave behind is in nobody's way.
    try judge(.taps(test.filters))
    try judge(.spectrum(convolution.spectrum(of: test.filters)))
  }

  @Test func aSecondFilterIsNeededWhereThereAreTwoSides() throws {
    let shape = try ConvolutionShape(mode: .bidirectional(lagZero: .both), length: 64, filterLength: 64)
    let convolution = try LongConvolution(shape, channels: 1, type: .float16, on: machine())
    #expect(throws: ConvolutionError.self) {
      try convolution.spectrum(of: ConvolutionFilters(Tensor(zeros: .float32, [1, 64])))
    }
  }

  @Test func whatIsOnlyOnTheCoresIsRefused() throws {
    let executor = try machine()
    func refuses(_ mode: ConvolutionMode, _ length: Int, _ type: ElementType) {
      #expect(throws: ConvolutionError.self) {
        try LongConvolution(
          ConvolutionShape(mode: mode, length: length, filterLength: length), channels: 1, type: type,
          on: executor)
      }
    }
    refuses(.bidirectional(lagZero: .both), 64, .float32)
    refuses(.circular, 100, .float16)
    refuses(.causal, 64, .float32)
    let shape = try ConvolutionShape(mode: .causal, length: 64, filterLength: 64)
    #expect(throws: ConvolutionError.self) {
      try LongConvolution(
        shape, channels: 1, type: .float16, mask: FrequencyMask(factors: [64], keep: [32]), on: executor)
    }
  }
}
