/// How a convolution of one shape is computed: the size of its transforms and how they are split.
///
/// A row of S numbers is seen as a matrix of `columns.length` rows and `rows.length` columns. Columns are transformed, then
/// rows. Causal and two-sided convolutions use the right-angle transform: multiplication of polynomials modulo
/// z^S = i, whose real part is the first half of the linear convolution and whose imaginary part is the second, so that nothing
/// is padded to twice the length. Circular ones of a length that has a transform take two rows as the real and the
/// imaginary part of one.
public struct ConvolutionPlan: Sendable, Hashable {
  /// The shape it is for.
  public let shape: ConvolutionShape
  /// The transform of columns.
  public let columns: Radices
  /// The transform of rows.
  public let rows: Radices
  /// Numbers a transform takes, S.
  public var size: Int { columns.length * rows.length }

  /// - Precondition: the size is at least ``ConvolutionShape/leastSize``, and the length itself where rows are paired.
  public init(shape: ConvolutionShape, columns: Radices, rows: Radices) {
    self.shape = shape
    self.columns = columns
    self.rows = rows
    precondition(
      size >= shape.leastSize && (!pairsRows || size == shape.length), "a transform smaller than the sequence"
    )
  }

  /// Whether two rows are transformed as one, circular.
  public var pairsRows: Bool { shape.mode == .circular && Radices(of: shape.length) != nil }

  /// Pieces that a row is cut in, each as long as the transform; what spills over is added to the next.
  public var chunks: Int { (shape.length + size - 1) / size }

  /// Groups of eight rows of the matrix.
  public var groups: Int { (columns.length + 7) / 8 }

  /// Float32 numbers that a transformed row takes: eight bytes a number of the transform, more where the rows of the matrix are
  /// no multiple of eight.
  public var spectrumCount: Int { groups * rows.length * 16 }

  /// Bytes of memory that each thread works in, beside inputs and outputs: the transformed row, one tile of columns and a
  /// filter's spectrum; for gradients two more transformed rows.
  public func workspaceBytes(gradients: Bool) -> Int {
    4 * (spectrumCount * (gradients ? 4 : 2) + columns.length * 32 + (needsLinear ? 2 * size : 0))
  }

  /// Whether both halves of the linear convolution are needed before a result can be written.
  public var needsLinear: Bool { shape.mode == .circular && !pairsRows || chunks > 1 }

  /// The frequency at a row of the matrix (a position of the transform of columns) and a position in it.
  public func frequency(column: Int, row: Int) -> Int { column + columns.length * row }

  /// An estimate of the time of one row's convolution, in cycles: passes over lines of eight numbers, weighed by what they
  /// took on an x86-64 core with AVX2, and by the cache they run in.
  public var estimatedCost: Double {
    func passes(_ radices: Radices) -> Double {
      radices.list.reduce(0) { $0 + Self.cyclesOfPass[$1, default: 12] }
    }
    let lines = Double(spectrumCount) / 16
    let columnBytes = Double(columns.length * 64)
    let rowBytes = Double(rows.length * 64)
    var line = 2 * passes(columns) * (columnBytes > 24_576 ? 1.4 : 1)
    line += 2 * passes(rows) * (rowBytes > 262_144 ? 1.8 : rowBytes > 24_576 ? 1.2 : 1)
    line += lines * 64 > 393_216 ? 70 : 40
    // A call of a routine for each tile and each group.
    return Double(chunks) * (lines * line + Double(rows.length / 8 + groups) * 60)
  }

  private static let cyclesOfPass: [Int: Double] = [2: 3.5, 3: 5, 4: 5.5, 5: 8.5, 7: 13, 8: 8.5]
}
