public import Fourier
public import Memory

/// A machine with transforms of its own, made for long convolutions: faster there than tile programs.
public protocol ConvolutionExecutor: Executor {
  /// Tables and memory for one plan; done once, kept by the caller.
  ///
  /// - Parameter mask: frequencies to keep, or `nil` for all.
  /// - Throws: ``ExecutionError`` where there is no memory for them.
  func prepare(_ plan: ConvolutionPlan, mask: FrequencyMask?) throws(ExecutionError)
    -> any PreparedConvolution
}

/// What a convolution reads and writes: rows `[B, H, L]` of one floating-point type, any strides.
///
/// With s = inputGate · input, c = k ∗ s and r = c + skip · s, the output is outputGate · r.
public struct ConvolutionRows: Sendable {
  /// `[B, H, L]`.
  public var input: Tensor
  /// Multiplies the input: `[B, H, L]`.
  public var inputGate: Tensor?
  /// Multiplies the result: `[B, H, L]`.
  public var outputGate: Tensor?
  /// A factor for each channel, `[H]`, float32.
  public var skip: Tensor?

  /// Rows without gates or skip term.
  public init(_ input: Tensor, inputGate: Tensor? = nil, outputGate: Tensor? = nil, skip: Tensor? = nil) {
    self.input = input
    self.inputGate = inputGate
    self.outputGate = outputGate
    self.skip = skip
  }
}

/// Filters of a convolution: `[H, taps]`, float32.
public struct ConvolutionFilters: Sendable {
  /// What comes from earlier numbers.
  public var forward: Tensor
  /// What comes from later ones, two-sided convolutions only.
  public var reverse: Tensor?

  /// - Parameters:
  ///   - forward: `[H, taps]`.
  ///   - reverse: `[H, taps]`, for two-sided convolutions.
  public init(_ forward: Tensor, reverse: Tensor? = nil) {
    self.forward = forward
    self.reverse = reverse
  }
}

/// Where gradients go; whatever is `nil` is not wanted. Shapes and types are those of what they belong to.
public struct ConvolutionGradients: Sendable {
  /// Of the input.
  public var input: Tensor?
  /// Of the gate before.
  public var inputGate: Tensor?
  /// Of the gate after.
  public var outputGate: Tensor?
  /// Of the skip factors, `[H]`, float32.
  public var skip: Tensor?
  /// Of the filters, float32.
  public var filters: ConvolutionFilters?

  /// Nothing wanted yet.
  public init() {}
}

/// A convolution that a machine has prepared.
public protocol PreparedConvolution: Sendable {
  /// The plan it follows.
  var plan: ConvolutionPlan { get }

  /// The shape of the spectra of so many filters: float32, in an order of its own.
  func spectrumShape(channels: Int) -> [Int]

  /// Transforms filters, to be used many times: a dense tensor of ``spectrumShape(channels:)``.
  func transform(_ filters: ConvolutionFilters, into spectrum: Tensor) throws(ExecutionError)

  /// Convolves all rows with transformed filters.
  func run(_ rows: ConvolutionRows, spectrum: Tensor, into output: Tensor) throws(ExecutionError)

  /// Convolves all rows, each filter transformed on the way and forgotten.
  func run(_ rows: ConvolutionRows, filters: ConvolutionFilters, into output: Tensor) throws(ExecutionError)

  /// Gradients of a sum of which `outputGradient` is the gradient with respect to the output. What the forward pass computed is
  /// computed again.
  func gradients(
    of rows: ConvolutionRows, spectrum: Tensor, outputGradient: Tensor, into gradients: ConvolutionGradients
  ) throws(ExecutionError)

  /// The next piece of a stream, as long as the transform or shorter, convolved with a filter in blocks of that length.
  ///
  /// With U_c the transform of piece c and K_j that of block j, the result is the inverse of Σ_j K_j U_(c−j), and the part of it that
  /// lies past the piece is added to the next.
  func step(_ rows: ConvolutionRows, stream: ConvolutionStreamState, into output: Tensor)
    throws(ExecutionError)
}

/// What a stream remembers, and the filter it convolves with.
public struct ConvolutionStreamState: Sendable {
  /// `[blocks, H, n]`: transforms of the filter's blocks.
  public let blocks: Tensor
  /// `[blocks, B, H, n]`: transforms of the last pieces, a ring.
  public let history: Tensor
  /// `[B, H, S]`, float32: what the pieces so far add to the next.
  public let carry: Tensor
  /// Number of the piece.
  public var piece: Int

  /// The state of a stream before `piece`.
  public init(blocks: Tensor, history: Tensor, carry: Tensor, piece: Int) {
    self.blocks = blocks
    self.history = history
    self.carry = carry
    self.piece = piece
  }
}
