public import Kernels
public import Memory
public import Models

/// Rows of one sequence in a step.
public struct SequenceRows: Sendable {
  /// Tokens to compute, in order.
  public var tokens: [Int32]
  /// Position of the first.
  public var firstPosition: Int
  /// Page of each 64 positions, up to the last token's.
  public var pages: [Int32]
  /// Whether the logits of every row are wanted, or those of the last, or none.
  public var logits: Logits

  /// Which rows' logits are wanted.
  public enum Logits: Sendable, Hashable { case none, last, all }

  /// Rows to compute, with the pages they see.
  public init(tokens: [Int32], firstPosition: Int, pages: [Int32], logits: Logits) {
    self.tokens = tokens
    self.firstPosition = firstPosition
    self.pages = pages
    self.logits = logits
  }
}

/// Turns the sequences of a step into the work list that the model runs.
///
/// Sequences that begin with the same pages are grouped, level by level, so that a shared run is visited once for all
/// of their rows. A row's pages are always visited in order and its state is continued from item to item, so the
/// result does not depend on how it was grouped. Hydragen's decomposition over a tree that is read off the page lists.
public struct AttentionPlanner: Sendable {
  /// Costs that decide where sharing pays.
  public var costs: AttentionCosts
  /// Whether to share at all.
  public var mode: SharingMode
  /// Query heads that share a key-value head.
  public let group: Int
  /// Keys further back than this are not seen.
  public let window: Int?
  /// Query rows a work item may have, tokens times heads of a group.
  public let rowCapacity: Int

  static let pageTokens = PagedCache.Geometry.pageTokens
  static let chunkPages = PagedAttention.chunkTokens / pageTokens

  /// A planner for one model.
  public init(
    group: Int, window: Int? = nil, rowCapacity: Int = PagedAttention.rowCapacity(factor: .float32),
    mode: SharingMode = .automatic, costs: AttentionCosts = .standard
  ) {
    self.group = group
    self.window = window
    self.rowCapacity = rowCapacity
    self.mode = mode
    self.costs = costs
  }

  /// A planner for a model as it is run.
  public init(
    for model: any LanguageModel, mode: SharingMode = .automatic, costs: AttentionCosts = .standard
  ) {
    self.init(
      group: model.queryGroup, window: model.slidingWindow,
      rowCapacity: PagedAttention.rowCapacity(factor: model.attentionFactor), mode: mode, costs: costs)
  }

  /// What a plan decided, for logs and counters.
  public struct Summary: Sendable, Hashable {
    /// Runs of pages that were visited once for several sequences.
    public var sharedRuns = 0
    /// Page visits of the plan, and those it would take without sharing.
    public var pageVisits = 0
    /// Page visits without sharing.
    public var pageVisitsUnshared = 0

    /// A planner for one model.
    public init() {}
  }

  /// The step's batch.
  ///
  /// - Precondition: sequences that share pages stand next to each other, as sorting by page list puts them.
  public func plan(_ sequences: [SequenceRows]) -> (batch: ForwardBatch, summary: Summary) {
    var builder = Builder(planner: self, sequences: sequences)
    builder.appendRows()
    builder.visit(0..<sequences.count, from: 0, phase: 0)
    return builder.finished()
  }
}

/// Builds one plan.
private struct Builder {
  let planner: AttentionPlanner
  let sequences: [SequenceRows]
  var batch = ForwardBatch()
  var summary = AttentionPlanner.Summary()
  var firstRows: [Int] = []
  /// Items by phase, before they are laid out one phase after the other.
  var items: [[[Int32]]] = []
  let tileTokens: Int

  init(planner: AttentionPlanner, sequences: [SequenceRows]) {
    self.planner = planner
    self.sequences = sequences
    tileTokens = max(1, planner.rowCapacity / planner.group)
  }

  mutating func appendRows() {
    let page = AttentionPlanner.pageTokens
    for sequence in sequences {
      let first = batch.tokens.count
      firstRows.append(first)
      batch.tokens += sequence.tokens
      let positions = sequence.firstPosition..<(sequence.firstPosition + sequence.tokens.count)
      batch.positions += positions.map { Int32($0) }
      var position = positions.lowerBound
      while position < positions.upperBound {
        let count = min(page - position % page, positions.upperBound - position)
        batch.runs += [
          Int32(first + position - positions.lowerBound), Int32(count), sequence.pages[position / page],
          Int32(position % page),
        ]
        position += count
      }
      switch sequence.logits {
      case .none: break
      case .last: batch.logitRows.append(Int32(batch.tokens.count - 1))
      case .all: batch.logitRows += (first..<batch.tokens.count).map { Int32($0) }
      }
    }
  }

  /// Visits the pages from `page` on of sequences that agree on all pages before it.
  ///
  /// - Parameter phase: 1 + the phase of the item that left states in the chunk that `page` lies in, 0 if none did.
  mutating func visit(_ members: Range<Int>, from page: Int, phase: Int) {
    guard members.count > 1 else {
      if let only = members.first { visitAlone(only, from: page, phase: phase) }
      return
    }
    let common = commonPages(members, from: page)
    if common > page, shares(members, pages: common - page) {
      summary.sharedRuns += 1
      let next = emit(rows: members, pages: page..<common, phase: phase)
      visitBranches(members, at: common, from: common, phase: next)
    } else {
      // Too short a run to share here may still be worth it in front of the longer runs below it.
      visitBranches(members, at: common, from: page, phase: phase)
    }
  }

