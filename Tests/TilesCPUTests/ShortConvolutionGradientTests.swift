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

@Suite struct ShortConvolutionGradientTests {
  static let cases: [ShortCase] =
    [1, 2, 63, 521].map { ShortCase(width: 4, length: $0) }
    + [
      ShortCase(width: 2, length: 65, reach: .centred, hasBias: false),
      ShortCase(width: 4, length: 65, appliesSiLU: true),
      ShortCase(width: 3, length: 521, type: .bfloat16, reach: .centred, appliesSiLU: true),
      ShortCase(width: 7, length: 97, channels: 67, batch: 1, type: .float16),
      ShortCase(width: 16, length: 13, hasBias: false, appliesSiLU: true),
      ShortCase(width: 16, length: 37, reach: .centred),
    ]

  private struct Gradients {
    var input: [Double]
    var weights: [Double]
    var bias: [Double]
  }

  /// What a gradient that is 1 for each result times dy gives, in float64, of numbers or of their magnitudes.
  private static func exact(_ given: ShortInputs, _ dy: [Double], magnitudes: Bool = false) -> Gradients {
    let c = given.c
    func numbers(_ tensor: Tensor) -> [Double] { values(tensor).map { magnitudes ? abs($0) : $0 } }
    let (x, w) = (numbers(given.x), numbers(given.filter.weights))
    let z = given.sums(values(given.x), values(given.filter.weights), given.filter.bias.map(values))
    var result = Gradients(
      input: [Double](repeating: 0, count: x.count), weights: [Double](repeating: 0, count: w.count),
      bias: [Double](repeating: 0, count: c.channels))
    given.forEach { batch, channel, time, at in
      let s = 1 / (1 + exp(-z[at]))
      let slope = c.appliesSiLU ? (magnitudes ? 1.1 : s * (1 + z[at] * (1 - s))) : 1
      let g = (magnitudes ? abs(dy[at]) : dy[at]) * slope
      result.bias[channel] += g
      for j in 0..<c.width {
        guard let from = given.place(batch, channel, time + j - c.before) else { continue }
        result.weights[channel * c.width + j] += g * x[from]
        result.input[from] += g * w[channel * c.width + j]
      }
    }
    return result
  }

  /// Σ y · dy, of which the gradients are.
  private static func loss(
    _ given: ShortInputs, _ x: [Double], _ w: [Double], _ b: [Double]?, _ dy: [Double]
  ) -> Double {
    zip(given.activated(given.sums(x, w, b)), dy).reduce(0) { $0 + $1.0 * $1.1 }
  }

  private static func computed(
    _ given: ShortInputs, _ layout: LongConvolution.Layout, _ dy: Tensor, on executor: any Executor
  ) throws -> Gradients {
    let c = given.c
    let gradients = try ShortConvolutionGradients(
      c.shape(layout), batch: c.batch, channels: c.channels, length: c.length, on: executor)
    let targets = ShortConvolutionGradients.Targets(
      input: try poisoned(c.type, given.x.shape), weights: try poisoned([c.channels, c.width]),
      bias: c.hasBias ? try poisoned([c.channels]) : nil)
    try gradients(of: given.x, given.filter, outputGradient: dy, into: targets)
    return Gradients(
      input: values(targets.input), weights: values(targets.weights), bias: targets.bias.map(values) ?? [])
  }

