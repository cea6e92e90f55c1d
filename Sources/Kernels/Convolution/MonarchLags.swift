internal import Memory
internal import Tiles

/// What the chunks of a causal row leave for others than the next one, where they are four.
///
/// Spectra of results are Σ L_m · U_(i − m). L₀ and L₁ are ``MonarchFilter``'s, which hands on one spectrum from chunk to chunk. One more
/// is enough beside it: the first chunk keeps U₀; the second hands on L₁·U₁ + L₂·U₀ and keeps L₂·U₁ + L₃·U₀ in its place; the third adds
/// that to L₁·U₂. So L₂ and L₃ are read once in four chunks. There are no registers for them, nor for what is kept: each thread has its
/// numbers of all three in memory, in 16 bits, where the second-level cache holds them; 6 bytes a point are read or written.
struct MonarchLags {
  private typealias Pair = MonarchTile.Pair

  /// Columns that are worked on together, since registers are scarce: a piece.
  static let width = 16

  private let k: Recorder
  private let type: ElementType
  private let place: Place
  private let piece: Int
  private let height: Int

  /// Where tasks keep what they read again.
  struct Tensors {
    let spectra: TensorParameter
    let kept: TensorParameter

    /// L₂ and L₃ `[P, 2, 8, rows, 16]` and the kept spectrum `[P, 8, rows, 16]` of P tasks: re and im of each piece of the frequencies.
    ///
    /// - Parameter height: rows of a tile.
    init(_ k: Recorder, type: ElementType, height: Int, tasks: Index) {
      let sizes = [tasks]
      let tiles = [8, height, MonarchLags.width].map { Index($0) }
      spectra = k.scratch("lags", .float16, sizes + [2] + tiles)
      kept = k.scratch("kept", type, sizes + tiles)
    }
  }

  /// Memory for ``Tensors``, from call to call.
  struct Memory {
    private var tensors: [Tensor] = []

    /// Both, as ``Tensors`` has them.
    mutating func tensors(
      _ type: ElementType, tasks: Int, height: Int, _ executor: any Executor
    ) throws -> [Tensor] {
      let tiles = [8, height, MonarchLags.width]
      let sizes = [[tasks, 2] + tiles, [tasks] + tiles]
      if tensors.map(\.shape) != sizes {
        tensors = try zip([.float16, type], sizes).map { try executor.tensor($0, $1) }
      }
      return tensors
    }
  }

  /// Where a task keeps what belongs to some of the frequencies.
  struct Place {
    let tensors: Tensors
    /// Number of their first piece.
    let piece: Int
    let task: Index
  }

  /// Eight times what no part of an L_m exceeds, row by row: three products of T(u) and L_m over it stay below T(u).
  static func scale(_ k: Recorder, chunks: Int, _ load: (_ part: Int, _ chunk: Index) -> Tile) -> Tile {
    // In a loop, since addresses of all parts at once would fill the registers.
    func bound(_ part: Int, _ chunk: Index) -> Tile {
      k.map(.multiply, MonarchFilter.largest(load(part, chunk), k), 16)
    }
    let largest = bound(0, 0)
    k.loop(Index(chunks)) { chunk in
      for part in 0..<2 { k.assign(largest, k.map(.max, largest, bound(part, chunk))) }
    }
    return k.map(.max, largest, 0x1p-100)
  }

  /// Prepares L₂ and L₃.
  ///
  /// - Parameters:
  ///   - piece: its number among those of the place.
  ///   - type: of what is kept.
  ///   - factor: by which rows of L_m are multiplied.
  ///   - load: a part, re or im, of a chunk's spectrum in float32.
  init(
    _ k: Recorder, at place: Place, piece: Int, type: ElementType, factor: Tile,
    _ load: (_ part: Int, _ chunk: Index) -> Tile
  ) {
    (self.k, self.place, self.piece, self.type) = (k, place, place.piece + piece, type)
    height = factor.rows
    k.loop(2) { lag in
      for part in 0..<2 {
        let sum = k.map(part == 0 ? .add : .subtract, load(part, lag + 2), load(1 - part, lag + 1))
        let rounded = k.cast(k.map(.multiply, sum, factor), to: .float16)
        k.store(rounded, to: place.tensors.spectra, at: spectrum(lag, part))
      }
    }
  }

  private func number(_ part: Int) -> Index { Index(2 * piece + part) }
  private func spectrum(_ lag: Index, _ part: Int) -> [Index] { [place.task, lag, number(part), 0, 0] }
  private func kept(_ part: Int) -> [Index] { [place.task, number(part), 0, 0] }

  private func load(_ tensor: TensorParameter, _ origin: (Int) -> [Index]) -> MonarchTile.Pair {
    let parts = (0..<2).map {
      k.load(
        tensor, at: origin($0), rows: height, columns: Self.width, validRows: Index(height),
        validColumns: Index(Self.width))
    }
    return Pair(re: parts[0], im: parts[1])
  }

  private func keep(_ x: MonarchTile.Pair) {
    for (part, tile) in [x.re, x.im].enumerated() {
      k.store(isNarrow ? tile : k.cast(tile, to: type), to: place.tensors.kept, at: kept(part))
    }
  }

  private var isNarrow: Bool { MonarchTile.isNarrow(type) }

  /// What a chunk, but for the last, leaves.
  ///
  /// - Parameters:
  ///   - x: its spectrum, of float16 rounded and a quarter of it, by which L_m are four times as large.
  ///   - turn: 0 for the first chunk.
  ///   - nearest: records L₁ times that.
  ///   - hand: records what is handed on to the next chunk.
  func handOn(
    _ x: MonarchTile.Pair, turn: Index, conjugated: Bool,
    nearest: (MonarchTile.Pair) -> MonarchTile.Pair, _ hand: (MonarchTile.Pair) -> Void
  ) {
    func added(_ a: Tile, _ b: Tile) -> Tile { isNarrow ? k.map(.add, a, b, in: type) : k.map(.add, a, b) }
    func product(
      _ a: MonarchTile.Pair, _ b: MonarchTile.Pair, plus start: MonarchTile.Pair? = nil
    ) -> MonarchTile.Pair {
      MonarchTile.product(a, b, plus: start, k, in: type, conjugated: conjugated)
    }
    k.when(turn, lessThan: 1) {
      keep(x)
      hand(nearest(x))
    }
    only(turn, is: 1) {
      let first = load(place.tensors.kept, kept)
      let lags = (0..<2).map { lag in load(place.tensors.spectra) { spectrum(Index(lag), $0) } }
      hand(product(first, lags[0], plus: nearest(x)))
      keep(product(first, lags[1], plus: product(x, lags[0])))
    }
    only(turn, is: 2) {
      let (near, far) = (nearest(x), load(place.tensors.kept, kept))
      hand(Pair(re: added(near.re, far.re), im: added(near.im, far.im)))
    }
  }

  private func only(_ turn: Index, is value: Int, _ body: () -> Void) {
    k.when(Index(value - 1), lessThan: turn) { k.when(turn, lessThan: Index(value + 1), body) }
  }
}
