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

  /// y `[B, R, C]` ← y + x, added in float32.
  static func adding(type: ElementType) throws(TileError) -> Kernel {
    try Kernel("monarch_add_\(type.rawValue)") { k in
      let (batch, rows, columns) = (k.extent("B"), k.extent("R"), k.extent("C"))
      let x = k.input("x", type, [batch, rows, columns])
      let y = k.update("y", type, [batch, rows, columns])
      let (height, width) = (4, 512)
      k.grid([batch, rows.ceilDiv(Index(height)), columns.ceilDiv(Index(width))]) { task in
        let at = [task[0], task[1] * Index(height), task[2] * Index(width)]
        let own = k.load(y, at: at, rows: height, columns: width, as: .float32)
        let part = k.load(x, at: at, rows: height, columns: width, as: .float32)
        k.store(k.map(.add, own, part), to: y, at: at)
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
