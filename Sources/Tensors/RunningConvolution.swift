internal import Fourier
internal import Kernels
internal import Memory
internal import Tiles

/// A long convolution of which no gradients are noted, with filters that are transformed already, skip factors included.
public struct RunningConvolution {
  private let convolution: LongConvolution
  private let spectrum: Tensor

  /// - Parameters:
  ///   - ahead: `[H, taps]`, what comes from earlier numbers.
  ///   - back: likewise from later ones; its first tap is for the next position.
  ///   - skip: `[H]`, of the number itself.
  ///   - length: of the sequences.
  fileprivate init(_ ahead: Variable, back: Variable?, skip: Variable?, length: Int) throws {
    let device = ahead.device
    // The skip term is a filter's first number.
    var first = ahead
    if let skip {
      let own = try ahead.sliced(axis: 1, 0..<1) + skip.reshaped([skip.shape[0], 1])
      first = try .joined([own, ahead.sliced(axis: 1, 1..<ahead.shape[1])], axis: 1)
    }
    let pair = try back.map { try first.pair(withLater: $0, length: length) }
    let filters = ConvolutionFilters(
      try device.dense((pair?.ahead ?? first).value),
      reverse: try pair.map { try device.dense($0.back.value) })
    let shape = try ConvolutionShape(
      mode: back == nil ? .causal : .bidirectional(lagZero: .causalOnly), length: length,
      filterLength: filters.forward.shape[1])
    convolution = try device.longConvolution(shape, channels: ahead.shape[0], device.factors)
    spectrum = try convolution.spectrum(of: filters)
  }

  /// gateAfter · (k ∗ (gateBefore · x)) of sequences `[B, H, L]`; no gradients are noted.
  public func callAsFunction(
    _ x: Variable, gateBefore: Variable? = nil, gateAfter: Variable? = nil
  ) throws -> Variable {
    let (device, type) = (x.device, convolution.type)
    precondition(!device.recordsGradients, "filters that were transformed have no gradients")
    func row(_ variable: Variable) throws -> Tensor { try device.converted(variable.value, to: type) }
    let result = try device.sequences(x.shape, type)
    try convolution.apply(
      ConvolutionRows(
        row(x), inputGate: gateBefore.map(row), outputGate: gateAfter.map(row)),
      .spectrum(spectrum), into: result)
    return Variable(result, on: device)
  }
}

extension Variable {
  /// The convolution with filters that follow from parameters; transformed once and kept in the name of this one, where the device
  /// ``Device/isKeeping``.
  ///
  /// - Parameters:
  ///   - length: of the sequences.
  ///   - step: tells apart convolutions of one parameter.
  ///   - skip: factors of the number itself, `[H]`.
  ///   - filters: `[H, taps]`: what comes from earlier numbers, and from later ones, whose first tap is for the next position.
  /// - Returns: `nil` where operations are recorded, or convolutions of that length take no transforms.
  public func runningConvolution(
    length: Int, step: Int = 0, skip: Variable?, _ filters: () throws -> (ahead: Variable, back: Variable?)
  ) throws -> RunningConvolution? {
    guard !device.recordsGradients, device.convolvesByTransforms(length) else { return nil }
    return try device.keeping(for: self, [length, step]) {
      let pair = try filters()
      return try RunningConvolution(pair.ahead, back: pair.back, skip: skip, length: length)
    }
  }
}
