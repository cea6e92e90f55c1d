internal import Memory
public import Tiles

/// The likeliest token of each row of logits, the lower of equals, and its log-probability.
///
/// Floor: the logits read once over the memory bandwidth.
public enum LikeliestToken {
  /// Logits of a task of ``parts()``.
  public static let span = 2048
  /// Where clocks begin anew.
  public static let clockTurn = 1 << 23

  /// Spans that so many tokens have.
  public static func spans(of tokens: Int) -> Int { (tokens + span - 1) / span }

  /// The largest of each span of a row, where it is, and Σ exp(x − largest). Moves a clock on.
  ///
  /// Arguments: logits float32 `[B, V]`, of which the first `tokens` columns count; results tops, places and sums, float32 `[B, spans]`;
  /// a clock int32 `[1]`, to which 1 is added, and which begins anew at ``clockTurn``. Integers: tokens.
  public static func parts() throws(TileError) -> Kernel {
    try Kernel("likeliest_parts") { k in
      let (batch, columns, spans) = (k.extent("B"), k.extent("V"), k.extent("spans"))
      let logits = k.input("logits", .float32, [batch, columns])
      let tops = k.output("tops", .float32, [batch, spans])
      let places = k.output("places", .float32, [batch, spans])
      let sums = k.output("sums", .float32, [batch, spans])
      let clock = k.update("clock", .int32, [1])
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
        k.when(task[0] + task[1], lessThan: 1) {
          let next = k.map(.add, k.load(clock, at: [0], as: .float32), 1.0)
          k.store(k.map(.selectGreaterEqual, next, Float(clockTurn), 0.0, next), to: clock, at: [0])
        }
      }
    }
  }

  /// The token, from what ``parts()`` gave; 2²⁴ where no logit is a number. Moves on to the next position.
  ///
  /// Arguments: tops, places, sums; the clock; token int32 `[B]`; positions int32 `[B]`, to which 1 is added; and what was found, tokens
  /// int32 and the natural logarithms of their probabilities float32, `[R, B]` each, of which the clock's row modulo R is written.
  /// Integers: the last position there is.
  ///
  /// - Parameter count: spans there are, at most.
  public static func kernel(spans count: Int) throws(TileError) -> Kernel {
    let width = max(32, 1 << (Int.bitWidth - max(0, count - 1).leadingZeroBitCount))
    return try Kernel("likeliest_token_\(width)") { k in
      let (batch, spans, rows) = (k.extent("B"), k.extent("spans"), k.extent("R"))
      let tops = k.input("tops", .float32, [batch, spans])
      let places = k.input("places", .float32, [batch, spans])
      let sums = k.input("sums", .float32, [batch, spans])
      let clock = k.input("clock", .int32, [1])
      let token = k.output("token", .int32, [batch])
      let positions = k.update("positions", .int32, [batch])
      let found = k.update("found", .int32, [rows, batch])
      let logProbabilities = k.update("logProbabilities", .float32, [rows, batch])
      let last = k.argument("last")
      k.grid([batch], schedule: .early) { task in
        func all(_ tensor: TensorParameter) -> Tile { k.load(tensor, at: [task[0], 0], columns: width) }
        let record = [Index.element(tensor: clock.number, at: [0]) % rows, task[0]]
        let row = all(tops)
        let top = k.rowMax(row)
        let place = place(of: top, in: row, all(places), k)
        k.store(place, to: token, at: [task[0]])
        k.store(place, to: found, at: record)
        let weights = k.map(.multiply, k.map(.exp, k.map(.subtract, row, top)), all(sums))
        k.store(k.map(.negate, k.map(.log, k.rowSum(weights))), to: logProbabilities, at: record)
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
