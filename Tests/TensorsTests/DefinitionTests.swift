import Glibc
import Kernels
import TestSupport
import Testing

@testable import Tensors

/// Operations against their definitions in float64: a gradient may fit a wrong function.
@Suite struct DefinitionTests {
  private func compare(
    _ shapes: [[Int]], _ body: ([Variable]) throws -> Variable, _ exact: ([[Double]]) -> [Double]
  ) throws {
    let values = shapes.enumerated().map { numbers($1.reduce(1, *), seed: UInt64($0 + 3), in: -3...3) }
    let wanted = exact(values.map { $0.map(Double.init) })
    for (device, bound) in [(exactDevice(), 1e-12), (try coreDevice(), 1e-5)] {
      let result = try body(zip(values, shapes).map { try device.constant($0, $1) })
      #expect(relativeError(try doubles(device, result.value), wanted) < bound)
    }
  }

  @Test(arguments: [1, 2, 63, 65, 1031]) func crossEntropy(vocabulary: Int) throws {
    let targets: [Int32] = [0, Int32(vocabulary - 1), -1, Int32(vocabulary / 2), 0, 0, 0, 0, 0]
    try compare([[9, vocabulary]], { try $0[0].crossEntropy(targets).loss.map { $0 + 1 } }) { x in
      var total = 0.0
      for (row, target) in targets.enumerated() where target >= 0 {
        let logits = x[0][row * vocabulary..<(row + 1) * vocabulary]
        total += log(logits.reduce(0) { $0 + exp($1) }) - x[0][row * vocabulary + Int(target)]
      }
      return [total / 8 + 1]
    }
  }

  @Test(arguments: [(1, 1), (3, 5), (65, 65), (2, 63)]) func softmax(rows: Int, columns: Int) throws {
    for isCausal in [false, true] {
      try compare([[2, rows, columns]], { try $0[0].softmax(scale: 0.5, isCausal: isCausal) }) { x in
        (0..<2 * rows).flatMap { row in
          let seen = isCausal ? columns - rows + row % rows + 1 : columns
          let powers = (0..<columns).map { $0 < seen ? exp(0.5 * x[0][row * columns + $0]) : 0 }
          return powers.map { $0 / powers.reduce(0, +) }
        }
      }
    }
  }

  @Test(arguments: [1, 2, 31, 65]) func normalisations(width: Int) throws {
    try compare(
      [[9, width], [width], [width]],
      {
        try $0[0].normalised(.layer(epsilon: 1e-3), weight: $0[1], bias: $0[2])
      }
    ) { x in
      (0..<9).flatMap { row in
        let values = Array(x[0][row * width..<(row + 1) * width])
        let mean = values.reduce(0, +) / Double(width)
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(width)
        // The constant is a float32 number.
        let deviation = (variance + Double(Float(1e-3))).squareRoot()
        return (0..<width).map { (values[$0] - mean) / deviation * x[1][$0] + x[2][$0] }
      }
    }
  }

  @Test(arguments: [(1, 1, 1), (5, 63, 2), (64, 65, 33)]) func products(m: Int, k: Int, n: Int) throws {
    try compare([[2, m, k], [2, n, k]], { try $0[0].product($0[1], transposesOther: true) }) { x in
      var result: [Double] = []
      for i in 0..<2 {
        for r in 0..<m {
          for c in 0..<n {
            var sum = 0.0
            for s in 0..<k { sum += x[0][(i * m + r) * k + s] * x[1][(i * n + c) * k + s] }
            result.append(sum)
          }
        }
      }
      return result
    }
  }

  @Test(arguments: [1, 2, 31, 65]) func convolutions(length: Int) throws {
    try compare([[2, 3, length], [3, length], [3]], { try $0[0].convolved($0[1], skip: $0[2]) }) { x in
      var result: [Double] = []
      for row in 0..<6 {
        for t in 0..<length {
          var sum = x[2][row % 3] * x[0][row * length + t]
          for s in 0...t { sum += x[1][row % 3 * length + s] * x[0][row * length + t - s] }
          result.append(sum)
        }
      }
      return result
    }
  }

  @Test func shortConvolutions() throws {
    try compare([[2, 3, 7], [3, 4], [3]], { try $0[0].shortConvolved($0[1], bias: $0[2]) }) { x in
      (0..<42).map { place in
        let (row, t, h) = (place / 7, place % 7, place / 7 % 3)
        var sum = x[2][h]
        for j in 0..<4 where t + j >= 3 { sum += x[1][h * 4 + j] * x[0][row * 7 + t + j - 3] }
        return sum
      }
    }
  }
}
