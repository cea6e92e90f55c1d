internal import Fourier
public import Memory
public import Tiles

/// The convolution of a state space, piece by piece with its state in between: a sequence of any length in the memory of a piece.
///
/// With pieces of N numbers: y(c) = M x(c − 1) + f[0 ..< N] ∗ u(c) and x(c) = λ^N x(c − 1) + W u(c), where row i of M holds
/// c b λ^(i + 1) and column i of W holds λ^(N − 1 − i). Where states are few it does less work than ``ConvolutionStream``, which
/// takes any filter.
///
/// - Complexity: O(B · H · (N log N + m N)) a piece; M and W take 16 · H · m · N bytes.
///
/// Fu et al., “Hungry Hungry Hippos”, 2022, arXiv:2212.14052, state passing.
public final class StatePassing {
  /// The state space.
  public let space: DiagonalStateSpace
  /// Numbers in a piece, N.
  public let pieceLength: Int
  /// Sequences, B.
  public let batch: Int
  private let executor: any Executor
  private let convolution: LongConvolution
  private let spectrum: Tensor
  private let product: any CompiledKernel
  /// `[H, 2m, N]`: M, parts of the states against numbers of a piece.
  private let outward: Tensor
  /// `[H, N, 2m]`: W.
  private let inward: Tensor
  /// `[H, B, 2m]`: states, real parts before imaginary ones.
  private let states: Tensor

  /// - Parameters:
  ///   - space: the state space.
  ///   - pieceLength: N.
  ///   - batch: B.
  ///   - executor: the machine; it must share host memory.
  /// - Throws: ``Fourier/ConvolutionError``, ``Tiles/ExecutionError``.
  public init(_ space: DiagonalStateSpace, pieceLength: Int, batch: Int, on executor: any Executor) throws {
    guard batch >= 1 else { throw ConvolutionError.operand(name: "batch", why: "\(batch) sequences") }
    guard executor.sharesHostMemory else {
      throw ConvolutionError.operand(name: "executor", why: "it does not pass states")
    }
    let shape = try ConvolutionShape(mode: .causal, length: pieceLength, filterLength: pieceLength)
    (self.space, self.pieceLength, self.batch, self.executor) = (space, pieceLength, batch, executor)
    convolution = try LongConvolution(shape, channels: space.channels, on: executor)
    spectrum = try convolution.spectrum(of: ConvolutionFilters(space.filters(length: pieceLength)))
    let parts = 2 * space.states
    product = try executor.compile(
      try Gemm.kernel(plan: .cpu(rows: batch, columns: max(parts, pieceLength), threads: executor.cores)))
    outward = try Tensor(zeros: .float32, [space.channels, parts, pieceLength])
    inward = try Tensor(zeros: .float32, [space.channels, pieceLength, parts])
    states = try Tensor(zeros: .float32, [space.channels, batch, parts])
    fill()
  }

  private func fill() {
    let (count, length) = (space.states, pieceLength)
    outward.withMutableElements(as: Float.self) { m in
      inward.withMutableElements(as: Float.self) { w in
        for index in space.poles.indices {
          let (channel, state) = (index / count, index % count)
          let residue = space.residues[index]
          for i in 0..<length {
            let (next, left) = (space.power(index, i + 1), space.power(index, length - 1 - i))
            // Re (r p x) = Re(r p) Re x − Im(r p) Im x.
            let real = residue.real * next.real - residue.imaginary * next.imaginary
            let imaginary = residue.real * next.imaginary + residue.imaginary * next.real
            m[(channel * 2 * count + state) * length + i] = Float(real)
            m[(channel * 2 * count + count + state) * length + i] = Float(-imaginary)
            w[(channel * length + i) * 2 * count + state] = Float(left.real)
            w[(channel * length + i) * 2 * count + count + state] = Float(left.imaginary)
          }
        }
      }
    }
  }

  /// Convolves the next piece.
  ///
  /// - Parameters:
  ///   - input: `[B, H, N]`, float32, gates applied.
  ///   - output: `[B, H, N]`, float32, dense; it may be the input.
  public func push(_ input: Tensor, into output: Tensor) throws {
    let shape = [batch, space.channels, pieceLength]
    for (tensor, name) in [(input, "input"), (output, "output")] {
      guard tensor.type == .float32, tensor.shape == shape, tensor.strides[2] == 1 else {
        throw ConvolutionError.tensor(
          name: name, found: "\(tensor.type.rawValue) \(tensor.shape)",
          expected: "float32 \(shape), rows dense")
      }
    }
    // What enters the states first: the output may be the input.
    let entered = try Tensor(zeros: .float32, states.shape)
    for channel in 0..<space.channels {
      try product.run([row(input, channel), part(inward, channel), part(entered, channel)])
    }
    try convolution.apply(ConvolutionRows(input), .spectrum(spectrum), into: output)
    let added = try Tensor(zeros: .float32, [batch, pieceLength])
    for channel in 0..<space.channels {
      try product.run([part(states, channel), part(outward, channel), added])
      add(added, to: row(output, channel))
      advance(part(states, channel), channel, part(entered, channel))
    }
  }

  /// Forgets all that was read.
  public func restart() throws { try executor.clear(states) }

  /// A channel's matrix.
  private func part(_ tensor: Tensor, _ channel: Int) -> Tensor {
    tensor.sliced(axis: 0, channel..<channel + 1).reshaped(Array(tensor.shape.dropFirst()))
  }

  private func row(_ tensor: Tensor, _ channel: Int) -> Tensor {
    let part = tensor.sliced(axis: 1, channel..<channel + 1).permuted([1, 0, 2])
    return Tensor(
      unchecked: part.storage, byteOffset: part.byteOffset, type: part.type, shape: [batch, pieceLength],
      strides: Array(part.strides.dropFirst()))
  }

  private func add(_ terms: Tensor, to sums: Tensor) {
    terms.withElements(as: Float.self) { t in
      for number in 0..<batch {
        sums.sliced(axis: 0, number..<number + 1).reshaped([pieceLength])
          .withMutableElements(as: Float.self) { y in
            for i in 0..<pieceLength { y[i] += t[number * pieceLength + i] }
          }
      }
    }
  }

  /// x ← λ^N x + what entered.
  private func advance(_ states: Tensor, _ channel: Int, _ entered: Tensor) {
    let count = space.states
    entered.withElements(as: Float.self) { e in
      states.withMutableElements(as: Float.self) { x in
        for number in 0..<batch {
          for state in 0..<count {
            let p = space.power(channel * count + state, pieceLength)
            let (re, im) = (number * 2 * count + state, number * 2 * count + count + state)
            let (a, b) = (Double(x[re]), Double(x[im]))
            x[re] = Float(p.real * a - p.imaginary * b) + e[re]
            x[im] = Float(p.real * b + p.imaginary * a) + e[im]
          }
        }
      }
    }
  }
}
