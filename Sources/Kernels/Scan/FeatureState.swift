internal import Memory
internal import Tiles

/// What linear attention knows of earlier positions: sums of values times features of keys, and of the features alone.
///
/// Kept on its side, `[values, features]`: as a left factor it then comes from registers. Features may come in blocks.
struct FeatureState {
  /// Σ v_s · φ(k_s), `[P, width]` a block.
  let values: [Tile]
  /// Σ φ(k_s) shared out over equal columns, `[width, columns]` a block.
  private let shares: [Tile]
  private let valueSize: Int
  private let width: Int
  private let columns: Int

  /// Zeros.
  ///
  /// - Parameters:
  ///   - width: features of a block, of which there are `count`.
  ///   - groups: of threads that share a task; the matrix units take 16 columns of each.
  init(valueSize: Int, width: Int, count: Int, groups: Int, _ k: Recorder) {
    let columns = 16 * groups
    func zeros(_ rows: Int, _ columns: Int) -> Tile {
      k.filled(0, rows: rows, columns: columns, validRows: Index(rows), validColumns: Index(columns))
    }
    values = (0..<count).map { _ in zeros(valueSize, width) }
    shares = (0..<count).map { _ in zeros(width, columns) }
    (self.valueSize, self.width, self.columns) = (valueSize, width, columns)
  }

  /// Σ φ(k_s), `[width, 1]` a block.
  func sums(_ k: Recorder) -> [Tile] { shares.map { k.rowSum($0) } }

  /// What the sums of features are products with: as many rows as the values.
  func share(_ values: Tile, _ k: Recorder) -> Tile {
    let share = k.filled(
      1 / Float(columns), rows: values.rows, columns: columns, validRows: values.validRows,
      validColumns: Index(columns))
    return k.cast(share, to: values.type)
  }

  /// Adds positions, by features of their keys `[positions, width]` and values `[positions, P]`.
  func absorb(_ features: [Tile], _ values: Tile, share: Tile, _ k: Recorder) {
    for (sum, features) in zip(self.values, features) {
      k.matmul(into: sum, values, features, transposesLeft: true)
    }
    for (sum, features) in zip(shares, features) {
      k.matmul(into: sum, features, share, transposesLeft: true)
    }
  }

  /// Where the sums of one block lie: those with values, and those without below them.
  private func places(_ place: [Index], _ block: Int) -> (values: [Index], sums: [Index]) {
    let (first, column) = (place.dropLast(2), Index(block * width))
    return (first + [0, column], first + [Index(valueSize), column])
  }

  /// Takes the state from a tensor float32 `[…, P + 1, features]`.
  func load(from tensor: TensorParameter, at place: [Index], _ k: Recorder) {
    for block in values.indices {
      let at = places(place, block)
      k.assign(values[block], k.load(tensor, at: at.values, rows: valueSize, columns: width))
      let sums = k.load(tensor, at: at.sums, rows: width, columns: 1, rowAxis: place.count - 1)
      k.assign(shares[block], k.map(.multiply, sums, 1 / Float(columns)))
    }
  }

  /// Writes the state to a tensor float32 `[…, P + 1, features]`.
  func store(to tensor: TensorParameter, at place: [Index], _ k: Recorder) {
    for (block, sums) in sums(k).enumerated() {
      let at = places(place, block)
      k.store(values[block], to: tensor, at: at.values)
      k.store(sums, to: tensor, at: at.sums, rowAxis: place.count - 1)
    }
  }
}

extension [Tile] {
  /// Their elementwise sum; there is at least one.
  func reduceSum(_ k: Recorder) -> Tile { dropFirst().reduce(self[0]) { k.map(.add, $0, $1) } }
}

extension Recorder {
  /// 1 / total for sums of weights, 0 where there is nothing to divide.
  func inverse(_ total: Tile) -> Tile {
    map(.selectGreaterEqual, total, Float.leastNormalMagnitude, map(.reciprocal, total), 0.0)
  }
}
