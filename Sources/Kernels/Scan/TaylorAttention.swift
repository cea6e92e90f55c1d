public import Memory
public import Tiles

/// Based's linear attention: weights 1 + x + x²/2 of x = scale · q·k instead of exp x, so that a state of fixed size
/// carries all earlier positions.
///
/// The state holds sums of values times the products of key numbers (those of each pair once, since they commute), times
/// key numbers, and times 1. Products of numbers are made from products with matrices that select them, which the matrix
/// units do as they do all else. Arora et al., 2024, arXiv:2402.18668. Floor: q, k, v and y once over the bandwidth.
public enum TaylorAttention {
  /// Sizes that are fixed while recording.
  public struct Shape: Sendable, Hashable {
    /// Heads of q, k and v.
    public var heads: Int
    /// Numbers in a head of v.
    public var valueSize: Int
    /// bfloat16 or float16.
    public var type: ElementType
    /// Positions of a chunk.
    public var chunk = 64
    /// Chunks that may be loaded ahead.
    public var stages = 2
    /// How groups of threads share a task.
    public var schedule = Kernel.Schedule(groups: 1, tasksPerCore: 2)

    /// Sizes with the default tiles.
    public init(heads: Int, valueSize: Int = 64, type: ElementType = .bfloat16) {
      self.heads = heads
      self.valueSize = valueSize
      self.type = type
    }
  }

  /// Numbers in a head of q and k.
  public static let keySize = 16
  /// Pairs of key numbers, each once, padded to whole 16s.
  static let pairs = 144
  /// How the pairs are cut: fragments of all of them at once would not fit the registers.
  static let blocks = [(start: 0, width: 64), (start: 64, width: 48), (start: 112, width: 32)]

  /// The matrices that select pairs, `[3, 144, 16]` row by row: first member for queries, for keys (squares count half),
  /// second member for both.
  public static func selections() -> [Float] {
    var result = [Float](repeating: 0, count: 3 * pairs * keySize)
    var row = 0
    for first in 0..<keySize {
      for second in first..<keySize {
        result[row * keySize + first] = 1
        result[(pairs + row) * keySize + first] = first == second ? 0.5 : 1
        result[(2 * pairs + row) * keySize + second] = 1
        row += 1
      }
    }
    return result
  }

  /// The matrices of ``selections()`` `[3, 144, 16]` and ones `[64, 16]`, as the kernel takes them.
  public static func constants(_ type: ElementType) throws(MemoryError) -> [Tensor] {
    func tensor(_ values: [Float], _ shape: [Int]) throws(MemoryError) -> Tensor {
      let tensor = try Tensor(zeros: type, shape)
      tensor.withMutableElements(as: UInt16.self) { span in
        for index in values.indices {
          span[index] = type == .float16 ? float16Bits(values[index]) : BFloat16(values[index]).bitPattern
        }
      }
      return tensor
    }
    return [
      try tensor(selections(), [3, pairs, keySize]),
      try tensor([Float](repeating: 1, count: 64 * keySize), [64, keySize]),
    ]
  }

  /// Arguments: q and k `[B, H, N, 16]`, v `[B, H, N, P]`, the matrices of ``selections()`` `[3, 144, 16]`, ones `[64, 16]`,
  /// result y as v, all of the shape's type.
  public static func kernel(_ shape: Shape, scale: Float) throws(TileError) -> Kernel {
    try Kernel("taylor_attention_\(shape.valueSize)_\(shape.type.rawValue)") { k in
      let (batch, n) = (k.extent("B"), k.extent("N"))
      let (heads, p, d) = (Index(shape.heads), Index(shape.valueSize), Index(keySize))
      let q = k.input("q", shape.type, [batch, heads, n, d])
      let keys = k.input("k", shape.type, [batch, heads, n, d])
      let values = k.input("v", shape.type, [batch, heads, n, p])
      let selections = k.input("selections", shape.type, [3, Index(pairs), d])
      let unit = k.input("ones", shape.type, [Index(shape.chunk), d])
      let y = k.output("y", shape.type, [batch, heads, n, p])
      let chunk = Index(shape.chunk)
      k.grid([heads, batch], schedule: shape.schedule) { task in
        let (head, row) = (task[0], task[1])
        func state(_ columns: Int) -> Tile {
          k.filled(
            0, rows: shape.valueSize, columns: columns, validRows: p, validColumns: Index(columns))
        }
        let (pairSums, keySums, sums) = (blocks.map { state($0.width) }, state(keySize), state(keySize))
        let selectors = (0..<3).map { which in
          blocks.map {
            k.load(selections, at: [Index(which), Index($0.start), 0], rows: $0.width, columns: keySize)
          }
        }
        func features(_ rows: Tile, first: Int, block: Int, factor: Float) -> Tile {
          let a = k.matmul(rows, selectors[first][block], transposesRight: true)
          let b = k.matmul(rows, selectors[2][block], transposesRight: true)
          let product = k.map(.multiply, a, b)
          return k.cast(factor == 1 ? product : k.map(.multiply, product, factor), to: shape.type)
        }
        k.pipeline(
          steps: n.ceilDiv(chunk), stages: shape.stages,
          load: { step in
            let at = [row, head, step * chunk, 0]
            return [q, keys].map { k.load($0, at: at, rows: shape.chunk, columns: keySize) }
              + [
                k.load(values, at: at, rows: shape.chunk, columns: shape.valueSize),
                k.load(
                  unit, at: [0, 0], rows: shape.chunk, columns: keySize, validRows: n - step * chunk),
              ]
          },
          compute: { step, tiles in
            let (q, key, v, ones) = (tiles[0], tiles[1], tiles[2], tiles[3])
            let scores = k.matmul(q, key, transposesRight: true)
            // What came before this chunk: each sum as the right factor of what queries hold against it.
            let (pairFactors, keyFactors, factors) = (
              pairSums.map { k.cast($0, to: shape.type) },
              k.cast(k.map(.multiply, keySums, scale), to: shape.type),
              k.cast(k.map(.multiply, sums, 1 / Float(keySize)), to: shape.type)
            )
            let result = k.matmul(q, keyFactors, transposesRight: true)
            k.matmul(into: result, ones, factors, transposesRight: true)
            let x = k.map(.multiply, scores, scale)
            let polynomial = k.map(.fma, x, k.map(.fma, x, 0.5, 1.0), 1.0)
            let weights = k.map(
              .selectGreaterEqual, MapValue.row(offset: 0), MapValue.column(offset: 0), polynomial, 0.0)
            k.matmul(into: result, k.cast(weights, to: shape.type), v)
            for block in blocks.indices {
              k.matmul(
                into: result, features(q, first: 0, block: block, factor: 1), pairFactors[block],
                transposesRight: true)
            }
            for block in blocks.indices {
              let f = features(key, first: 1, block: block, factor: scale * scale)
              k.matmul(into: pairSums[block], v, f, transposesLeft: true)
            }
            k.matmul(into: keySums, v, key, transposesLeft: true)
            k.matmul(into: sums, v, ones, transposesLeft: true)
            k.store(result, to: y, at: [row, head, step * chunk, 0])
          })
      }
    }
  }
}
