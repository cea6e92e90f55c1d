import Memory
import TestSupport
import Testing
import Tiles

/// Elementwise steps that machines may compute in 16 bits.
@Suite struct NarrowMapTests {
  /// Of numbers that 16 bits hold exactly all arithmetics give the same.
  @Test(arguments: [ElementType.bfloat16, .float16], [1, 2, 63, 65])
  func exactNumbersAreExact(type: ElementType, count: Int) throws {
    let kernel = try Kernel("narrow") { k in
      let n = k.extent("N")
      let inputs = ["a", "b"].map { k.input($0, .float32, [3, n]) }
      let y = k.output("y", .float32, [3, n])
      k.grid([1]) { _ in
        let tiles = inputs.map { k.load($0, at: [0, 0], rows: 3, columns: 80, as: type) }
        let (a, b) = (tiles[0], tiles[1])
        let sum = k.map(
          .fma, k.map(.negate, a, in: type), b, k.map(.subtract, a, b, in: type), in: type)
        k.assign(sum, k.map(.multiply, sum, 2, in: type), in: type)
        k.store(sum, to: y, at: [0, 0])
      }
    }
    let a = try tensor([3, count]) { Float($0 * 7 % 11 - 5) }
    let b = try tensor([3, count]) { Float($0 * 5 % 9 - 4) }
    let exact = zip(values(a), values(b)).map { 2 * ($0 - $1 - $0 * $1) }
    for run in try runs(kernel, [a, b], outputs: [(.float32, [3, count])], portable: true) {
      #expect(run.outputs[0] == exact, "\(run.executor)")
    }
  }
}
