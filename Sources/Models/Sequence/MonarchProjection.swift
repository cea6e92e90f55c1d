/// The Monarch matrix that is nearest to a dense one in the sum of squares.
///
/// In the four indices of block and place, a Monarch matrix is a matrix of low rank for every pair of an input block and an
/// output block; each is cut down by its singular values on its own. Exact where the matrix is Monarch.
///
/// Dao et al., “Monarch: expressive structured matrices for efficient and accurate training”, 2022, arXiv:2204.00595.
public struct MonarchProjection: Sendable {
  /// Factor that meets the input, `[inputBlocks, rank · outputBlocks, in / inputBlocks]`, row by row.
  public private(set) var first: [Double]
  /// Factor behind it, `[outputBlocks, out / outputBlocks, rank · inputBlocks]`.
  public private(set) var second: [Double]
  /// Shape of the first factor.
  public let firstShape: [Int]
  /// Shape of the second.
  public let secondShape: [Int]

  /// - Parameters:
  ///   - matrix: `[outputs, inputs]`, row by row.
  ///   - outputs: a multiple of `outputBlocks`.
  ///   - inputs: a multiple of `inputBlocks`.
  ///   - outputBlocks: blocks of the second factor.
  ///   - inputBlocks: blocks of the first factor.
  ///   - rank: of each pair of blocks: the width between the factors over inputBlocks · outputBlocks.
  public init(
    _ matrix: [Double], outputs: Int, inputs: Int, outputBlocks l: Int, inputBlocks k: Int, rank: Int
  ) {
    precondition(
      matrix.count == outputs * inputs && outputs % l == 0 && inputs % k == 0 && rank >= 1,
      "\(matrix.count) numbers, \(outputs)×\(inputs), \(l) and \(k) blocks of rank \(rank)")
    let (s, p) = (outputs / l, inputs / k)
    (firstShape, secondShape) = ([k, rank * l, p], [l, s, rank * k])
    first = [Double](repeating: 0, count: k * rank * l * p)
    second = [Double](repeating: 0, count: l * s * rank * k)
    for inBlock in 0..<k {
      for outBlock in 0..<l {
        let part = (0..<s * p).map { place in
          matrix[(place / p * l + outBlock) * inputs + inBlock * p + place % p]
        }
        let found = SingularValues(part, rows: s, columns: p)
        for number in 0..<min(rank, found.values.count) {
          let size = found.values[number].squareRoot()
          let row = (inBlock * rank + number) * l + outBlock
          for place in 0..<p { first[row * p + place] = size * found.right[number][place] }
          for place in 0..<s {
            second[(outBlock * s + place) * rank * k + inBlock * rank + number] =
              size * found.left[number][place]
          }
        }
      }
    }
  }

  /// Puts other factors of the same shapes in place.
  mutating func replace(first: [Double], second: [Double]) {
    precondition(first.count == self.first.count && second.count == self.second.count, "other shapes")
    (self.first, self.second) = (first, second)
  }

  /// The matrix that the factors make, `[outputs, inputs]`, row by row.
  public var matrix: [Double] {
    let (k, p) = (firstShape[0], firstShape[2])
    let (l, s, r) = (secondShape[0], secondShape[1], secondShape[2])
    let rank = r / k
    var result = [Double](repeating: 0, count: l * s * k * p)
    for place in result.indices {
      let (output, input) = (place / (k * p), place % (k * p))
      let (inBlock, outBlock) = (input / p, output % l)
      for number in 0..<rank {
        result[place] +=
          second[(outBlock * s + output / l) * r + inBlock * rank + number]
          * first[((inBlock * rank + number) * l + outBlock) * p + input % p]
      }
    }
    return result
  }
}
