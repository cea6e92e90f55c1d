import Fourier
import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

/// Filters, skip factors and where gradients go, checked alike on the cores and on machines that run tile programs only.
@Suite struct LongConvolutionOperandTests {
  static let layouts = [LongConvolution.Layout.channelsFirst, .channelsLast]

  /// A convolution of two rows of three channels, and what it is called with.
  struct Case {
    let convolution: LongConvolution
    let (rows, filters): (ConvolutionRows, ConvolutionFilters)
    let size: [Int]
    let type: ElementType
    let executor: any Executor

    init(_ layout: LongConvolution.Layout, onCores: Bool, mode: ConvolutionMode = .causal) throws {
      let cores = try CPUExecutor(threads: 2)
      executor = onCores ? cores : LongConvolutionDeviceTests.TilesOnly(host: cores)
      type = onCores ? .float32 : .float16
      let shape = try ConvolutionShape(mode: mode, length: 64, filterLength: 64)
      size = layout == .channelsFirst ? [2, 3, 64] : [2, 64, 3]
      convolution = try LongConvolution(shape, channels: 3, type: type, layout: layout, on: executor)
      rows = ConvolutionRows(try uniform(type, size, seed: 1), skip: try uniform([3], seed: 2))
      filters = ConvolutionFilters(
        try uniform([3, 64], seed: 3), reverse: mode.hasReverse ? try uniform([3, 64], seed: 4) : nil)
    }

    func output(_ filter: LongConvolution.Filter, of rows: ConvolutionRows? = nil) throws -> [Double] {
      let y = try poisoned(type, size)
      try convolution.apply(rows ?? self.rows, filter, into: y)
      return values(y)
    }

    func gradients(into targets: ConvolutionGradients) throws {
      try convolution.gradients(
        of: rows, spectrum: convolution.spectrum(of: filters), outputGradient: uniform(type, size, seed: 5),
        into: targets)
    }
  }

  @Test(arguments: layouts, [true, false])
  func skipFactorsAreOneAChannel(layout: LongConvolution.Layout, onCores: Bool) throws {
    let test = try Case(layout, onCores: onCores)
    let spectrum = try test.convolution.spectrum(of: test.filters)
    for shape in [[], [2], [7], [3, 1]] {
      let rows = ConvolutionRows(test.rows.input, skip: try Tensor(zeros: .float32, shape))
      for filter in [LongConvolution.Filter.taps(test.filters), .spectrum(spectrum)] {
        #expect(
          throws: ConvolutionError.tensor(name: "skip", found: "float32 \(shape)", expected: "float32 [3]")
        ) { _ = try test.output(filter, of: rows) }
      }
      var targets = ConvolutionGradients()
      targets.skip = try Tensor(zeros: .float32, shape)
      #expect(throws: ConvolutionError.self) { try test.gradients(into: targets) }
    }
    let whole = ConvolutionRows(test.rows.input, skip: try Tensor(zeros: .int32, [3]))
    #expect(throws: ConvolutionError.self) { _ = try test.output(.spectrum(spectrum), of: whole) }
  }

  @Test(arguments: layouts, [true, false])
  func filtersAreOneAChannel(layout: LongConvolution.Layout, onCores: Bool) throws {
    let test = try Case(layout, onCores: onCores)
    for shape in [[], [3], [3, 60], [2, 64]] {
      let other = ConvolutionFilters(try Tensor(zeros: .float32, shape))
      #expect(
        throws: ConvolutionError.tensor(
          name: "filter", found: "float32 \(shape)", expected: "float32 [3, 64]")
      ) { _ = try test.output(.taps(other)) }
      #expect(throws: ConvolutionError.self) { try test.convolution.spectrum(of: other) }
      var targets = ConvolutionGradients()
      targets.filters = other
      #expect(throws: ConvolutionError.self) { try test.gradients(into: targets) }
    }
    let half = ConvolutionFilters(try Tensor(zeros: .float16, [3, 64]))
    #expect(throws: ConvolutionError.self) { _ = try test.output(.taps(half)) }
  }

  /// A second filter, or its gradient, is an error where there is one side, and the filter one where there are two.
  @Test(arguments: layouts, [true, false])
  func sidesAreThoseOfTheMode(layout: LongConvolution.Layout, onCores: Bool) throws {
    let test = try Case(layout, onCores: onCores)
    let both = ConvolutionFilters(test.filters.forward, reverse: try uniform([3, 64], seed: 6))
    #expect(throws: ConvolutionError.self) { _ = try test.output(.taps(both)) }
    #expect(throws: ConvolutionError.self) { try test.convolution.spectrum(of: both) }
    var targets = ConvolutionGradients()
    targets.filters = both
    #expect(
      message { try test.gradients(into: targets) }.contains("only a two-sided convolution has one"))
    let twoSided = try Case(layout, onCores: onCores, mode: .bidirectional(lagZero: .both))
    #expect(
      message { _ = try twoSided.output(.taps(ConvolutionFilters(both.forward))) }.contains(
        "takes a second filter"))
    let short = ConvolutionFilters(both.forward, reverse: try uniform([3, 63], seed: 6))
    #expect(throws: ConvolutionError.self) { _ = try twoSided.output(.taps(short)) }
  }

  /// Filters, skip factors and their gradients may be parts of something larger.
  @Test(arguments: layouts, [true, false])
  func stridesChangeNothing(layout: LongConvolution.Layout, onCores: Bool) throws {
    for mode in [ConvolutionMode.causal, .bidirectional(lagZero: .causalOnly)] {
      let test = try Case(layout, onCores: onCores, mode: mode)
      func part(_ tensor: Tensor?) throws -> Tensor? {
        try tensor.map { tensor in
          let larger = try poisoned([2 * tensor.count])
          let view = Tensor(
            unchecked: larger.storage, byteOffset: larger.byteOffset + 4, type: .float32, shape: tensor.shape,
            strides: tensor.strides.map { 2 * $0 })
          try test.executor.copy(from: tensor, into: view)
          return view
        }
      }
      func dense(_ tensor: Tensor?) throws -> [Double] {
        guard let tensor else { return [] }
        let result = try poisoned(tensor.shape)
        try test.executor.copy(from: tensor, into: result)
        return values(result)
      }
      let filters = ConvolutionFilters(
        try #require(try part(test.filters.forward)), reverse: try part(test.filters.reverse))
      let rows = ConvolutionRows(test.rows.input, skip: try part(test.rows.skip))
      #expect(try test.output(.taps(filters), of: rows) == test.output(.taps(test.filters)))
      let spectra = try [filters, test.filters].map { values(try test.convolution.spectrum(of: $0)) }
      #expect(spectra[0] == spectra[1])
      var targets: [ConvolutionGradients] = []
      for isPart in [false, true] {
        var made = ConvolutionGradients()
        made.skip = try poisoned([3])
        made.filters = ConvolutionFilters(
          try poisoned([3, 64]), reverse: mode.hasReverse ? try poisoned([3, 64]) : nil)
        if isPart {
          made.skip = try part(made.skip)
          made.filters = try made.filters.map {
            ConvolutionFilters(try #require(try part($0.forward)), reverse: try part($0.reverse))
          }
        }
        try test.gradients(into: made)
        targets.append(made)
      }
      for (first, second) in [
        (targets[0].skip, targets[1].skip), (targets[0].filters?.forward, targets[1].filters?.forward),
        (targets[0].filters?.reverse, targets[1].filters?.reverse),
      ] {
        let found = try dense(second)
        #expect(try found == dense(first) && !found.contains { $0.isNaN })
      }
    }
  }
}
