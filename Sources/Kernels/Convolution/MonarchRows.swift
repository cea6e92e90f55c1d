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

  /// Numbers of a row of ``adding(type:width:)`` where all rows are whole: so that many are loaded at once.
  static let wide = 1024

  /// y `[R, C]` ← y + x, added in float32.
  ///
  /// - Parameter width: C where it is known while recording.
  static func adding(type: ElementType, width columns: Int?) throws(TileError) -> Kernel {
    try Kernel("monarch_add_\(type.rawValue)_\(columns ?? 0)") { k in
      let rows = k.extent("R")
      let sizes = [rows, columns.map { Index($0) } ?? k.extent("C")]
      let x = k.input("x", type, sizes)
      let y = k.update("y", type, sizes)
      let (height, width) = (8, wide)
      k.grid([rows.ceilDiv(Index(height)), sizes[1].ceilDiv(Index(width))]) { task in
        let at = [task[0] * Index(height), task[1] * Index(width)]
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
