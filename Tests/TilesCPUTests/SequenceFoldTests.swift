import Memory
import TestSupport
import Testing
import Tiles

/// Sequences of any length seen folded in rows.
@Suite struct SequenceFoldTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var batch = 2
    var channels = 3
    var length: Int
    var fold = SequenceFold(rows: 4, step: 16)
    var rows = 4
    var type = ElementType.float16
    var testDescription: String {
      "\(batch) x \(channels) x \(length), \(fold.rows) rows of \(fold.step), tiles of \(rows), \(type)"
    }
  }

  static let cases =
    [1, 2, 7, 8, 9, 15, 31, 40, 57].map { Case(length: $0) } + [
      Case(length: 56, type: .bfloat16), Case(length: 64, type: .float32),
      // Tiles of several sequences, of a part of one, and rows of which tiles have a part.
      Case(channels: 4, length: 53, rows: 8), Case(length: 53, rows: 2),
      Case(batch: 1, channels: 1, length: 121, fold: SequenceFold(rows: 4, step: 32)),
      Case(batch: 3, channels: 5, length: 16, fold: SequenceFold(rows: 8, step: 8), rows: 8),
    ]

  /// Twice the numbers of all rows: as rows, and in sequences again.
  private func kernel(_ c: Case) throws -> Kernel {
    try Kernel("folds") { k in
      let (batch, channels, length) = (k.extent("B"), k.extent("H"), k.extent("L"))
      let x = k.input("x", c.type, [batch, channels, length])
      let lines = k.output("rows", .float32, [batch, k.extent("R"), Index(c.fold.step)])
      let y = k.output("y", c.type, [batch, channels, length])
      let width = min(16, c.fold.step)
      let size = channels * Index(c.fold.rows)
      k.grid([batch, size.ceilDiv(Index(c.rows)), Index(c.fold.step / width)]) { task in
        let at = [task[0], task[1] * Index(c.rows), task[2] * Index(width)]
        let tile = k.load(x, at: at, rows: c.rows, columns: width, fold: c.fold)
        let twice = k.map(.multiply, tile, 2.0)
        k.store(twice, to: lines, at: at)
        k.store(twice, to: y, at: at, fold: c.fold)
      }
    }
  }

  @Test(arguments: cases) func rowsHoldWhatTheySay(_ c: Case) throws {
    #expect(c.fold.holds(length: c.length))
    let sizes = [c.batch, c.channels, c.length]
    let x = try uniform(c.type, sizes, seed: UInt64(c.length))
    let numbers = values(x)
    let (rows, step) = (c.channels * c.fold.rows, c.fold.step)
    var exact = [Double](repeating: 0, count: c.batch * rows * step)
    for (place, number) in numbers.enumerated() {
      let (sequence, position) = place.quotientAndRemainder(dividingBy: c.length)
      // It begins as far behind a row's first place as its own is behind a multiple of eight numbers.
      let moved = position + sequence * c.length % 8
      exact[sequence * c.fold.rows * step + moved] = 2 * number
    }
    let outputs = [(ElementType.float32, [c.batch, rows, step]), (c.type, sizes)]
    for run in try runs(try kernel(c), [x], outputs: outputs, portable: true) {
      #expect(run.outputs[0] == exact, "\(run.executor)")
      #expect(run.outputs[1] == numbers.map { 2 * $0 }, "\(run.executor)")
    }
  }

  /// Rows of sequences that are not there have no place: the checked reference says so.
  @Test func rowsBehindTheLastSequenceAreRefused() throws {
    let fold = SequenceFold(rows: 4, step: 16)
    let kernel = try Kernel("behind") { k in
      let y = k.output("y", .float32, [1, 3, 50])
      k.grid([1]) { _ in
        let tile = k.filled(1, rows: 4, columns: 16, validRows: 4, validColumns: 16)
        for row in [0, 4, 8, 12] { k.store(tile, to: y, at: [0, Index(row), 0], fold: fold) }
      }
    }
    let executor = ReferenceExecutor<Double>(checked: true)
    #expect(throws: ExecutionError.self) { try executor.compile(kernel).run([poisoned([1, 3, 50])]) }
  }

  /// What of longer sequences lies behind their rows is in none.
  @Test func longerSequencesAreNotHeld() {
    let fold = SequenceFold(rows: 4, step: 16)
    #expect(fold.holds(length: 64) && fold.holds(length: 57))
    #expect(!fold.holds(length: 63) && !fold.holds(length: 58) && !fold.holds(length: 72))
    #expect(!SequenceFold(rows: .max, step: 8).holds(length: 1))
  }

  @Test(arguments: [
    (SequenceFold(rows: 4, step: 12), 1, "4 rows of 12 numbers"),
    (SequenceFold(rows: 0, step: 16), 1, "0 rows of 16 numbers"),
    (SequenceFold(rows: 4, step: 16), 0, "sequences fold along the last axis"),
  ])
  func foldsThatCannotBeAreRefused(fold: SequenceFold, rowAxis: Int, message: String) {
    do {
      _ = try Kernel("wrong") { k in
        let x = k.input("x", .float16, [3, 4, 50])
        k.grid([1]) { _ in _ = k.load(x, at: [0, 0, 0], rows: 2, columns: 16, rowAxis: rowAxis, fold: fold) }
      }
      Issue.record("it was recorded")
    } catch { #expect("\(error)".contains(message), "\(error)") }
  }
}
