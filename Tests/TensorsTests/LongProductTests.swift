import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Tensors

@Suite struct LongProductTests {
  /// Products of few tiles and a long inner side, which a machine of many cores cuts into parts: whole numbers, whose sums are exact.
  @Test(arguments: [false, true], [false, true])
  func wholeNumbersAddUp(transposesSelf: Bool, transposesOther: Bool) throws {
    let device = Device(DeviceExecutor(try CPUExecutor(threads: 2)))
    for (m, k, n) in [(5, 8192, 7), (64, 1024, 65), (1, 384, 1), (3, 1001, 2)] {
      func numbers(_ count: Int, _ seed: Int) -> [Float] {
        (0..<count).map { Float(($0 * seed + $0 / 13) % 11 - 5) }
      }
      let (a, b) = (numbers(m * k, 7919), numbers(k * n, 104_729))
      let product = try device.constant(a, transposesSelf ? [k, m] : [m, k]).product(
        device.constant(b, transposesOther ? [n, k] : [k, n]), transposesSelf: transposesSelf,
        transposesOther: transposesOther)
      let wanted = (0..<m * n).map { place in
        let (row, column) = (place / n, place % n)
        return (0..<k).reduce(Float(0)) { sum, i in
          sum + a[transposesSelf ? i * m + row : row * k + i]
            * b[transposesOther ? column * k + i : i * n + column]
        }
      }
      #expect(try device.numbers(product.value) == wanted, "\(m) \(k) \(n)")
    }
  }
}
