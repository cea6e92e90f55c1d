internal import Memory
public import Tiles

/// Causal convolution with the sum as it is defined, y[t] = Σ_{s < taps} k[s] · u[t − s], and its gradients.
///
/// O(L · taps): for short sequences, and the definition that ``LongConvolution`` is judged by in float64. Floor: B · H · L ·
/// taps multiply-adds over their rate.
public struct DirectConvolution: Sendable, Hashable {
  /// Whether the rows of a tile are channels of one sequence, rather than sequences of one channel.
  public var takesChannels: Bool
  /// Rows of a tile.
  public var rows: Int
  /// Capacity of a sequence.
  public var columns: Int

  /// - Parameters:
  ///   - takesChannels: whether the rows of a tile are channels.
  ///   - rows: of a tile.
  ///   - columns: at least L.
  public init(takesChannels: Bool, rows: Int, columns: Int) {
    self.takesChannels = takesChannels
    self.rows = rows
    self.columns = columns
  }

  /// Arguments: u `[B, H, L]`, k `[H, taps]`, y. With `isAdjoint` y[t] = Σ k[s] · u[t + s], the gradient of the input.
  public func kernel(isAdjoint: Bool = false) throws(TileError) -> Kernel {
    try Kernel("direct_convolution\(isAdjoint ? "_adjoint" : "")_\(rows)x\(columns)") { k in
      let (b, h, l, taps) = (k.extent("B"), k.extent("H"), k.extent("L"), k.extent("taps"))
      let u = k.input("u", .float32, [b, h, l])
      let filter = k.input("k", .float32, [h, taps])
      let y = k.output("y", .float32, [b, h, l])
      let (outer, inner) = takesChannels ? (b, h) : (h, b)
      k.grid([outer, inner.ceilDiv(Index(rows))]) { task in
        let row = task[1] * Index(rows)
        let sum = k.filled(
          0, rows: rows, columns: columns, validRows: (inner - row).min(Index(rows)),
          validColumns: l.min(Index(columns)))
        k.loop(taps) { step in
          let tap =
            takesChannels
            ? k.load(filter, at: [row, step], rows: rows, rowAxis: 0) : k.load(filter, at: [task[0], step])
          let window = load(k, u, task[0], row, isAdjoint ? step : 0 - step, l)
          k.assign(sum, k.map(.fma, window, tap, sum))
        }
        k.store(sum, to: y, at: place(task[0], row, 0), rowAxis: rowAxis, columnAxis: 2)
      }
    }
  }

  /// Arguments: u `[B, H, L]`, dy `[B, H, L]`, gradient of k `[H, taps]`.
  public func filterGradient() throws(TileError) -> Kernel {
    try Kernel("direct_convolution_filter_\(rows)x\(columns)") { k in
      let (b, h, l, taps) = (k.extent("B"), k.extent("H"), k.extent("L"), k.extent("taps"))
      let u = k.input("u", .float32, [b, h, l])
      let dy = k.input("dy", .float32, [b, h, l])
      let dk = k.output("dk", .float32, [h, taps])
      k.grid([taps, takesChannels ? h.ceilDiv(Index(rows)) : h]) { task in
        let first = takesChannels ? task[1] * Index(rows) : task[1]
        let total = k.filled(
          0, rows: takesChannels ? rows : 1, columns: 1,
          validRows: takesChannels ? (h - first).min(Index(rows)) : 1, validColumns: 1)
        k.loop(takesChannels ? b : b.ceilDiv(Index(rows))) { step in
          let (outer, row) = takesChannels ? (step, first) : (task[1], step * Index(rows))
          let products = k.map(
            .multiply, load(k, u, outer, row, 0 - task[0], l), load(k, dy, outer, row, 0, l))
          if takesChannels {
            k.rowSum(products, addingTo: total)
          } else {
            k.rowSum(k.transposed(k.rowSum(products)), addingTo: total)
          }
        }
        k.store(total, to: dk, at: [first, task[0]], rowAxis: 0)
      }
    }
  }

  private var rowAxis: Int { takesChannels ? 1 : 0 }

  private func place(_ outer: Index, _ row: Index, _ start: Index) -> [Index] {
    takesChannels ? [outer, row, start] : [row, outer, start]
  }

  /// Rows from a position on, zeros beyond their ends.
  private func load(
    _ k: Recorder, _ x: TensorParameter, _ outer: Index, _ row: Index, _ start: Index, _ length: Index
  ) -> Tile {
    k.load(
      x, at: place(outer, row, start), rows: rows, columns: columns, rowAxis: rowAxis, columnAxis: 2,
      validColumns: length, paddedAxis: 2)
  }
}
