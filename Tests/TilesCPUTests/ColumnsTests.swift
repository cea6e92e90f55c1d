import Memory
import TestSupport
import Testing
import Tiles

/// Columns of tiles cut out and joined.
@Suite struct ColumnsTests {
  /// Two unequal parts of each row, which may end within either of them.
  @Test(arguments: [ElementType.float32, .float16], [1, 23, 24, 25, 40])
  func partsAreCutOut(type: ElementType, count: Int) throws {
    let (rows, cut, width) = (5, 24, 40)
    let kernel = try Kernel("columns") { k in
      let n = k.extent("N")
      let x = k.input("x", .float32, [Index(rows), n])
      let y = k.output("y", .float32, [Index(rows), n])
      k.grid([1]) { _ in
        let tile = k.cast(k.map(.add, k.load(x, at: [0, 0], rows: 8, columns: width), 1.0), to: type)
        let first = k.columns(of: tile, from: 0, count: cut)
        let second = k.columns(of: tile, from: cut, count: width - cut)
        let doubled = k.cast(k.map(.multiply, second, 2.0), to: type)
        k.store(first, to: y, at: [0, 0])
        k.when(Index(cut), lessThan: n) { k.store(doubled, to: y, at: [0, Index(cut)]) }
      }
    }
    let x = try tensor([rows, count]) { Float($0 * 31 % 37 - 18) / 8 }
    let exact = values(x).enumerated().map { ($1 + 1) * ($0 % count < cut ? 1 : 2) }
    for run in try runs(kernel, [x], outputs: [(.float32, [rows, count])], portable: true) {
      #expect(run.outputs[0] == exact, "\(run.executor)")
    }
  }

  /// What is cut out of joined tiles reaches over the seam.
  @Test(arguments: [ElementType.float32, .bfloat16], [0, 3, 8, 16])
  func cutsReachOverSeams(type: ElementType, from: Int) throws {
    let kernel = try Kernel("seams") { k in
      let inputs = ["a", "b"].map { k.input($0, .float32, [4, 16]) }
      let y = k.output("y", .float32, [4, 16])
      k.grid([1]) { _ in
        let tiles = inputs.map {
          k.cast(k.map(.add, k.load($0, at: [0, 0], rows: 4, columns: 16), 1.0), to: type)
        }
        k.store(k.columns(of: k.beside(tiles[0], tiles[1]), from: from, count: 16), to: y, at: [0, 0])
      }
    }
    let inputs = try (0..<2).map { number in try tensor([4, 16]) { Float($0 + 64 * number) } }
    let exact = (0..<64).map { place in
      let column = place % 16 + from
      return Double(place / 16 * 16 + column % 16 + (column < 16 ? 0 : 64)) + 1
    }
    for run in try runs(kernel, inputs, outputs: [(.float32, [4, 16])], portable: true) {
      #expect(run.outputs[0] == exact, "\(run.executor)")
    }
  }

  @Test func messagesNameWhatIsNotThere() {
    func record(_ body: @escaping (Recorder, Tile, Tile) -> Void) -> String {
      message {
        _ = try Kernel("bad") { k in
          let n = k.extent("N")
          let (x, z) = (k.input("x", .float32, [4, n]), k.input("z", .float16, [4, n]))
          k.grid([1]) { _ in
            body(
              k, k.load(x, at: [0, 0], rows: 4, columns: 16), k.load(z, at: [0, 0], rows: 4, columns: 16))
          }
        }
      }
    }
    #expect(
      record { k, x, _ in _ = k.columns(of: x, from: 8, count: 9) }.contains(
        "columns 8..<17 are not all there"))
    #expect(record { k, x, z in _ = k.beside(x, z) }.contains("they differ in type or rows"))
    #expect(record { k, x, _ in _ = k.beside(x, x) }.contains("Join whole tiles"))
  }
}
