internal import Fourier
public import Memory
public import Tiles

/// Gradients of a ``ShortConvolution`` for batches of one size, with the memory they need between kernels.
///
/// That is 1,024 tiles' sums at most, and with SiLU a float32 tensor as large as the input. Not thread-safe: one call at a
/// time.
public final class ShortConvolutionGradients {
  private let shape: ShortConvolutionShape
  private let inputShape: [Int]
  private let channels: Int
  private let parts: Tensor
  /// Gradient of the sums before SiLU.
  private let between: Tensor?
  private let backward: any CompiledKernel
  private let input: (any CompiledKernel)?
  private let filter: any CompiledKernel

  /// Where gradients go.
  public struct Targets: Sendable {
    /// As the input.
    public var input: Tensor
    /// Float32 `[H, K]`.
    public var weights: Tensor
    /// Float32 `[H]`, where the convolution has a bias.
    public var bias: Tensor?

    /// Targets, with that of a bias or without.
    public init(input: Tensor, weights: Tensor, bias: Tensor? = nil) {
      self.input = input
      self.weights = weights
      self.bias = bias
    }
  }

  /// - Throws: ``Fourier/ConvolutionError`` for sides that are none, what the executor refuses.
  public init(
    _ shape: ShortConvolutionShape, batch: Int, channels: Int, length: Int, on executor: any Executor
  ) throws {
    self.shape = shape
    self.channels = channels
    inputShape = shape.isLast ? [batch, length, channels] : [batch, channels, length]
    guard channels >= 1 else { throw ConvolutionError.operand(name: "channels", why: "\(channels) of them") }
    guard length >= 1 else { throw ConvolutionError.length(length) }
    guard batch >= 0 else { throw ConvolutionError.operand(name: "batch", why: "\(batch) sequences") }
    parts = try executor.tensor(
      .float32, shape.partsShape(batch: batch, channels: channels, length: length))
    between = shape.appliesSiLU ? try executor.tensor(.float32, inputShape) : nil
    backward = try executor.compile(try shape.backward())
    input = shape.appliesSiLU ? try executor.compile(try shape.inputGradient()) : nil
    filter = try executor.compile(try shape.filterGradient())
  }

  /// Writes the gradients of a sum of which `outputGradient` is the gradient with respect to the output.
  ///
  /// - Parameters:
  ///   - x: what the convolution read.
  ///   - filter: what it convolved with.
  ///   - outputGradient: as x.
  ///   - targets: where gradients go; none shares memory with x or `outputGradient`.
  /// - Throws: ``Fourier/ConvolutionError`` where a tensor does not fit, ``Tiles/ExecutionError``.
  public func callAsFunction(
    of x: Tensor, _ filter: ShortConvolution.Filter, outputGradient: Tensor, into targets: Targets
  ) throws {
    try shape.check(x, "input", shape.type, inputShape)
    try shape.check(filter, channels: channels)
    try shape.check(outputGradient, "gradient of the output", shape.type, inputShape)
    try shape.check(targets.input, "gradient of the input", shape.type, inputShape)
    try shape.check(targets.weights, "gradient of the filter", .float32, [channels, shape.width])
    guard (targets.bias != nil) == shape.hasBias else {
      throw ConvolutionError.operand(
        name: "gradient of the bias", why: shape.hasBias ? "it is missing" : "the convolution has no bias")
    }
    let bias = targets.bias.map { [$0] } ?? []
    for target in bias { try shape.check(target, "gradient of the bias", .float32, [channels]) }
    if let between, let input {
      try backward.run([x] + filter.tensors + [outputGradient, between, parts])
      try input.run([between, filter.weights, targets.input])
    } else {
      try backward.run([x, filter.weights, outputGradient, targets.input, parts])
    }
    try self.filter.run([parts, targets.weights] + bias)
  }
}
