internal import Memory
internal import Tiles

/// What earlier chunks of a causal row leave for the present one, where chunks are more than two.
///
/// Spectra of results are Σ L_m · U_(i − m), where L_m = K_m − i·K_(m − 1). L₀ = K₀ is the chunk's own part, ``MonarchFilter``'s.
/// There are no registers for the others, nor for spectra of earlier chunks: each thread keeps its numbers of both in memory,
/// in 16 bits, where the second-level cache holds them. A chunk reads 2 · 4 bytes a point for each chunk before it.
struct MonarchLags {
  private typealias Pair = MonarchTile.Pair

  private let k: Recorder
  private let chunks: MonarchChunks
  private let type: ElementType
  private let tensors: Tensors
  private let half: Int
  /// Channel and part of the batch.
  private let task: [Index]
  /// By what rows of L_m were divided.
  let scale: Tile

  /// Where tasks keep what they read again.
  struct Tensors {
    let spectra: TensorParameter
    let history: TensorParameter

    /// Both `[H, P, chunks − 1, 4, 128, 32]`: re and im of the even, then of the odd frequencies.
    ///
    /// - Parameter sizes: H channels and P parts of the batch.
    init(_ k: Recorder, _ chunks: MonarchChunks, type: ElementType, _ sizes: [Index]) {
      let shape = sizes + [chunks.count - 1, 4, MonarchWide.height, MonarchTile.width].map { Index($0) }
      spectra = k.scratch("lags", .float16, shape)
      history = k.scratch("history", type, shape)
    }
  }

  /// Prepares the spectra of a half of the frequencies.
  ///
  /// - Parameters:
  ///   - load: a part, re or im, of a chunk's spectrum in float32.
  init(
    _ k: Recorder, _ chunks: MonarchChunks, type: ElementType, _ tensors: Tensors, half: Int, task: [Index],
    load: (_ part: Int, _ chunk: Index) -> Tile
  ) {
    (self.k, self.chunks, self.type, self.tensors) = (k, chunks, type, tensors)
    (self.half, self.task) = (half, task)
    scale = Self.bound(k, chunks: chunks.count, load)
    let scale = scale
    k.loop(Index(chunks.count - 1)) { lag in
      for part in 0..<2 {
        let sum = k.map(part == 0 ? .add : .subtract, load(part, lag + 1), load(1 - part, lag))
        let rounded = k.cast(k.map(.multiply, sum, k.map(.reciprocal, scale)), to: .float16)
        k.store(rounded, to: tensors.spectra, at: place(lag, part))
      }
    }
  }

  /// Twice the largest part of all chunks' spectra, row by row, which no L_m exceeds. In a loop, since addresses of all parts at
  /// once would fill the registers.
  private static func bound(
    _ k: Recorder, chunks: Int, _ load: (_ part: Int, _ chunk: Index) -> Tile
  ) -> Tile {
    let bound = k.map(.multiply, k.rowMax(k.map(.abs, load(0, 0))), 2)
    k.loop(Index(chunks)) { chunk in
      for part in 0..<2 {
        let largest = k.rowMax(k.map(.abs, load(part, chunk)))
        k.assign(bound, k.map(.max, bound, k.map(.multiply, largest, 2)))
      }
    }
    return k.map(.max, bound, 0x1p-100)
  }

  private func place(_ number: Index, _ part: Int) -> [Index] {
    task + [number, Index(2 * half + part), 0, 0]
  }

  private func pair(_ tensor: TensorParameter, _ number: Index) -> MonarchTile.Pair {
    let parts = (0..<2).map {
      k.load(
        tensor, at: place(number, $0), rows: MonarchWide.height, columns: MonarchTile.width,
        validRows: Index(MonarchWide.height), validColumns: Index(MonarchTile.width))
    }
    return Pair(re: parts[0], im: parts[1])
  }

  /// What chunks before this one add to its result's spectrum, over ``scale``.
  func sum(step: Index, conjugated: Bool) -> MonarchTile.Pair {
    func zero() -> Tile {
      k.filled(
        0, rows: MonarchWide.height, columns: MonarchTile.width, validRows: Index(MonarchWide.height),
        validColumns: Index(MonarchTile.width))
    }
    let sum = Pair(re: zero(), im: zero())
    let turn = chunks.turn(step)
    for lag in 1..<chunks.count {
      k.when(Index(lag - 1), lessThan: turn) {
        let (x, l) = (pair(tensors.history, turn - Index(lag)), pair(tensors.spectra, Index(lag - 1)))
        add(x, l, to: sum, conjugated: conjugated)
      }
    }
    return sum
  }

  /// Adds x · l, or x · conj l.
  private func add(
    _ x: MonarchTile.Pair, _ l: MonarchTile.Pair, to sum: MonarchTile.Pair, conjugated: Bool
  ) {
    func chain(_ start: Tile, _ a: (Tile, Tile), _ b: (Tile, Tile), negating: Bool) -> Tile {
      let first = k.map(.fma, a.0, a.1, start)
      return k.map(.fma, negating ? k.map(.negate, b.0) : b.0, b.1, first)
    }
    let re = chain(sum.re, (x.re, l.re), (x.im, l.im), negating: !conjugated)
    let im = chain(sum.im, (x.im, l.re), (x.re, l.im), negating: conjugated)
    k.assign(sum.re, re)
    k.assign(sum.im, im)
  }

  /// Keeps a chunk's spectrum for those that follow.
  func keep(_ x: MonarchTile.Pair, step: Index) {
    let turn = chunks.turn(step)
    k.when(turn, lessThan: Index(chunks.count - 1)) {
      for (part, tile) in [x.re, x.im].enumerated() {
        k.store(k.cast(tile, to: type), to: tensors.history, at: place(turn, part))
      }
    }
  }
}
