internal import Fourier
public import Memory
public import Tiles

/// Depthwise convolution of whole sequences with short filters, and of one position more for decoding.
///
/// ``ShortConvolutionShape`` says what is computed. A step gives the bits that the whole sequence gives, so a prompt can be
/// read at once and continued by steps from ``lastState(of:into:)``. Tensors may have any strides: a filter that is used
/// by many steps is read faster from a dense `[K, H]` tensor passed with its axes exchanged.
public struct ShortConvolution: Sendable {
  /// What is computed.
  public let shape: ShortConvolutionShape
  private let whole: any CompiledKernel
  private let step: any CompiledKernel
  private let state: any CompiledKernel

  /// Filters and biases of all channels.
  public struct Filter: Sendable {
    /// `[H, K]`; the last tap multiplies the newest number.
    public var weights: Tensor
    /// `[H]`, where the convolution has a bias.
    public var bias: Tensor?

    /// Filters, with a bias or without.
    public init(weights: Tensor, bias: Tensor? = nil) {
      self.weights = weights
      self.bias = bias
    }

    /// As kernels take them.
    var tensors: [Tensor] { [weights] + (bias.map { [$0] } ?? []) }
  }

  /// - Throws: what the executor refuses.
  public init(_ shape: ShortConvolutionShape, on executor: any Executor) throws {
    self.shape = shape
    whole = try executor.compile(try shape.forward())
    step = try executor.compile(try shape.step())
    state = try executor.compile(try shape.lastState())
  }

  /// Writes y, which has the shape of x and shares no memory with it.
  ///
  /// - Throws: ``Fourier/ConvolutionError`` where a tensor does not fit, ``Tiles/ExecutionError``.
  public func apply(_ x: Tensor, _ filter: Filter, into y: Tensor) throws {
    let sides = try shape.checked(x)
    try shape.check(filter, channels: sides.channels)
    try shape.check(y, "output", shape.type, x.shape)
    try whole.run([x] + filter.tensors + [y])
  }

  /// Writes the state `[B, K − 1, H]` after x: what ``step(_:_:state:into:)`` goes on from.
  ///
  /// - Throws: ``Fourier/ConvolutionError`` where a tensor does not fit, ``Tiles/ExecutionError``.
  public func lastState(of x: Tensor, into state: Tensor) throws {
    let sides = try shape.checked(x)
    try shape.check(state, "state", shape.type, [sides.batch, shape.stateLength, sides.channels])
    try self.state.run([x, state])
  }

  /// Writes y `[B, H]` for one more position x `[B, H]` and brings the state `[B, K − 1, H]` up to date. Before a sequence's
  /// first number the state is zero. y may be x itself.
  ///
  /// - Throws: ``Fourier/ConvolutionError`` where a tensor does not fit or the convolution is not causal,
  ///   ``Tiles/ExecutionError``.
  public func step(_ x: Tensor, _ filter: Filter, state: Tensor, into y: Tensor) throws {
    guard shape.reach == .causal else {
      throw ConvolutionError.operand(
        name: "step", why: "a centred convolution depends on numbers that are still to come. Make it causal")
    }
    guard x.shape.count == 2 else {
      throw ConvolutionError.tensor(name: "input of a step", found: "\(x.shape)", expected: "[B, H]")
    }
    try shape.check(x, "input of a step", shape.type, x.shape)
    try shape.check(filter, channels: x.shape[1])
    try shape.check(state, "state", shape.type, [x.shape[0], shape.stateLength, x.shape[1]])
    try shape.check(y, "output of a step", shape.type, x.shape)
    try step.run([x] + filter.tensors + [state, y])
  }
}

extension ShortConvolutionShape {
  /// Sides of an input, which must have three.
  func checked(_ x: Tensor) throws(ConvolutionError) -> (batch: Int, channels: Int, length: Int) {
    guard x.shape.count == 3 else {
      throw .tensor(name: "input", found: "\(x.shape)", expected: isLast ? "[B, L, H]" : "[B, H, L]")
    }
    try check(x, "input", type, x.shape)
    let (channels, length) = (x.shape[isLast ? 2 : 1], x.shape[isLast ? 1 : 2])
    guard (1...ConvolutionShape.longest).contains(length) else { throw .length(length) }
    guard channels >= 1 else { throw .operand(name: "channels", why: "\(channels) of them") }
    return (x.shape[0], channels, length)
  }

  /// Filter and bias of that many channels.
  func check(_ filter: ShortConvolution.Filter, channels: Int) throws(ConvolutionError) {
    try check(filter.weights, "filter", filterType, [channels, width])
    guard (filter.bias != nil) == hasBias else {
      throw .operand(name: "bias", why: hasBias ? "it is missing" : "the convolution was made without one")
    }
    if let bias = filter.bias { try check(bias, "bias", filterType, [channels]) }
  }

  /// A tensor of that type and shape.
  func check(
    _ tensor: Tensor, _ name: String, _ type: ElementType, _ shape: [Int]
  ) throws(ConvolutionError) {
    guard tensor.type == type else {
      throw .tensor(name: name, found: tensor.type.rawValue, expected: type.rawValue)
    }
    guard tensor.shape == shape else {
      throw .tensor(name: name, found: "\(tensor.shape)", expected: "\(shape)")
    }
  }
}
