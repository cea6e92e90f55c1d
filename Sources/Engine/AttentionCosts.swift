/// What attention costs on this machine, to choose between sharing a run of pages and visiting it once a sequence.
///
/// An item of R query rows spends, on each page and head, a fixed time in the steps of the softmax and a time that
/// grows with blocks of rows; a work list with an additional phase waits once more for all threads.
public struct AttentionCosts: Sendable, Hashable {
  /// Seconds an item spends on a page whatever its rows.
  public var page: Double
  /// Seconds for each six query rows on a page.
  public var rowBlock: Double
  /// Seconds to start another phase.
  public var phase: Double

  /// Costs in seconds.
  public init(page: Double, rowBlock: Double, phase: Double) {
    self.page = page
    self.rowBlock = rowBlock
    self.phase = phase
  }

  /// Measured on two Zen 3 cores with heads of 64.
  public static let standard = AttentionCosts(page: 0.6e-6, rowBlock: 1.0e-6, phase: 4e-6)

  /// Seconds to visit `pages` pages with `rows` query rows, in items of at most `capacity` rows.
  public func seconds(pages: Int, rows: Int, capacity: Int) -> Double {
    let (full, rest) = rows.quotientAndRemainder(dividingBy: capacity)
    let blocks = full * ((capacity + 5) / 6) + (rest + 5) / 6
    let items = full + (rest > 0 ? 1 : 0)
    return Double(pages) * (Double(items) * page + Double(blocks) * rowBlock)
  }
}

/// Whether sequences that share pages attend to them together.
public enum SharingMode: String, Sendable, Hashable, CaseIterable {
  /// Where the cost model says it is faster.
  case automatic
  case always
  case never
}
