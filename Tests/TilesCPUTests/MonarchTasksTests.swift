import Memory
import TestSupport
import Testing
import Tiles

@testable import Kernels

/// How rows of a batch are dealt out, and how spectra are ordered.
@Suite struct MonarchTasksTests {
  /// Tiles of channels, rows of the batch, tasks that run at once.
  static let cases = [
    (192, 64, 264), (1, 1, 264), (3, 1, 2), (1, 97, 4), (7, 5, 3), (65, 2, 63), (5, 3, 15), (768, 64, 264),
  ]

  /// Each row of each tile is visited once, by tasks of which none has more than its share.
  @Test(arguments: cases) func everyRowIsVisitedOnce(tiles: Int, batch: Int, slots: Int) throws {
    let share = MonarchTasks.share(tiles: tiles, batch: batch, slots: slots)
    #expect((tiles * batch + share - 1) / share <= slots)
    let kernel = try Kernel("visits") { k in
      let (tiles, batch, share) = (k.extent("T"), k.extent("B"), k.argument("share"))
      let counts = k.update("counts", .float32, [(tiles * batch).ceilDiv(share), batch, tiles])
      k.grid(MonarchTasks.grid(tiles: tiles, batch: batch, share: share)) { task in
        MonarchTasks.visit(k, task: task[0], tiles: tiles, batch: batch, share: share) { tile, first, count in
          k.loop(count) { row in
            let at = [task[0], first + row, tile]
            let one = k.load(counts, at: at, rows: 1, columns: 1)
            k.store(k.map(.add, one, 1), to: counts, at: at)
          }
        }
      }
    }
    let (tasks, rows) = ((tiles * batch + share - 1) / share, tiles * batch)
    let counts = try Tensor(zeros: .float32, [tasks, batch, tiles])
    try ReferenceExecutor<Float>().compile(kernel).run([counts], integers: [share])
    let found = values(counts)
    for row in 0..<rows { #expect((0..<tasks).reduce(0) { $0 + found[$1 * rows + row] } == 1) }
    for task in 0..<tasks { #expect(found[task * rows..<(task + 1) * rows].reduce(0, +) <= Double(share)) }
  }

  /// Columns of spectra are all frequencies; halves are the even and the odd ones, quarters those of one remainder.
  @Test func partsOfSpectraAreFrequenciesOfOneRemainder() {
    let order = (0..<64).map { MonarchConstants.frequency(ofColumn: $0) }
    #expect(order.sorted() == Array(0..<64))
    #expect(order[..<32].allSatisfy { $0 % 2 == 0 } && order[32...].allSatisfy { $0 % 2 == 1 })
    for (part, remainder) in [0, 2, 1, 3].enumerated() {
      #expect(order[16 * part..<16 * (part + 1)].allSatisfy { $0 % 4 == remainder })
    }
    // Two beside two, each as it is alone.
    let quarters = MonarchConstants.quarters
    for part in 0..<4 {
      let own = MonarchConstants.columns(part: part, of: 4)
      let found = (0..<1024).map {
        quarters[(part / 2 * 32 + $0 / 32) * 64 + part % 2 * 32 + $0 % 32]
      }
      #expect(found == own)
    }
  }

  /// Filters that fill tiles have the spectra that the kernel for any number of rows gives them.
  @Test(arguments: [(1, 64), (16, 12), (64, 3)], [false, true])
  func bothKernelsGiveFiltersTheSameSpectra(sizes: (radix: Int, channels: Int), isCircular: Bool) throws {
    var shape = MonarchSpectrum.Shape(MonarchConstants(radix: sizes.radix, isShifted: true))
    shape.isCircular = isCircular
    let rows = sizes.radix * sizes.channels
    let filter = try uniform([rows, 64], seed: 11)
    let executor = ReferenceExecutor<Double>()
    func run(_ kernel: Kernel, _ constants: [Tensor], _ shape: [Int], _ integers: [Int]) throws -> [[Double]]
    {
      let results = try (0..<2).map { _ in try poisoned([rows] + shape) }
      try executor.compile(kernel).run(constants + [filter] + results, integers: integers)
      return results.map(values)
    }
    let real = try run(
      MonarchRealSpectrum.kernel(shape), MonarchRealSpectrum.constants(shape.constants), [4, 16], [2])
    let any = try run(MonarchSpectrum.kernel(shape), MonarchSpectrum.constants(shape), [64], [])
    for (real, any) in zip(real, any) {
      let norm = any.reduce(0) { $0 + $1 * $1 }.squareRoot()
      let difference = zip(real, any).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
      #expect(difference <= 0x1p-14 * norm && norm > 1)
    }
  }
}
