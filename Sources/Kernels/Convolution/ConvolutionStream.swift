internal import Fourier
public import Memory
public import Tiles

/// A causal convolution piece by piece: the outputs of a sequence of any length in constant memory.
///
/// The filter is cut in blocks as long as a piece; the transforms of the last pieces are kept, as many as there are blocks, so that each
/// piece costs one transform there, one back, and a product for each block.
///
/// - Complexity: O(B · H · (C log C + taps)) for a piece of C numbers; memory 8 · B · H · taps bytes and as much for the filters.
public final class ConvolutionStream {
  /// Numbers in a piece, C.
  public let pieceLength: Int
  /// Sequences, B.
  public let batch: Int
  /// Channels, H.
  public let channels: Int
  /// Type of the rows.
  public let type: ElementType
  /// Numbers read so far.
  public private(set) var position = 0
  private let prepared: any PreparedConvolution
  private let executor: any Executor
  private var state: ConvolutionStreamState
  private var ended = false

  /// - Parameters:
  ///   - filters: `[H, taps]`, float32; causal.
  ///   - pieceLength: C, a product of 2, 3, 5 and 7.
  ///   - batch: B.
  ///   - type: float32, float16 or bfloat16.
  ///   - executor: the machine.
  /// - Throws: ``Fourier/ConvolutionError``, ``Tiles/ExecutionError``.
  public init(
    filters: Tensor, pieceLength: Int, batch: Int, type: ElementType = .float32, on executor: any Executor
  ) throws {
    try ConvolutionFilters.validate(filters, batch: batch)
    guard (1...ConvolutionShape.longest).contains(pieceLength) else {
      throw ConvolutionError.length(pieceLength)
    }
    guard Radices(of: pieceLength) != nil else {
      throw ConvolutionError.operand(
        name: "piece", why: "\(pieceLength) numbers, which is no product of 2, 3, 5 and 7")
    }
    guard let machine = executor as? any ConvolutionExecutor else {
      throw ConvolutionError.operand(name: "executor", why: "it has no long convolution")
    }
    let shape = try ConvolutionShape(mode: .causal, length: pieceLength, filterLength: pieceLength)
    prepared = try machine.prepare(PlanSearch(shape, factors: [pieceLength]).estimate, mask: nil)
    (self.pieceLength, self.batch, self.type, self.executor) = (pieceLength, batch, type, executor)
    channels = filters.shape[0]
    let taps = filters.shape[1]
    let blocks = (taps + pieceLength - 1) / pieceLength
    let count = prepared.plan.spectrumCount
    state = ConvolutionStreamState(
      blocks: try Tensor(zeros: .float32, [blocks, channels, count]),
      history: try Tensor(zeros: .float32, [blocks, batch, channels, count]),
      carry: try Tensor(zeros: .float32, [batch, channels, prepared.plan.size]), piece: 0)
    for block in 0..<blocks {
      let range = block * pieceLength..<min(taps, (block + 1) * pieceLength)
      let part = try Tensor(zeros: .float32, [channels, pieceLength])
      try executor.copy(
        from: filters.sliced(axis: 1, range), into: part.sliced(axis: 1, 0..<range.count))
      try prepared.transform(
        ConvolutionFilters(part),
        into: state.blocks.sliced(axis: 0, block..<block + 1).reshaped([channels, count]))
    }
  }

  /// Convolves the next piece: C numbers a row, or fewer for the last.
  ///
  /// - Parameters:
  ///   - rows: `[B, H, C]`; gates alike, skip factors `[H]`.
  ///   - output: `[B, H, C]`.
  /// - Throws: ``Fourier/ConvolutionError/streamEnded(position:count:capacity:)`` after a shorter piece.
  public func push(_ rows: ConvolutionRows, into output: Tensor) throws {
    let shape = rows.input.shape
    guard shape.count == 3, shape[0] == batch, shape[1] == channels, rows.input.type == type else {
      throw ConvolutionError.tensor(
        name: "input", found: "\(rows.input.type.rawValue) \(shape)",
        expected: "\(type.rawValue) [\(batch), \(channels), 1 to \(pieceLength)]")
    }
    guard !ended else {
      throw ConvolutionError.streamEnded(position: position, count: shape[2], capacity: position)
    }
    try prepared.step(rows, stream: state, into: output)
    position += shape[2]
    state.piece += 1
    ended = shape[2] < pieceLength
  }

  /// Forgets all that was read.
  public func restart() throws {
    try executor.clear(state.carry)
    state.piece = 0
    position = 0
    ended = false
  }
}
