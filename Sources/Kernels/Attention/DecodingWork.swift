internal import Memory
public import Tiles

/// The work list of ``PagedAttention`` for one new position of each sequence, made where the positions are.
///
/// Each sequence has so many pages one after the other. All chunks that it may come to have an item; those not begun have no rows. Thus
/// a step is the same kernels on the same memory wherever its sequences are.
public enum DecodingWork {
  /// Arguments: positions int32 `[B]`; results runs `[B, 4]` as ``Rotary`` takes them and items `[B · chunks, 8]`, int32. Integers:
  /// pages of a sequence.
  public static func kernel(_ shape: Rotary.Shape) throws(TileError) -> Kernel {
    try Kernel("decoding_work_\(shape.pageTokens)") { k in
      let (batch, chunks) = (k.extent("B"), k.extent("chunks"))
      let fields = Index(PagedAttention.Field.allCases.count)
      let positions = k.input("positions", .int32, [batch])
      let runs = k.output("runs", .int32, [batch, 4])
      let items = k.output("items", .int32, [batch, chunks, fields])
      let each = k.argument("pagesEach")
      let page = Index(shape.pageTokens)
      let whole = Index(PagedAttention.chunkTokens / shape.pageTokens)
      k.grid([batch, chunks]) { task in
        let (sequence, chunk) = (task[0], task[1])
        let position = Index.element(tensor: positions.number, at: [sequence])
        func write(_ value: Index, _ tensor: TensorParameter, _ at: [Index]) {
          let number = k.filled(0, rows: 1, columns: 1, validRows: 1, validColumns: 1)
          k.assign(number, MapValue.index(value))
          k.store(number, to: tensor, at: at)
        }
        let first = chunk * Index(PagedAttention.chunkTokens)
        // Positions of the chunk that are seen, the new one included.
        let seen = (position + 1 - first).max(0).min(Index(PagedAttention.chunkTokens))
        for field in PagedAttention.Field.allCases {
          let value: Index =
            switch field {
            case .firstRow: sequence
            case .rowCount: seen.min(1)
            case .firstPage: sequence * each + chunk * whole
            case .pageCount: seen.ceilDiv(page)
            case .firstPosition: first
            case .chunk: chunk
            case .continues: 0
            case .wholeCount: seen / page
            }
          write(value, items, [sequence, chunk, Index(field.rawValue)])
        }
        k.when(chunk, lessThan: 1) {
          let run = [sequence, 1, sequence * each + position / page, position % page]
          for (place, value) in run.enumerated() { write(value, runs, [sequence, Index(place)]) }
        }
      }
    }
  }
}
