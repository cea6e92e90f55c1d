internal import Fourier
public import Memory
public import Tiles

/// A causal convolution number by number: each output as soon as its input is there, as generation needs it.
///
/// After number i the largest power of two U that divides i is taken, and what the last U numbers add to the next U outputs is
/// added at once: a convolution with the filter's first 2U taps, by one right-angle transform of U points, whose spectrum is
/// K₁ − i K₀ for the two halves of those taps.
///
/// - Complexity: O(B · H · log² L) a number, amortised; memory 8 · B · H · L bytes for inputs and sums, and 16 · H · L for the spectra.
///
/// Oncescu et al., “Flash Inference”, 2024, arXiv:2410.12982.
public final class ConvolutionDecoder {
  /// Sequences, B.
  public let batch: Int
  /// Channels, H.
  public let channels: Int
  /// Numbers that can be read in all.
  public let capacity: Int
  /// Numbers read so far.
  public private(set) var position = 0
  /// Where the numbers that are decoded one by one begin.
  private var start = 0
  private let filters: Tensor
  private let machine: any ConvolutionExecutor
  private let inputs: Tensor
  private let sums: Tensor
  private let scratch: Tensor
  /// For U = 2^i from ``direct`` on: how blocks of U are convolved.
  private var levels: [(convolution: any PreparedConvolution, spectrum: Tensor)] = []

  /// Blocks shorter than this are multiplied out.
  private static let direct = 32

  /// - Parameters:
  ///   - filters: `[H, taps]`, float32.
  ///   - capacity: how many numbers may come.
  ///   - batch: B.
  ///   - executor: the machine.
  /// - Throws: ``Fourier/ConvolutionError``, ``Tiles/ExecutionError``.
  public init(filters: Tensor, capacity: Int, batch: Int, on executor: any Executor) throws {
    try ConvolutionFilters.validate(filters, batch: batch)
    guard (1...ConvolutionShape.longest).contains(capacity) else { throw ConvolutionError.length(capacity) }
    guard let machine = executor as? any ConvolutionExecutor, executor.sharesHostMemory else {
      throw ConvolutionError.operand(
        name: "executor", why: "it does not decode convolutions number by number")
    }
    channels = filters.shape[0]
    (self.batch, self.capacity, self.machine) = (batch, capacity, machine)
    // Taps past the capacity are never reached; missing ones are 0.
    let taps = min(capacity, filters.shape[1])
    self.filters = try Tensor(zeros: .float32, [channels, capacity])
    try machine.copy(
      from: filters.sliced(axis: 1, 0..<taps), into: self.filters.sliced(axis: 1, 0..<taps))
    inputs = try Tensor(zeros: .float32, [batch, channels, capacity])
    sums = try Tensor(zeros: .float32, [batch, channels, capacity])
    let lengths = sequence(first: Self.direct) { 2 * $0 }.prefix { $0 < capacity }
    scratch = try Tensor(zeros: .float32, [batch, channels, lengths.last ?? 1])
    for length in lengths { levels.append(try level(length)) }
  }

  /// Reads numbers whose outputs are wanted together, at the start of a sequence.
  ///
  /// - Parameters:
  ///   - input: `[B, H, n]`, float32, gates applied.
  ///   - output: `[B, H, n]`, float32.
  /// - Throws: ``Fourier/ConvolutionError/streamEnded(position:count:capacity:)``.
  public func prefill(_ input: Tensor, into output: Tensor) throws {
    try check(input, [batch, channels, input.shape.last ?? 0])
    try check(output, input.shape)
    let count = input.shape[2]
    guard position == 0, count <= capacity else {
      throw ConvolutionError.streamEnded(position: position, count: count, capacity: capacity)
    }
    // What these numbers add to all outputs, the later ones included.
    let shape = try ConvolutionShape(mode: .causal, length: capacity, filterLength: capacity)
    try machine.clear(inputs)
    let known = inputs.sliced(axis: 2, 0..<count)
    try machine.copy(from: input, into: known)
    try machine.prepare(PlanSearch(shape).estimate, mask: nil)
      .run(ConvolutionRows(inputs), filters: ConvolutionFilters(filters), into: sums)
    try machine.copy(from: sums.sliced(axis: 2, 0..<count), into: output)
    position = count
    start = count
  }

