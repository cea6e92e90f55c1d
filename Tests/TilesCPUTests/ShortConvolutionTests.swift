import Fourier
import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

#if canImport(Glibc)
  import Glibc
#endif

@Suite struct ShortConvolutionTests {
  static let cases: [ShortCase] =
    [1, 2, 63, 65, 521].map { ShortCase(width: 4, length: $0) }
    + [
      ShortCase(width: 2, length: 65, reach: .centred, hasBias: false),
      ShortCase(width: 3, length: 7, reach: .centred, appliesSiLU: true),
      ShortCase(width: 3, length: 521, type: .bfloat16, reach: .centred),
      ShortCase(width: 4, length: 67, type: .bfloat16, appliesSiLU: true),
      ShortCase(width: 5, length: 33, channels: 131, type: .float16),
      ShortCase(width: 7, length: 97, type: .bfloat16, filterType: .bfloat16),
      ShortCase(width: 16, length: 13, appliesSiLU: true),
      ShortCase(width: 16, length: 65, reach: .centred, hasBias: false),
      ShortCase(width: 12, length: 530, channels: 259, batch: 1),
    ]

  @Test(arguments: cases, [LongConvolution.Layout.channelsFirst, .channelsLast])
  func agreesWithTheDefinition(_ c: ShortCase, layout: LongConvolution.Layout) throws {
    let given = try ShortInputs(c, layout)
    let (exact, bound) = given.definition()
    for (name, executor) in judged(reference: c.count < 4000, portable: c.count < 4000) {
      let y = try poisoned(c.type, given.x.shape)
      try ShortConvolution(c.shape(layout), on: executor).apply(given.x, given.filter, into: y)
      #expect(error(values(y), exact, inUnitsOf: bound) <= 1, "\(name)")
    }
  }