  /// Splits sequences by the page they have at `page` and lets each part visit its pages from `first` on.
  private mutating func visitBranches(_ members: Range<Int>, at page: Int, from first: Int, phase: Int) {
    var start = members.lowerBound
    while start < members.upperBound {
      var end = start + 1
      if page < sharable(start) {
        while end < members.upperBound, page < sharable(end),
          sequences[end].pages[page] == sequences[start].pages[page]
        { end += 1 }
      }
      if end - start > 1 {
        visit(start..<end, from: first, phase: phase)
      } else {
        visitAlone(start, from: first, phase: phase)
      }
      start = end
    }
  }

  /// Pages of a sequence that were full before this step: only those can be shared.
  private func sharable(_ member: Int) -> Int {
    sequences[member].firstPosition / AttentionPlanner.pageTokens
  }

  private func commonPages(_ members: Range<Int>, from page: Int) -> Int {
    let first = sequences[members.lowerBound]
    var end = sharable(members.lowerBound)
    for member in members.dropFirst() {
      end = min(end, sharable(member))
      var here = page
      while here < end, sequences[member].pages[here] == first.pages[here] { here += 1 }
      end = here
    }
    return max(end, page)
  }

  private func shares(_ members: Range<Int>, pages: Int) -> Bool {
    switch planner.mode {
    case .always: return true
    case .never: return false
    case .automatic:
      let capacity = tileTokens * planner.group
      let rows = members.map { sequences[$0].tokens.count * planner.group }
      let alone = rows.reduce(0) { $0 + planner.costs.seconds(pages: pages, rows: $1, capacity: capacity) }
      let together = planner.costs.seconds(pages: pages, rows: rows.reduce(0, +), capacity: capacity)
      return together + planner.costs.phase < alone
    }
  }

  private mutating func visitAlone(_ member: Int, from page: Int, phase: Int) {
    let sequence = sequences[member]
    let last = sequence.firstPosition + sequence.tokens.count - 1
    emit(rows: member..<(member + 1), pages: page..<(last / AttentionPlanner.pageTokens + 1), phase: phase)
  }

  /// Adds the items for a run of pages and returns the phase that may continue it.
  @discardableResult
  private mutating func emit(rows members: Range<Int>, pages: Range<Int>, phase: Int) -> Int {
    guard !pages.isEmpty, let last = members.last else { return phase }
    let list = batch.pages.count
    batch.pages += sequences[members.lowerBound].pages[pages]
    let rowRange = firstRows[members.lowerBound]..<(firstRows[last] + sequences[last].tokens.count)
    summary.pageVisits += pages.count
    summary.pageVisitsUnshared += pages.count * members.count
    var next = phase
    var start = pages.lowerBound
    while start < pages.upperBound {
      let chunk = start / AttentionPlanner.chunkPages
      let end = min(pages.upperBound, (chunk + 1) * AttentionPlanner.chunkPages)
      let continues = start % AttentionPlanner.chunkPages != 0
      let itemPhase = continues ? phase : 0
      for first in stride(from: rowRange.lowerBound, to: rowRange.upperBound, by: tileTokens) {
        let count = min(tileTokens, rowRange.upperBound - first)
        appendItem(
          first: first, count: count, pages: start..<end, list: list + start - pages.lowerBound, chunk: chunk,
          phase: itemPhase)
      }
      next = end % AttentionPlanner.chunkPages != 0 ? itemPhase + 1 : 0
      start = end
    }
    return next
  }

  private mutating func appendItem(
    first: Int, count: Int, pages: Range<Int>, list: Int, chunk: Int, phase: Int
  ) {
    // Rows of one tile lie within a sequence and ascend, or come from sequences that all lie behind these pages.
    let newest = batch.positions[first..<(first + count)].max().map(Int.init) ?? 0
    let oldest = batch.positions[first..<(first + count)].min().map(Int.init) ?? 0
    let page = AttentionPlanner.pageTokens
    let end = min(pages.upperBound, newest / page + 1)
    var start = pages.lowerBound
    if let window = planner.window, phase == 0 {
      // Leading pages that no row sees any more are left out, unless that would leave the state unset.
      start = min(max(start, (oldest - window + 1) / page), end)
    }
    guard start < end || (phase == 0 && newest / page >= pages.lowerBound) else { return }
    while items.count <= phase { items.append([]) }
    let whole = planner.window == nil ? max(0, min(end, (oldest + 1) / page) - start) : 0
    items[phase].append([
      Int32(first), Int32(count), Int32(list + start - pages.lowerBound), Int32(max(0, end - start)),
      Int32(start * page), Int32(chunk), phase > 0 ? 1 : 0, Int32(whole),
    ])
  }

  mutating func finished() -> (batch: ForwardBatch, summary: AttentionPlanner.Summary) {
    for phase in items {
      let first = batch.items.count / PagedAttention.Field.allCases.count
      // Longest first, so that the last task of a phase is a short one.
      let sorted = phase.enumerated().sorted { a, b in
        let (x, y) = (Int(a.element[1]) * Int(a.element[3]), Int(b.element[1]) * Int(b.element[3]))
        return x != y ? x > y : a.offset < b.offset
      }
      for (_, item) in sorted { batch.items += item }
      batch.phases.append(first..<(first + phase.count))
    }
    let chunks = batch.positions.map { Int($0) / PagedAttention.chunkTokens + 1 }
    batch.chunkCount = chunks.max() ?? 1
    batch.mergeBlocks = stride(from: 0, to: chunks.count, by: PagedAttention.mergeRows).map { first in
      Int32(chunks[first..<min(first + PagedAttention.mergeRows, chunks.count)].max() ?? 1)
    }
    return (batch, summary)
  }
}