  /// Reads one number a row.
  ///
  /// - Parameters:
  ///   - input: `[B, H]`, float32, gates applied.
  ///   - output: `[B, H]`, float32: the filter's sum up to this number.
  /// - Throws: ``Fourier/ConvolutionError/streamEnded(position:count:capacity:)``.
  public func step(_ input: Tensor, into output: Tensor) throws {
    try check(input, [batch, channels])
    try check(output, [batch, channels])
    guard position < capacity else {
      throw ConvolutionError.streamEnded(position: position, count: 1, capacity: capacity)
    }
    let (here, rows) = (position, batch * channels)
    input.withElements(as: Float.self) { x in
      filters.withElements(as: Float.self) { k in
        inputs.withMutableElements(as: Float.self) { u in
          sums.withMutableElements(as: Float.self) { c in
            output.withMutableElements(as: Float.self) { y in
              for row in 0..<rows {
                u[row * capacity + here] = x[row]
                y[row] = c[row * capacity + here] + k[row % channels * capacity] * x[row]
              }
            }
          }
        }
      }
    }
    position += 1
    guard position < capacity else { return }
    let read = position - start
    let block = read & -read
    if block < Self.direct { addDirectly(block) } else { try addTransformed(block) }
  }

  /// Adds what the last `block` inputs give to the next `block` outputs.
  private func addDirectly(_ block: Int) {
    let (here, count) = (position, min(block, capacity - position))
    filters.withElements(as: Float.self) { k in
      inputs.withElements(as: Float.self) { u in
        sums.withMutableElements(as: Float.self) { c in
          for row in 0..<batch * channels {
            let (base, taps) = (row * capacity, row % channels * capacity)
            for t in 0..<count {
              var sum = c[base + here + t]
              for a in 0..<block { sum.addProduct(u[base + here - block + a], k[taps + block + t - a]) }
              c[base + here + t] = sum
            }
          }
        }
      }
    }
  }

  private func addTransformed(_ block: Int) throws {
    let count = min(block, capacity - position)
    let level = levels[(block / Self.direct).trailingZeroBitCount]
    let result = scratchRows(block)
    try level.convolution.run(
      ConvolutionRows(inputs.sliced(axis: 2, position - block..<position)), spectrum: level.spectrum,
      into: result)
    let here = position
    result.withElements(as: Float.self) { r in
      sums.withMutableElements(as: Float.self) { c in
        for row in 0..<batch * channels {
          for t in 0..<count { c[row * capacity + here + t] += r[row * block + t] }
        }
      }
    }
  }

  private func scratchRows(_ block: Int) -> Tensor {
    let dense = scratch.reshaped([scratch.count]).sliced(axis: 0, 0..<batch * channels * block)
    return dense.reshaped([batch, channels, block])
  }

  /// The convolution of U numbers with taps 0 ..< 2U, outputs U ..< 2U.
  private func level(_ block: Int) throws -> (convolution: any PreparedConvolution, spectrum: Tensor) {
    let shape = try ConvolutionShape(mode: .causal, length: block, filterLength: block)
    let convolution = try machine.prepare(PlanSearch(shape, factors: [block]).estimate, mask: nil)
    let count = convolution.plan.spectrumCount
    let (early, late) = (
      try Tensor(zeros: .float32, [channels, count]), try Tensor(zeros: .float32, [channels, count])
    )
    for (target, first) in [(early, 0), (late, block)] {
      let part = try Tensor(zeros: .float32, [channels, block])
      let last = min(capacity, first + block)
      try machine.copy(
        from: filters.sliced(axis: 1, first..<last), into: part.sliced(axis: 1, 0..<last - first))
      try convolution.transform(ConvolutionFilters(part), into: target)
    }
    early.withElements(as: Float.self) { a in
      late.withMutableElements(as: Float.self) { b in
        for line in stride(from: 0, to: channels * count, by: 16) {
          for lane in line..<line + 8 {
            b[lane] += a[lane + 8]
            b[lane + 8] -= a[lane]
          }
        }
      }
    }
    return (convolution, late)
  }

  private func check(_ tensor: Tensor, _ shape: [Int]) throws(ConvolutionError) {
    guard tensor.type == .float32, tensor.shape == shape, tensor.isDense, tensor.storage.isOnHost else {
      throw .tensor(
        name: "row", found: "\(tensor.type.rawValue) \(tensor.shape)", expected: "dense float32 \(shape)")
    }
  }
}