  /// A whole sequence, and a prefix at once with the rest in steps, round alike.
  @Test(arguments: cases.filter { $0.reach == .causal && $0.length < 70 })
  func stepsEqualTheWhole(_ c: ShortCase) throws {
    for layout in [LongConvolution.Layout.channelsFirst, .channelsLast] {
      let given = try ShortInputs(c, layout)
      for (name, executor) in judged(reference: false) {
        let convolution = try ShortConvolution(c.shape(layout), on: executor)
        let whole = try poisoned(c.type, given.x.shape)
        try convolution.apply(given.x, given.filter, into: whole)
        let axis = layout == .channelsFirst ? 2 : 1
        for prefix in Set([0, c.length / 2]) {
          var state = try Tensor(zeros: c.type, [c.batch, c.width - 1, c.channels])
          if prefix > 0 {
            state = try poisoned(c.type, state.shape)
            try convolution.lastState(of: given.x.sliced(axis: axis, 0..<prefix), into: state)
          }
          for position in prefix..<c.length {
            let y = try poisoned(c.type, [c.batch, c.channels])
            try convolution.step(
              given.x.selecting(axis: axis, position), given.filter, state: state, into: y)
            let wanted = try Tensor(zeros: c.type, y.shape)
            try executor.copy(from: whole.selecting(axis: axis, position), into: wanted)
            #expect(
              values(y).map(\.bitPattern) == values(wanted).map(\.bitPattern), "\(name), position \(position)"
            )
          }
        }
      }
    }
  }

  /// Tensors that lie otherwise in memory give the same bits: the other layout's, and filters with the taps apart.
  @Test func stridesDoNotMatter() throws {
    let c = ShortCase(width: 4, length: 70, channels: 21)
    let given = try ShortInputs(c, .channelsFirst)
    let executor = executors[0]
    let plain = try poisoned(given.x.shape)
    try ShortConvolution(c.shape(.channelsFirst), on: executor).apply(given.x, given.filter, into: plain)
    let turned = try Tensor(zeros: .float32, [c.width, c.channels])
    try executor.copy(from: given.filter.weights.permuted([1, 0]), into: turned)
    let y = try poisoned(given.x.shape)
    try ShortConvolution(c.shape(.channelsLast), on: executor).apply(
      given.x.permuted([0, 2, 1]),
      ShortConvolution.Filter(weights: turned.permuted([1, 0]), bias: given.filter.bias),
      into: y.permuted([0, 2, 1]))
    #expect(values(y).map(\.bitPattern) == values(plain).map(\.bitPattern))
  }

  /// A change at one position moves nothing before it.
  @Test func causalResultsDoNotSeeTheFuture() throws {
    let c = ShortCase(width: 5, length: 40)
    let given = try ShortInputs(c, .channelsLast)
    let convolution = try ShortConvolution(c.shape(.channelsLast), on: executors[0])
    let (before, after) = (try poisoned(given.x.shape), try poisoned(given.x.shape))
    try convolution.apply(given.x, given.filter, into: before)
    let row = c.channels
    given.x.withMutableElements(as: Float.self) { span in for i in 20 * row..<21 * row { span[i] = 1e30 } }
    try convolution.apply(given.x, given.filter, into: after)
    #expect(values(before)[..<(20 * row)] == values(after)[..<(20 * row)])
    #expect(values(before)[20 * row] != values(after)[20 * row])
  }

  /// A step whose output takes the place of its input, which enters the state all the same.
  @Test(arguments: [ElementType.float32, .bfloat16], [false, true])
  func stepsMayTakeThePlaceOfInputs(type: ElementType, appliesSiLU: Bool) throws {
    for executor in executors {
      let convolution = try ShortConvolution(
        ShortConvolutionShape(width: 3, type: type, appliesSiLU: appliesSiLU), on: executor)
      let filter = ShortConvolution.Filter(
        weights: try uniform([300, 3], seed: 2), bias: try uniform([300], seed: 3))
      let states = try (0..<2).map { _ in try Tensor(zeros: type, [9, 2, 300]) }
      for step in 0..<3 {
        let (x, inPlace) = (
          try uniform(type, [9, 300], seed: UInt64(4 + step)),
          try uniform(type, [9, 300], seed: UInt64(4 + step))
        )
        let y = try poisoned(type, [9, 300])
        try convolution.step(x, filter, state: states[0], into: y)
        try convolution.step(inPlace, filter, state: states[1], into: inPlace)
        #expect(values(inPlace) == values(y) && values(states[1]) == values(states[0]), "step \(step)")
      }
    }
  }

  @Test func whatDoesNotFitIsNamed() throws {
    #expect(throws: ConvolutionError.self) { try ShortConvolutionShape(width: 1) }
    do { _ = try ShortConvolutionShape(width: 17) } catch {
      #expect("\(error)".contains("17 taps; short convolutions have 2 to 16"))
    }
    #expect(
      throws: ConvolutionError.tensor(name: "input", found: "int8", expected: "float32, float16 or bfloat16")
    ) {
      try ShortConvolutionShape(width: 3, type: .int8)
    }
    let c = ShortCase(width: 4, length: 9)
    let given = try ShortInputs(c, .channelsFirst)
    let y = try poisoned(given.x.shape)
    let executor = executors[0]
    let convolution = try ShortConvolution(c.shape(.channelsFirst), on: executor)
    let other = ShortConvolution.Filter(weights: given.filter.weights)
    #expect(throws: ConvolutionError.operand(name: "bias", why: "it is missing")) {
      try convolution.apply(given.x, other, into: y)
    }
    #expect(throws: ConvolutionError.tensor(name: "filter", found: "[5, 3]", expected: "[5, 4]")) {
      let short = try uniform([5, 3], seed: 1)
      try convolution.apply(
        given.x, ShortConvolution.Filter(weights: short, bias: given.filter.bias), into: y)
    }
    #expect(throws: ConvolutionError.tensor(name: "output", found: "[2, 5, 8]", expected: "[2, 5, 9]")) {
      try convolution.apply(given.x, given.filter, into: y.sliced(axis: 2, 0..<8))
    }
    #expect(throws: ConvolutionError.tensor(name: "input", found: "[5, 4]", expected: "[B, H, L]")) {
      try convolution.apply(given.filter.weights, given.filter, into: y)
    }
    #expect(throws: ConvolutionError.length(0)) {
      try convolution.apply(given.x.sliced(axis: 2, 0..<0), given.filter, into: y)
    }
    let state = try Tensor(zeros: .float32, [2, 2, 5])
    let row = try uniform([2, 5], seed: 3)
    #expect(throws: ConvolutionError.tensor(name: "state", found: "[2, 2, 5]", expected: "[2, 3, 5]")) {
      try convolution.step(row, given.filter, state: state, into: row)
    }
    let centred = try ShortConvolution(
      ShortConvolutionShape(width: 4, reach: .centred), on: executor)
    #expect(throws: ConvolutionError.self) {
      try centred.step(row, given.filter, state: state, into: row)
    }
  }
}

