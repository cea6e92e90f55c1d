public import Memory
public import Tiles

/// Normalisation of each row, scaled by a weight a column.
///
/// Floor: the rows read and written once over the memory bandwidth; both passes over a row find it in cache.
public enum Normalisation: Sendable, Hashable {
  /// x / √(mean(x²) + ε) · w. Zhang and Sennrich, 2019, arXiv:1910.07467.
  case rms(epsilon: Float)
  /// (x − mean) / √(var + ε) · w + b. Ba et al., 2016, arXiv:1607.06450.
  case layer(epsilon: Float)

  /// y `[M, D]` of type `output` (float32, bfloat16 or q16_rows) from x `[M, D]`.
  ///
  /// Arguments: x, weight, bias (layer only), y.
  ///
  /// - Parameter rounds: by how much a task has more rows than usual. Where there are many, each task then reads weight and bias once
  ///   for all of its own.
  public func kernel(
    width: Int, input: ElementType = .float32, output: ElementType = .float32, rounds: Int = 1
  ) throws(TileError) -> Kernel {
    let types = (input == .float32 ? "" : "\(input.rawValue)_") + output.rawValue
    return try Kernel("normalisation_\(self)_\(types)\(rounds > 1 ? "_\(rounds)" : "")") { k in
      let m = k.extent("M")
      let x = k.input("x", input, [m, Index(width)])
      let weight = k.input("weight", .float32, [Index(width)])
      let bias: TensorParameter? =
        if case .layer = self { k.input("bias", .float32, [Index(width)]) } else { nil }
      let y = k.output("y", output, [m, Index(width)])
      let rows = rounds * Self.rows(ofWidth: width)
      var schedule = Kernel.Schedule.early
      schedule.prefetched = [weight.number]
      if let bias { schedule.prefetched.insert(bias.number) }
      k.grid([m.ceilDiv(Index(rows))], schedule: schedule) { task in
        let row = task[0] * Index(rows)
        let input = k.load(x, at: [row, 0], rows: rows, columns: width, as: .float32)
        let scale = k.load(weight, at: [0], columns: width)
        let shift = bias.map { k.load($0, at: [0], columns: width) }
        let result = apply(to: input, weight: scale, bias: shift, k)
        k.store(output == .q16_rows ? k.quantize(result) : result, to: y, at: [row, 0])
      }
    }
  }

  /// The normalised rows of a tile that holds whole rows.
  public func apply(to x: Tile, weight: Tile, bias: Tile?, _ k: Recorder) -> Tile {
    let weighted = k.map(.multiply, standardised(x, k).rows, weight)
    return bias.map { k.map(.add, weighted, $0) } ?? weighted
  }
}
