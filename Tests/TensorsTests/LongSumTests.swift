import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Tensors

@Suite struct LongSumTests {
  /// However a machine of many cores cuts sums along an axis: whole numbers, whose sums are exact.
  @Test(arguments: [
    ([5000, 3], 0), ([8192, 64], 0), ([4096, 1], 0), ([20_000, 2], 0), ([4099, 5], 0), ([1000, 200], 0),
    ([129, 130], 0),
    ([128, 130], 0), ([3, 300, 7], 1), ([2, 5000, 4], 1), ([1, 6000, 8], 1), ([5, 9000], 1),
  ])
  func wholeNumbersAddUp(shape: [Int], axis: Int) throws {
    let device = Device(DeviceExecutor(try CPUExecutor(threads: 2)))
    let count = shape.reduce(1, *)
    let numbers = (0..<count).map { Float(($0 * 7919) % 31 - 15) }
    let sums = try device.constant(numbers, shape).sum(axes: [axis])
    let inner = shape[(axis + 1)...].reduce(1, *)
    var wanted = [Float](repeating: 0, count: count / shape[axis])
    for place in 0..<count {
      wanted[place / (shape[axis] * inner) * inner + place % inner] += numbers[place]
    }
    #expect(try device.numbers(sums.value) == wanted)
  }
}
