internal import Memory
public import Tiles

/// The end of a part of a span of ``H3Step`` that is not the span's last: its numbers give what they give to the parts behind it.
///
/// a_t += Σ_j K[t − j] k_j and b_t += Σ_j h[t − j] x_j, with j over the positions of the part. Floor: the part read, those behind it read
/// and written, over the memory bandwidth: 8·P·B·D bytes, and 16·P·B·D for each part behind it.
public enum H3Part {
  /// Sequences of a task.
  private static let columns = 64

  /// Arguments: clock int32 `[1]`, the steps before the part's last; memories of keys and of inputs, float32 `[D, C, B]`, to read the part
  /// from, and the same again, where those behind it are changed; for each the filter's first C numbers, `[D, C]`.
  ///
  /// Both views may be one memory: nothing that is written is read through the first, so that it does not matter whether a compiler takes
  /// that for memory that nobody writes.
  public static func kernel() throws(TileError) -> Kernel {
    try Kernel("h3_part") { k in
      let (d, batch) = (k.extent("D"), k.extent("B"))
      let (c, p) = (Index(H3Step.span), Index(H3Step.part))
      let clock = k.input("clock", .int32, [1])
      let names = ["keys", "inputs"]
      let known = names.map { k.input($0, .float32, [d, c, batch]) }
      let later = names.map { k.update("\($0)Later", .float32, [d, c, batch]) }
      let filters = names.map { k.input("\($0)Filter", .float32, [d, c]) }
      let parts = H3Step.span / H3Step.part
      k.grid([d, Index(parts - 1), batch.ceilDiv(Index(columns))], schedule: .early) { task in
        let (channel, number, column) = (task[0], task[1] + 1, task[2] * Index(columns))
        let part = Index.element(tensor: clock.number, at: [0]) % c / p
        k.when(part, lessThan: number) {
          let place = [channel, number * p, column]
          let sums = names.indices.map { half in
            var sum = k.load(
              later[half], at: place, rows: H3Step.part, columns: columns, validRows: p)
            for position in 0..<H3Step.part {
              // How far behind the position the later part begins.
              let tap = k.load(
                filters[half], at: [channel, (number - part) * p - Index(position)], rows: H3Step.part,
                rowAxis: 1, validRows: p)
              let row = k.load(
                known[half], at: [channel, part * p + Index(position), column], columns: columns)
              sum = k.map(.fma, tap, row, sum)
            }
            return sum
          }
          for (sum, memory) in zip(sums, later) { k.store(sum, to: memory, at: place) }
        }
      }
    }
  }
}
