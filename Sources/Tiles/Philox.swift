/// Random numbers by counting: what stands at a place follows from the place and the seed, on every machine alike.
///
/// Philox4x32 with 10 rounds. Salmon et al., “Parallel Random Numbers: As Easy as 1, 2, 3”, 2011.
package enum Philox {
  /// The four words that a counter gives.
  package static func words(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var (x, k) = (counter, key)
    for _ in 0..<10 {
      let a = x[0].multipliedFullWidth(by: 0xD251_1F53)
      let b = x[2].multipliedFullWidth(by: 0xCD9E_8D57)
      x = SIMD4(b.high ^ x[1] ^ k[0], b.low, a.high ^ x[3] ^ k[1], a.low)
      k &+= SIMD2(0x9E37_79B9, 0xBB67_AE85)
    }
    return x
  }

  /// The number within 0 ..< 1 at a row and column: a multiple of 2⁻²⁴. Four neighbouring columns share a counter.
  package static func uniform(seed: Int, stream: Int, row: Int, column: Int) -> Float {
    let counter = SIMD4(
      UInt32(truncatingIfNeeded: column / 4), UInt32(truncatingIfNeeded: row),
      UInt32(truncatingIfNeeded: stream), 0)
    let word = words(counter: counter, key: SIMD2(UInt32(truncatingIfNeeded: seed), 0))[column % 4]
    return Float(word >> 8) * 0x1p-24
  }
}

/// Where the random numbers of a tile come from; each tensor element has its own, whatever the tiles.
public struct RandomSource: Sendable, Hashable {
  /// Chooses the sequence; 32 bits count.
  public var seed: Index
  /// Chooses an independent part of it, such as the step of a training run; 32 bits count.
  public var stream: Index
  /// Row of the tensor in which the tile begins. Columns are those of the tile: it holds whole rows.
  public var row: Index

  /// A source.
  public init(seed: Index, stream: Index, row: Index) {
    self.seed = seed
    self.stream = stream
    self.row = row
  }
}
