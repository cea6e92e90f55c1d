/// What one step computes: rows of tokens, where their keys go, and the attention work list.
///
/// Rows of one sequence are consecutive and in order of position; sequences that share pages stand next to each other.
public struct ForwardBatch: Sendable {
  /// Token of each row.
  public var tokens: [Int32] = []
  /// Position of each row within its sequence.
  public var positions: [Int32] = []
  /// Where rows go in the cache: first row, rows, page, first slot; four numbers a run, each within one page.
  public var runs: [Int32] = []
  /// Attention work items, seven numbers each in the order of `PagedAttention.Field`, phase after phase.
  public var items: [Int32] = []
  /// Items of each phase; a phase continues states that earlier ones left.
  public var phases: [Range<Int>] = []
  /// Pages the items name.
  public var pages: [Int32] = []
  /// Chunks of positions that the longest row spans.
  public var chunkCount = 1
  /// Chunks to join for each block of `PagedAttention.mergeRows` rows.
  public var mergeBlocks: [Int32] = []
  /// Rows whose logits are wanted.
  public var logitRows: [Int32] = []

  /// An empty step.
  public init() {}
}
