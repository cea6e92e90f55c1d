internal import Memory
internal import Tiles

/// Small kernels around long convolutions.
enum MonarchRows {
  /// y `[B, C, R]` = x `[B, R, C]`, two axes exchanged.
  static func turning(type: ElementType) throws(TileError) -> Kernel {
    try Kernel("monarch_turn_\(type.rawValue)") { k in
      let (batch, rows, columns) = (k.extent("B"), k.extent("R"), k.extent("C"))
      let x = k.input("x", type, [batch, rows, columns])
      let y = k.output("y", type, [batch, columns, rows])
      let side = 64
      k.grid([batch, rows.ceilDiv(Index(side)), columns.ceilDiv(Index(side))]) { task in
        let (row, column) = (task[1] * Index(side), task[2] * Index(side))
        let tile = k.load(x, at: [task[0], row, column], rows: side, columns: side)
        k.store(tile, to: y, at: [task[0], column, row], rowAxis: 2, columnAxis: 1)
      }
    }
  }

  /// Spectra y `[2, R, 64]` ← y + the conjugate of x; real parts first.
  static func joiningConjugate() throws(TileError) -> Kernel {
    try Kernel("monarch_join") { k in
      let (rows, side, height) = (k.extent("R"), MonarchConstants.side, 16)
      let x = k.input("x", .float32, [2, rows, Index(side)])
      let y = k.update("y", .float32, [2, rows, Index(side)])
      k.grid([rows.ceilDiv(Index(height))]) { task in
        for (half, function) in [MapFunction.add, .subtract].enumerated() {
          let at = [Index(half), task[0] * Index(height), 0]
          let own = k.load(y, at: at, rows: height, columns: side)
          k.store(k.map(function, own, k.load(x, at: at, rows: height, columns: side)), to: y, at: at)
        }
      }
    }
  }

  /// y `[H, 1]` = 0, a column of something larger.
  static func clearing() throws(TileError) -> Kernel {
    try Kernel("monarch_clear") { k in
      let (channels, height) = (k.extent("H"), 128)
      let y = k.output("y", .float32, [channels, 1])
      k.grid([channels.ceilDiv(Index(height))]) { task in
        let row = task[0] * Index(height)
        let zeros = k.filled(
          0, rows: height, columns: 1, validRows: (channels - row).min(Index(height)), validColumns: 1)
        k.store(zeros, to: y, at: [row, 0])
      }
    }
  }

  /// y `[H]` = x `[H, 1]`, a column of something larger.
  static func takingColumn() throws(TileError) -> Kernel {
    try Kernel("monarch_column") { k in
      let (channels, height) = (k.extent("H"), 128)
      let x = k.input("x", .float32, [channels, 1])
      let y = k.output("y", .float32, [channels])
      k.grid([channels.ceilDiv(Index(height))]) { task in
        let row = task[0] * Index(height)
        k.store(k.load(x, at: [row, 0], rows: height, columns: 1, rowAxis: 0), to: y, at: [row], rowAxis: 0)
      }
    }
  }

  /// y `[H, R, 64]` = x `[H, R, 64]` + d `[H]` · unit `[R, 64]`.
  static func addingSkip() throws(TileError) -> Kernel {
    try Kernel("monarch_skip") { k in
      let (channels, rows) = (k.extent("H"), k.extent("R"))
      let side = MonarchConstants.side
      let x = k.input("x", .float32, [channels, rows, Index(side)])
      let d = k.input("d", .float32, [channels])
      let unit = k.input("unit", .float32, [rows, Index(side)])
      let y = k.output("y", .float32, [channels, rows, Index(side)])
      let height = 16
      k.grid([channels, rows.ceilDiv(Index(height))]) { task in
        let row = task[1] * Index(height)
        let factor = k.load(d, at: [task[0]], rows: 1, columns: 1, rowAxis: 0)
        let own = k.load(x, at: [task[0], row, 0], rows: height, columns: side)
        let one = k.load(unit, at: [row, 0], rows: height, columns: side)
        k.store(k.map(.fma, one, factor, own), to: y, at: [task[0], row, 0])
      }
    }
  }
}
