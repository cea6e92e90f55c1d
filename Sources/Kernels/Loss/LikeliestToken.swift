internal import Memory
public import Tiles

/// The likeliest token of each row of logits, the lower of equals, and its log-probability.
///
/// Floor: the logits read once over the memory bandwidth.
public enum LikeliestToken {
  /// Logits of a task of ``parts()``.
  public static let span = 2048

  /// The largest of each span of a row, where it is, and Σ exp(x − largest).
  ///
  /// Arguments: logits float32 `[B, V]`, of which the first `tokens` columns count; results tops, places and sums, float32 `[B, spans]`.
  /// Integers: tokens.
  public static func parts() throws(TileError) -> Kernel {
    try Kernel("likeliest_parts") { k in
      let (batch, columns, spans) = (k.extent("B"), k.extent("V"), k.extent("spans"))
      let logits = k.input("logits", .float32, [batch, columns])
      let tops = k.output("tops", .float32, [batch, spans])
      let places = k.output("places", .float32, [batch, spans])
      let sums = k.output("sums", .float32, [batch, spans])
      let tokens = k.argument("tokens")
      k.grid([batch, spans], schedule: .early) { task in
        let start = task[1] * Index(span)
        let row = k.load(
          logits, at: [task[0], start], columns: span, validColumns: (tokens - start).min(Index(span)))
        let top = k.rowMax(row)
        k.store(top, to: tops, at: [task[0], task[1]])
        k.store(
          place(of: top, in: row, MapValue.column(offset: start), k), to: places, at: [task[0], task[1]])
        k.store(k.rowSum(k.map(.exp, k.map(.subtract, row, top))), to: sums, at: [task[0], task[1]])
      }
    }
  }

  /// The token, from what ``parts()`` gave; 2²⁴ where no logit is a number. Moves on to the next position.
  ///
  /// Arguments: tops, places, sums; token int32 `[B]`, the natural logarithm of its probability float32 `[B]`, and positions int32 `[B]`,
  /// to which 1 is added. Integers: the last position there is. Up to 1,024 spans.
  public static func kernel() throws(TileError) -> Kernel {
    try Kernel("likeliest_token") { k in
      let (batch, spans) = (k.extent("B"), k.extent("spans"))
      let tops = k.input("tops", .float32, [batch, spans])
      let places = k.input("places", .float32, [batch, spans])
      let sums = k.input("sums", .float32, [batch, spans])
      let token = k.output("token", .int32, [batch])
      let logProbability = k.output("logProbability", .float32, [batch])
      let positions = k.update("positions", .int32, [batch])
      let last = k.argument("last")
      k.grid([batch], schedule: .early) { task in
        func all(_ tensor: TensorParameter) -> Tile { k.load(tensor, at: [task[0], 0], columns: 1024) }
        let row = all(tops)
        let top = k.rowMax(row)
        k.store(place(of: top, in: row, all(places), k), to: token, at: [task[0]])
        let weights = k.map(.multiply, k.map(.exp, k.map(.subtract, row, top)), all(sums))
        k.store(k.map(.negate, k.map(.log, k.rowSum(weights))), to: logProbability, at: [task[0]])
        let position = k.load(positions, at: [task[0]], as: .float32)
        k.store(k.map(.min, k.map(.add, position, 1.0), last), to: positions, at: [task[0]])
      }
    }
  }

  /// The lowest place of those where a row is at its top; none is past 2²⁴, where float32 ends to count.
  private static func place(of top: Tile, in row: Tile, _ places: some MapOperand, _ k: Recorder) -> Tile {
    let candidates = k.map(.selectGreaterEqual, row, top, places, 0x1p24)
    return k.map(.negate, k.rowMax(k.map(.negate, candidates)))
  }
}
