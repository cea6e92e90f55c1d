import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// Singular values, projections onto Monarch matrices, and layers of them, against dense matrices.
@Suite struct MonarchMatrixTests {
  private func random(_ count: Int, seed: UInt64) -> [Double] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Double.random(in: -1...1, using: &generator) }
  }

  @Test(arguments: [(1, 1), (1, 5), (5, 1), (4, 4), (9, 4), (4, 9), (33, 20)], [UInt64(1), 2])
  func singularValues(size: (rows: Int, columns: Int), seed: UInt64) {
    let (m, n) = size
    let matrix = random(m * n, seed: seed)
    let found = SingularValues(matrix, rows: m, columns: n)
    #expect(found.values.count == min(m, n))
    #expect(zip(found.values, found.values.dropFirst()).allSatisfy { $0 >= $1 })
    let product = matrix.indices.map { place in
      found.values.indices.reduce(0.0) {
        $0 + found.values[$1] * found.left[$1][place / n] * found.right[$1][place % n]
      }
    }
    #expect(relativeError(product, matrix) < 1e-14)
    for vectors in [found.left, found.right] {
      for i in vectors.indices {
        for j in vectors.indices {
          let dot = zip(vectors[i], vectors[j]).reduce(0.0) { $0 + $1.0 * $1.1 }
          #expect(abs(dot - (i == j ? 1 : 0)) < 1e-13)
        }
      }
    }
  }

  /// A matrix of rank 1, and one with singular values of 1 and 10⁻¹⁰.
  @Test func smallSingularValuesAreAccurate() {
    let (u, v) = (random(6, seed: 3), random(4, seed: 4))
    let one = SingularValues((0..<24).map { u[$0 / 4] * v[$0 % 4] }, rows: 6, columns: 4)
    #expect(one.values.dropFirst().allSatisfy { $0 < 1e-15 * one.values[0] })
    let graded = SingularValues([1, 1, 1e-10, -1e-10].map { $0 / 2.0.squareRoot() }, rows: 2, columns: 2)
    #expect(abs(graded.values[0] - 1) < 1e-15)
    #expect(abs(graded.values[1] / 1e-10 - 1) < 1e-12)
  }

  /// M[d b + c, a b + k] = L_c[d, a] R_a[c, k]: the definition, with the input's blocks in order.
  @Test func aMonarchMatrixIsItsOwnProjection() {
    for (k, l, rank, s, p) in [(4, 4, 1, 4, 4), (2, 3, 2, 5, 8), (4, 4, 2, 8, 16), (1, 1, 3, 6, 7)] {
      var made = MonarchProjection(
        [Double](repeating: 0, count: l * s * k * p), outputs: l * s, inputs: k * p, outputBlocks: l,
        inputBlocks: k, rank: rank)
      made.replace(
        first: random(made.first.count, seed: 5), second: random(made.second.count, seed: 6))
      let matrix = made.matrix
      let found = MonarchProjection(
        matrix, outputs: l * s, inputs: k * p, outputBlocks: l, inputBlocks: k, rank: rank)
      #expect(relativeError(found.matrix, matrix) < 1e-13)
    }
  }

  /// Of a dense matrix what is left out are the squares of the singular values that are cut off, and no step away is nearer.
  @Test(arguments: [UInt64(1), 2]) func projectionsAreNearest(seed: UInt64) {
    let (k, l, rank, s, p) = (2, 3, 2, 4, 5)
    let matrix = random(l * s * k * p, seed: seed)
    let found = MonarchProjection(
      matrix, outputs: l * s, inputs: k * p, outputBlocks: l, inputBlocks: k, rank: rank)
    func distance(_ other: MonarchProjection) -> Double {
      zip(other.matrix, matrix).reduce(0.0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    }
    var cut = 0.0
    for inBlock in 0..<k {
      for outBlock in 0..<l {
        let part = (0..<s * p).map { matrix[($0 / p * l + outBlock) * k * p + inBlock * p + $0 % p] }
        cut += SingularValues(part, rows: s, columns: p).values.dropFirst(rank).reduce(0.0) { $0 + $1 * $1 }
      }
    }
    #expect(abs(distance(found) / cut - 1) < 1e-12)
    for step in 0..<20 {
      var other = found
      let change = random(found.first.count + found.second.count, seed: seed &+ UInt64(step + 10))
      other.replace(
        first: zip(found.first, change).map { $0 + 1e-3 * $1 },
        second: zip(found.second, change.dropFirst(found.first.count)).map { $0 + 1e-3 * $1 })
      #expect(distance(other) > distance(found))
    }
  }

  /// The transform itself is a Monarch matrix: blocks of rank 1 once the input is sorted by its last digit.
  @Test func theCosineTransformOfFourByFourIsMonarch() {
    let n = 16
    // Real part of exp(−2πi jk / n) is a sum of two Monarch matrices: rank 2 for every pair of blocks.
    let matrix = (0..<n * n).map { place in
      let (row, column) = (place / n, place % n / 4 + place % n % 4 * 4)
      return cosine(row * column, of: n)
    }
    let found = MonarchProjection(
      matrix, outputs: n, inputs: n, outputBlocks: 4, inputBlocks: 4, rank: 2)
    #expect(relativeError(found.matrix, matrix) < 1e-13)
    let less = MonarchProjection(
      matrix, outputs: n, inputs: n, outputBlocks: 4, inputBlocks: 4, rank: 1)
    #expect(relativeError(less.matrix, matrix) > 0.1)
  }

  private func cosine(_ power: Int, of n: Int) -> Double {
    // exp(i x) by repeated multiplication would do; four significant angles are enough for 16.
    let table = [1, 0.9238795325112867, 0.7071067811865476, 0.3826834323650898, 0]
    let at = power % n
    let folded = at > n / 2 ? n - at : at
    return folded <= n / 4 ? table[folded] : -table[n / 2 - folded]
  }

  /// A layer with a projection's factors multiplies by the projected matrix.
  @Test(arguments: [(8, 16, 2), (16, 8, 2), (16, 16, 4), (12, 20, 2)])
  func layersMultiplyByTheirMatrix(inputs: Int, outputs: Int, blocks: Int) throws {
    let inner = min(inputs, outputs)
    let dense = random(inputs * outputs, seed: 7)
    let made = MonarchProjection(
      dense, outputs: outputs, inputs: inputs, outputBlocks: blocks, inputBlocks: blocks,
      rank: inner / (blocks * blocks))
    let device = NetworkJudge.exactDevice()
    let parameters = ParameterSet(
      .read { name, shape in
        switch name {
        case "blkdiag1":
          #expect(shape == made.firstShape)
          return made.first.map { Float($0) }
        case "blkdiag2":
          #expect(shape == made.secondShape)
          return made.second.map { Float($0) }
        default: return nil
        }
      }, on: device)
    let layer = try MonarchLayer(
      parameters.root, inputs: inputs, outputs: outputs, blocks: blocks, hasBias: false)
    let x = random(3 * inputs, seed: 8).map { Float($0) }
    let y = NetworkJudge.doubles(
      try device.dense(layer(device.constant(x, [3, 1, inputs])).value))
    let matrix = made.matrix
    let exact = (0..<3 * outputs).map { place in
      (0..<inputs).reduce(0.0) {
        $0 + matrix[place % outputs * inputs + $1] * Double(x[place / outputs * inputs + $1])
      }
    }
    // The factors were rounded to float32.
    #expect(relativeError(y, exact) < 1e-6)
  }
}