  @Test(arguments: cases, [LongConvolution.Layout.channelsFirst, .channelsLast])
  func agreeWithTheDefinition(_ c: ShortCase, layout: LongConvolution.Layout) throws {
    let given = try ShortInputs(c, layout)
    let dy = try uniform(c.type, given.x.shape, seed: 7)
    let exact = Self.exact(given, values(dy))
    let size = Self.exact(given, values(dy), magnitudes: true)
    // Sums of so many terms, each of a few roundings; the bits must not depend on threads.
    let terms = Double(c.batch * c.length + 2 * c.width + 16) * 0x1p-24
    var first: Gradients?
    for (name, executor) in judged(reference: c.count < 1500, portable: c.count < 1500) {
      let found = try Self.computed(given, layout, dy, on: executor)
      let rounding = zip(exact.input, size.input).map {
        1.01 * roundoff(c.type) * abs($0) + Double(2 * c.width + 16) * 0x1p-24 * $1 + underflow(c.type)
      }
      #expect(error(found.input, exact.input, inUnitsOf: rounding) <= 1, "\(name): input")
      #expect(
        error(found.weights, exact.weights, inUnitsOf: size.weights.map { terms * $0 + 0x1p-60 }) <= 1,
        "\(name): weights")
      if c.hasBias {
        #expect(
          error(found.bias, exact.bias, inUnitsOf: size.bias.map { terms * $0 }) <= 1, "\(name): bias")
      }
      guard executor is CPUExecutor else { continue }
      if let first {
        #expect(found.weights == first.weights && found.bias == first.bias, "\(name)")
        #expect(found.input == first.input, "\(name)")
      }
      first = first ?? found
    }
  }

  /// Central differences of the definition in float64: off by about 1e-8 from the step and 1e-9 from cancellation.
  @Test(arguments: cases.filter { $0.type == .float32 && $0.length < 70 })
  func agreeWithDifferenceQuotients(_ c: ShortCase) throws {
    for layout in [LongConvolution.Layout.channelsFirst, .channelsLast] {
      let given = try ShortInputs(c, layout)
      let dy = try uniform(given.x.shape, seed: 8)
      let (x, w, b) = (values(given.x), values(given.filter.weights), given.filter.bias.map(values))
      let found = try Self.computed(given, layout, dy, on: executors[0])
      func quotient(_ change: (Double) -> ([Double], [Double], [Double]?)) -> Double {
        let (up, down) = (change(1e-4), change(-1e-4))
        return
          (Self.loss(given, up.0, up.1, up.2, values(dy))
          - Self.loss(given, down.0, down.1, down.2, values(dy)))
          / 2e-4
      }
      func moved(_ list: [Double], _ place: Int, _ by: Double) -> [Double] {
        var list = list
        list[place] += by
        return list
      }
      for place in stride(from: 0, to: x.count, by: max(1, x.count / 7)) {
        let wanted = quotient { (moved(x, place, $0), w, b) }
        #expect(abs(found.input[place] - wanted) <= 2e-5, "input \(place)")
      }
      for place in stride(from: 0, to: w.count, by: 3) {
        let wanted = quotient { (x, moved(w, place, $0), b) }
        #expect(abs(found.weights[place] - wanted) <= 1e-4, "weights \(place)")
      }
      if let b {
        for place in b.indices {
          let wanted = quotient { (x, w, moved(b, place, $0)) }
          #expect(abs(found.bias[place] - wanted) <= 1e-4, "bias \(place)")
        }
      }
    }
  }

  @Test func whatDoesNotFitIsNamed() throws {
    let c = ShortCase(width: 4, length: 9)
    let given = try ShortInputs(c, .channelsFirst)
    let gradients = try ShortConvolutionGradients(
      c.shape(.channelsFirst), batch: 2, channels: 5, length: 9, on: executors[0])
    func targets(_ width: Int, bias: Bool) throws -> ShortConvolutionGradients.Targets {
      ShortConvolutionGradients.Targets(
        input: try poisoned(given.x.shape), weights: try poisoned([5, width]),
        bias: bias ? try poisoned([5]) : nil)
    }
    #expect(
      throws: ConvolutionError.tensor(name: "gradient of the filter", found: "[5, 3]", expected: "[5, 4]")
    ) {
      try gradients(of: given.x, given.filter, outputGradient: given.x, into: targets(3, bias: true))
    }
    #expect(throws: ConvolutionError.operand(name: "gradient of the bias", why: "it is missing")) {
      try gradients(of: given.x, given.filter, outputGradient: given.x, into: targets(4, bias: false))
    }
    #expect(throws: ConvolutionError.length(0)) {
      try ShortConvolutionGradients(
        c.shape(.channelsFirst), batch: 2, channels: 5, length: 0, on: executors[0])
    }
  }
}