/// Sizes and options of a test.
struct ShortCase: CustomTestStringConvertible, Sendable {
  var width: Int
  var length: Int
  var channels = 5
  var batch = 2
  var type = ElementType.float32
  var filterType = ElementType.float32
  var reach = ShortConvolutionShape.Reach.causal
  var hasBias = true
  var appliesSiLU = false

  var testDescription: String {
    "K \(width), L \(length), H \(channels), \(type.rawValue), \(reach), bias \(hasBias), SiLU \(appliesSiLU)"
  }
  var count: Int { batch * channels * length }
  var before: Int { reach == .causal ? width - 1 : (width - 1) / 2 }

  func shape(_ layout: LongConvolution.Layout) throws -> ShortConvolutionShape {
    try ShortConvolutionShape(
      width: width, reach: reach, layout: layout, type: type, filterType: filterType, hasBias: hasBias,
      appliesSiLU: appliesSiLU)
  }
}

/// Inputs of a case, and what is to come out by the definition in float64.
struct ShortInputs {
  let c: ShortCase
  let isLast: Bool
  let x: Tensor
  let filter: ShortConvolution.Filter

  init(_ c: ShortCase, _ layout: LongConvolution.Layout) throws {
    self.c = c
    isLast = layout == .channelsLast
    x = try uniform(
      c.type, isLast ? [c.batch, c.length, c.channels] : [c.batch, c.channels, c.length], seed: 1)
    filter = ShortConvolution.Filter(
      weights: try uniform(c.filterType, [c.channels, c.width], seed: 2),
      bias: c.hasBias ? try uniform(c.filterType, [c.channels], seed: 3) : nil)
  }

  /// Flat index of a number, or `nil` beside the sequence.
  func place(_ batch: Int, _ channel: Int, _ time: Int) -> Int? {
    guard (0..<c.length).contains(time) else { return nil }
    return isLast
      ? (batch * c.length + time) * c.channels + channel : (batch * c.channels + channel) * c.length + time
  }

  /// Visits every number: its batch, channel, time and flat index.
  func forEach(_ body: (Int, Int, Int, Int) -> Void) {
    for batch in 0..<c.batch {
      for channel in 0..<c.channels {
        for time in 0..<c.length {
          if let at = place(batch, channel, time) { body(batch, channel, time, at) }
        }
      }
    }
  }

  /// Sums before the activation, of given numbers.
  func sums(_ x: [Double], _ w: [Double], _ b: [Double]?) -> [Double] {
    var z = [Double](repeating: 0, count: x.count)
    forEach { batch, channel, time, at in
      z[at] = b?[channel] ?? 0
      for j in 0..<c.width {
        if let from = place(batch, channel, time + j - c.before) {
          z[at] += w[channel * c.width + j] * x[from]
        }
      }
    }
    return z
  }

  func activated(_ z: [Double]) -> [Double] { c.appliesSiLU ? z.map { $0 / (1 + exp(-$0)) } : z }

  /// Results, and how far off they may be: K + 1 roundings of sums of magnitudes, SiLU's slope below 1.1 and its own few
  /// roundings, and the result's.
  func definition() -> (y: [Double], bound: [Double]) {
    let (x, w, b) = (values(x), values(filter.weights), filter.bias.map(values))
    let y = activated(sums(x, w, b))
    let magnitude = sums(x.map(abs), w.map(abs), b.map { $0.map(abs) })
    let bound = zip(y, magnitude).map { y, sum in
      1.01 * roundoff(c.type) * abs(y) + 1.1 * Double(c.width + 8) * 0x1p-24 * sum + underflow(c.type)
    }
    return (y, bound)
  }
}
