public import Memory
public import Tiles

/// The seam between two layers of a network that trains: y = residual + dropout(x), z = normalised y.
///
/// What is dropped follows from the seed and the element's place (``Tiles/RandomSource``), so that the gradient can draw
/// it again instead of reading a mask. Srivastava et al., “Dropout”, 2014. Floor: x and the residual read, y and z
/// written once over the memory bandwidth.
public struct DropoutResidualNorm: Sendable, Hashable {
  /// How rows are normalised.
  public var norm: Normalisation
  /// Numbers in a row.
  public var width: Int
  /// Type of x and z: float32, bfloat16 or float16; statistics are float32.
  public var type: ElementType
  /// Type of the residual and y, likewise.
  public var sum: ElementType
  /// The share of numbers that become 0, in 0 ..< 1; the others are divided by 1 − p. With 0 nothing is drawn.
  public var probability: Float

  /// A seam.
  ///
  /// - Parameter sum: type of the residual and y; that of x by default.
  public init(
    _ norm: Normalisation, width: Int, type: ElementType = .bfloat16, sum: ElementType? = nil,
    probability: Float
  ) {
    precondition((0..<1).contains(probability), "probability \(probability) is not within 0 ..< 1")
    self.norm = norm
    self.width = width
    self.type = type
    self.sum = sum ?? type
    self.probability = probability
  }

  /// Arguments: x and residual `[M, D]`, weight and (layer only) bias float32 `[D]`, results y and z `[M, D]`. Integers:
  /// seed and stream, such as the number of the step; where nothing is dropped there are none.
  ///
  /// Statistics are those of y as it is stored.
  public func kernel() throws(TileError) -> Kernel {
    let types = (sum == type ? "" : "\(sum.rawValue)_") + type.rawValue
    return try Kernel("dropout_residual_\(norm)_\(width)_\(types)_\(probability)") { k in
      let (m, d) = (k.extent("M"), Index(width))
      let x = k.input("x", type, [m, d])
      let residual = k.input("residual", sum, [m, d])
      let weight = k.input("weight", .float32, [d])
      let bias: TensorParameter? = if case .layer = norm { k.input("bias", .float32, [d]) } else { nil }
      let y = k.output("y", sum, [m, d])
      let z = k.output("z", type, [m, d])
      let source: (Index) -> RandomSource
      if probability > 0 {
        let (seed, stream) = (k.argument("seed"), k.argument("stream"))
        source = { RandomSource(seed: seed, stream: stream, row: $0) }
      } else {
        source = { RandomSource(seed: 0, stream: 0, row: $0) }
      }
      let rows = 8
      k.grid([m.ceilDiv(Index(rows))]) { task in
        let at = [task[0] * Index(rows), 0]
        let other = k.load(residual, at: at, rows: rows, columns: width, as: .float32)
        let input = k.load(x, at: at, rows: rows, columns: width, as: .float32)
        let exact = k.map(.add, other, dropped(input, source(at[0]), k))
        let stored = sum == .float32 ? exact : k.cast(exact, to: sum)
        k.store(stored, to: y, at: at)
        let shift = bias.map { k.load($0, at: [0], columns: width) }
        k.store(
          norm.apply(to: stored, weight: k.load(weight, at: [0], columns: width), bias: shift, k), to: z,
          at: at)
      }
    }
  }

  /// The numbers that are kept, scaled so that the mean stays.
  private func dropped(_ x: Tile, _ source: RandomSource, _ k: Recorder) -> Tile {
    guard probability > 0 else { return x }
    let scaled = k.map(.multiply, x, 1 / (1 - probability))
    return k.map(.selectGreaterEqual, MapValue.random(source), probability, scaled, 0.0)
  }
}
