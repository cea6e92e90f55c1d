internal import Memory
internal import Tiles

/// Sums over the batch of T(g) · conj T(u), a channel's gradient of its spectrum, in the registers of a task: those of one half of the
/// columns' frequencies.
///
/// Of two chunks, K₀ is multiplied with both, and K₁ − i·K₀ with the first for the second: what that sums is the gradient of
/// K₁, and i times it is part of K₀'s. It has no room in registers: each thread keeps its sums in memory, 8 bytes a point that are
/// read and written once for two chunks, and the first chunk's T(u), 4 bytes.
struct MonarchSums {
  private typealias Pair = MonarchTile.Pair

  private let k: Recorder
  private let own: MonarchTile.Pair
  private let kept: Kept?
  /// Channel and part of the batch.
  private let task: [Index]
  private let half: Int

  /// What tasks of two chunks keep, `[H, P, 4, 128, 32]`: re and im of the even, then of the odd frequencies.
  struct Kept {
    /// Of what the first chunk left for the second, in float32.
    let later: TensorParameter
    /// The first chunk's T(u).
    let first: TensorParameter

    /// - Parameter sizes: H channels and P parts of the batch.
    init(_ k: Recorder, type: ElementType, _ sizes: [Index]) {
      let shape = sizes + [4, MonarchWide.height, MonarchTile.width].map { Index($0) }
      later = k.scratch("later", .float32, shape)
      first = k.scratch("first", type, shape)
    }
  }

  /// Sums of nothing so far.
  ///
  /// - Parameter kept: of two chunks.
  init(_ k: Recorder, _ kept: Kept?, half: Int, task: [Index]) {
    (self.k, self.kept, self.half, self.task) = (k, kept, half, task)
    let parts = (0..<2).map { _ in
      k.filled(
        0, rows: MonarchWide.height, columns: MonarchTile.width, validRows: Index(MonarchWide.height),
        validColumns: Index(MonarchTile.width))
    }
    own = Pair(re: parts[0], im: parts[1])
    guard let kept else { return }
    for (part, zero) in parts.enumerated() { k.store(zero, to: kept.later, at: place(part)) }
  }

  private func place(_ part: Int) -> [Index] { task + [Index(2 * half + part), 0, 0] }

  private func load(_ tensor: TensorParameter, _ part: Int) -> Tile {
    k.load(
      tensor, at: place(part), rows: MonarchWide.height, columns: MonarchTile.width,
      validRows: Index(MonarchWide.height), validColumns: Index(MonarchTile.width))
  }

  private func load(_ tensor: TensorParameter) -> MonarchTile.Pair {
    Pair(re: load(tensor, 0), im: load(tensor, 1))
  }

  /// Adds a step's product; `u` is rounded.
  func add(_ g: MonarchTile.Pair, _ u: MonarchTile.Pair, turn: MonarchChunks.Turn) {
    func add(_ u: MonarchTile.Pair, to sums: MonarchTile.Pair) {
      let term = MonarchTile.product(g, u, k, conjugated: true)
      k.assign(sums.re, k.map(.add, sums.re, term.re))
      k.assign(sums.im, k.map(.add, sums.im, term.im))
    }
    add(u, to: own)
    guard let kept else { return }
    guard case .step(let turn) = turn else { preconditionFailure("chunks of sums are steps of one loop") }
    k.when(turn, lessThan: 1) {
      for (part, tile) in [u.re, u.im].enumerated() { k.store(tile, to: kept.first, at: place(part)) }
    }
    // One part after the other, since registers are scarce.
    for part in 0..<2 {
      k.when(0, lessThan: turn) {
        let first = load(kept.first)
        let sum = load(kept.later, part)
        let product = k.map(.fma, part == 0 ? g.re : g.im, first.re, sum)
        let other = part == 0 ? g.im : k.map(.negate, g.re)
        k.store(k.map(.fma, other, first.im, product), to: kept.later, at: place(part))
      }
    }
  }

  /// Sums re and im of each chunk's part of the filter.
  var parts: [[Tile]] {
    guard let kept else { return [[own.re, own.im]] }
    let (first, second) = (own, load(kept.later))
    return [
      [k.map(.subtract, first.re, second.im), k.map(.add, first.im, second.re)], [second.re, second.im],
    ]
  }
}
