public import Fourier
public import Memory
public import Tiles

/// Convolution of sequences with filters as long as they are, by Fourier transforms.
///
/// With s = inputGate · input and c = k ∗ s, the output is outputGate · (c + skip · s): the operator of Hyena, H3, long
/// convolutions and Monarch Mixer. Any length from 1 to ``Fourier/ConvolutionShape/longest``; filters as long as the sequence or
/// shorter; causal, circular and two-sided. Sums are float32 whatever the type of the rows. Causal results depend on later
/// numbers by rounding only: a transform spreads the rounding of a loud passage over the whole of it, relative to that passage.
///
/// On the cores all of this; on a GPU float16 and bfloat16 rows on its matrix units, causal and two-sided at any length and circular
/// at powers of two from 64 on, without masks. Tensors must lie where the machine's kernels can use them.
///
/// - Complexity: O(B · H · L log L), the filter's transform once for each channel.
///
/// Fu et al., “FlashFFTConv”, 2023, arXiv:2311.05908; Fu et al., “Simple hardware-efficient long convolutions”, 2023,
/// arXiv:2302.06646.
public struct LongConvolution: Sendable {
  /// Where the channels lie.
  public enum Layout: Sendable, Hashable {
    /// `[B, H, L]`: a row's numbers beside each other.
    case channelsFirst
    /// `[B, L, H]`: a position's channels beside each other.
    case channelsLast
  }

  /// What rows are convolved with.
  public enum Filter: Sendable {
    /// Filters, transformed by every call.
    case taps(ConvolutionFilters)
    /// What ``LongConvolution/spectrum(of:)`` made of filters.
    case spectrum(Tensor)
  }

  /// Mode and lengths.
  public let shape: ConvolutionShape
  /// Channels, H.
  public let channels: Int
  /// Type of the rows.
  public let type: ElementType
  /// Where the channels lie.
  public let layout: Layout
  let executor: any Executor
  private let prepared: any PreparedConvolution

  /// How it is computed.
  public var plan: ConvolutionPlan { prepared.plan }

  /// - Parameters:
  ///   - shape: mode, length L and taps of the filter.
  ///   - channels: H.
  ///   - type: float32, float16 or bfloat16, of inputs, gates and outputs.
  ///   - layout: `[B, H, L]` or `[B, L, H]`.
  ///   - mask: frequencies to keep; its size must be at least L.
  ///   - planner: who chooses the plan.
  ///   - executor: the machine.
  /// - Throws: ``Fourier/ConvolutionError``, ``Tiles/ExecutionError``.
  public init(
    _ shape: ConvolutionShape, channels: Int, type: ElementType = .float32, layout: Layout = .channelsFirst,
    mask: FrequencyMask? = nil, planner: ConvolutionPlanner = ConvolutionPlanner(), on executor: any Executor
  ) throws {
    guard [.float32, .float16, .bfloat16].contains(type) else {
      throw ConvolutionError.tensor(
        name: "input", found: type.rawValue, expected: "float32, float16 or bfloat16")
    }
    guard channels >= 1 else { throw ConvolutionError.operand(name: "channels", why: "\(channels) of them") }
    if let mask {
      let exact = shape.mode == .circular && Radices(of: shape.length) != nil
      guard exact ? mask.size == shape.length : mask.size >= shape.length else {
        throw ConvolutionError.mask(
          factors: mask.factors, keep: mask.keep,
          why: "a transform of \(mask.size) for \(shape.length) numbers")
      }
    }
    self.shape = shape
    self.channels = channels
    self.type = type
    self.layout = layout
    self.executor = executor
    if let machine = executor as? any ConvolutionExecutor {
      prepared = try machine.prepare(planner.plan(for: shape, mask: mask, on: machine), mask: mask)
    } else {
      guard mask == nil else {
        throw ConvolutionError.operand(name: "mask", why: "frequencies are dropped on the cores only")
      }
      if case .bidirectional(let lagZero) = shape.mode {
        prepared = try MonarchTwoSided(shape, lagZero: lagZero, type: type, executor: executor)
      } else {
        prepared = try MonarchPrepared(shape, type: type, executor: executor)
      }
    }
  }

  /// Transforms filters `[H, taps]`, float32, to be used many times. They may have any strides.
  ///
  /// - Returns: float32 numbers in an order of the machine's own, about two for each number of the transform.
  public func spectrum(of filters: ConvolutionFilters) throws -> Tensor {
    let filters = try checked(filters)
    let spectrum = try executor.tensor(.float32, prepared.spectrumShape(channels: channels))
    try prepared.transform(filters, into: spectrum)
    return spectrum
  }

  /// Convolves all rows.
  ///
  /// - Parameters:
  ///   - rows: inputs and gates in the layout and the type it was made for; skip factors `[H]`, float32.
  ///   - filter: filters `[H, taps]`, or their spectrum.
  ///   - output: where results go; as the input, and not the same memory.
  /// - Throws: ``Fourier/ConvolutionError`` where a tensor does not fit, ``Tiles/ExecutionError``.
  public func apply(_ rows: ConvolutionRows, _ filter: Filter, into output: Tensor) throws {
    let rows = try checked(rows)
    let output = try row(output, "output", like: rows.input)
    switch filter {
    case .taps(let filters): try prepared.run(rows, filters: checked(filters), into: output)
    case .spectrum(let spectrum): try prepared.run(rows, spectrum: spectrum, into: output)
    }
  }

  /// Gradients of a sum of which `outputGradient` is the gradient with respect to the output.
  ///
  /// What the forward pass computed is computed again, so that nothing need be kept but its inputs. Working memory is
  /// ``Fourier/ConvolutionPlan/workspaceBytes(gradients:)`` for each thread.
  ///
  /// - Parameters:
  ///   - rows: what the forward pass read.
  ///   - spectrum: of the filters it convolved with.
  ///   - outputGradient: as the output.
  ///   - gradients: where gradients go; what is `nil` is not computed.
  /// - Throws: ``Fourier/ConvolutionError`` where a tensor does not fit, ``Tiles/ExecutionError``.
  public func gradients(
    of rows: ConvolutionRows, spectrum: Tensor, outputGradient: Tensor, into gradients: ConvolutionGradients
  ) throws {
    let rows = try checked(rows)
    let targets = try checked(gradients, like: rows.input)
    try prepared.gradients(
      of: rows, spectrum: spectrum,
      outputGradient: row(outputGradient, "gradient of the output", like: rows.input),
      into: targets)
    try copyStrided(targets, into: gradients)
  }
}
