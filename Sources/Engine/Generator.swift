public import Models
internal import Memory

/// A prompt to continue.
public struct GenerationRequest: Sendable {
  /// Token ids to continue; at least one.
  public var prompt: [Int32]
  /// Tokens to generate at most.
  public var maximumTokens: Int
  /// How tokens are chosen.
  public var sampling = Sampling()
  /// Tokens that end the sequence; they are not reported.
  public var stopTokens: Set<Int32> = []
  /// How many of the likeliest tokens to report with each.
  public var alternatives = 0
  /// Prefixes are shared only among requests of one salt.
  public var salt = 0

  /// A greedy request.
  public init(prompt: [Int32], maximumTokens: Int) {
    self.prompt = prompt
    self.maximumTokens = maximumTokens
  }
}

/// Something that happened in a step.
public enum GenerationEvent: Sendable {
  case token(request: Int, Sampling.Choice)
  case finished(request: Int, FinishReason)
}

/// Why a sequence ended.
public enum FinishReason: String, Sendable { case stop, length, cancelled }

/// Counters since the generator was made.
public struct GenerationStatistics: Sendable {
  /// Prompt tokens that were computed, and those found in the prefix tree.
  public var promptTokensComputed = 0
  /// Prompt tokens found in the prefix tree.
  public var promptTokensReused = 0
  /// Tokens given out.
  public var tokensGenerated = 0
  /// Calls of the model.
  public var steps = 0
  /// Sequences that gave up their pages and were computed again.
  public var preemptions = 0
  /// Unused pages taken from the prefix tree.
  public var evictedPages = 0
  /// Runs of pages visited once for several sequences, and page visits with and without that.
  public var sharedRuns = 0
  /// Pages visited by attention items.
  public var pageVisits = 0
  /// Page visits it would take without sharing.
  public var pageVisitsUnshared = 0
  /// Most sequences that ran at a time.
  public var peakSequences = 0
}

/// Continuous batching over one model and one cache.
///
/// Each step computes a token of every running sequence and pieces of prompts. Sequences share the pages of equal
/// beginnings; a request whose beginning another one is just computing waits for it. When pages run out, unused
/// prefixes are evicted, then the youngest sequence is set back and computed again later.
///
/// Not thread-safe: one owner drives it.
public final class Generator {
  /// Sizes and limits.
  public struct Options: Sendable {
    /// Bytes that pages of keys and values may take.
    public var cacheBytes = 1 << 30
    /// Rows of a step at most.
    public var stepTokens = 256
    /// Sequences that run at a time at most.
    public var maximumSequences = 64
    /// Whether sequences attend to shared pages together.
    public var sharing = SharingMode.automatic
    /// Whether requests may reuse and share computed prefixes.
    public var reusesPrefixes = true

    /// A GiB of cache and 256 rows a step.
    public init() {}
  }

  /// The network.
  public let model: any LanguageModel
  public private(set) var statistics = GenerationStatistics()
  private let options: Options
  private let planner: AttentionPlanner
  private let cache: PagedCache
  private var pool: PagePool
  private var tree = PrefixTree()
  private var waiting: [Sequence] = []
  private var running: [Sequence] = []
  private var nextRequest = 0

  private static let pageTokens = PagedCache.Geometry.pageTokens

  /// A request and how far it is.
  private struct Sequence {
    let number: Int
    let request: GenerationRequest
    /// Prompt and what was generated.
    var tokens: [Int32]
    /// Tokens whose keys are in the cache.
    var computed = 0
    /// Prompt tokens in the statistics already, so that a sequence set back is not counted twice.
    var counted = 0
    /// Nodes of the pages it shares, then pages of its own.
    var path: [PrefixTree.Node] = []
    var ownPages: [Int32] = []

    var generated: Int { tokens.count - request.prompt.count }
    var isPrefilling: Bool { computed < tokens.count - 1 }

    /// Prompt tokens that were not in the cache before now.
    mutating func newlyComputed() -> Int {
      let before = counted
      counted = max(counted, min(request.prompt.count, computed))
      return counted - before
    }
  }

  /// - Throws: ``EngineError/cacheTooSmall(neededPages:pages:pageBytes:)`` where the budget holds no page, or an
  ///   error of memory.
  public init(_ model: any LanguageModel, options: Options = Options()) throws {
    self.model = model
    self.options = options
    let bytes = model.cacheGeometry.pageBytes
    let useful = (model.contextLength + Self.pageTokens - 1) / Self.pageTokens * options.maximumSequences
    let pages = min(options.cacheBytes / bytes, useful)
    guard pages > 0 else { throw EngineError.cacheTooSmall(neededPages: 1, pages: 0, pageBytes: bytes) }
    cache = try PagedCache(model.cacheGeometry, pages: pages)
    pool = PagePool(capacity: pages)
    planner = AttentionPlanner(group: model.queryGroup, window: model.slidingWindow, mode: options.sharing)
  }

  /// Pages in all, and those neither free nor evictable.
  public var pages: (total: Int, used: Int) {
    (pool.capacity, pool.capacity - pool.available - tree.evictable)
  }

  /// Whether nothing is left to do.
  public var isIdle: Bool { waiting.isEmpty && running.isEmpty }

  /// Queues a request.
  ///
  /// - Returns: its number in events.
  /// - Throws: ``EngineError`` for a prompt or parameters that cannot be served.
  public func submit(_ request: GenerationRequest) throws(EngineError) -> Int {
    guard !request.prompt.isEmpty else { throw .emptyPrompt }
    guard request.maximumTokens > 0 else {
      throw .invalidParameter(name: "maximum tokens", value: "\(request.maximumTokens)", allowed: "1 or more")
    }
    for token in request.prompt where token < 0 || Int(token) >= model.vocabularySize {
      throw .tokenOutOfRange(token: token, vocabulary: model.vocabularySize)
    }
    let (length, overflow) = request.prompt.count.addingReportingOverflow(request.maximumTokens)
    guard !overflow, length <= model.contextLength else {
      throw .tooLong(
        prompt: request.prompt.count, generated: request.maximumTokens, limit: model.contextLength)
    }
    let needed = (length + Self.pageTokens - 1) / Self.pageTokens
    guard needed <= pool.capacity else {
      throw .cacheTooSmall(
        neededPages: needed, pages: pool.capacity, pageBytes: model.cacheGeometry.pageBytes)
    }
    try request.sampling.validate()
    waiting.append(Sequence(number: nextRequest, request: request, tokens: request.prompt))
    nextRequest += 1
    return nextRequest - 1
  }

  /// Ends a request early.
  public func cancel(_ number: Int) {
    waiting.removeAll { $0.number == number }
    if let index = running.firstIndex(where: { $0.number == number }) { drop(running.remove(at: index)) }
  }

  /// Runs one step.
  ///
  /// - Returns: what happened, in order of requests.
  public func step() throws -> [GenerationEvent] {
    admit()
    let rows = try reserveRows()
    guard !rows.isEmpty else { return [] }
    // Sorted by page list, sequences that share a beginning stand next to each other.
    let order = running.indices.filter { rows[running[$0].number] != nil }.sorted {
      pageList(running[$0]).lexicographicallyPrecedes(pageList(running[$1]))
    }
    let parts = order.map { index in
      let sequence = running[index]
      let count = rows[sequence.number] ?? 0
      return SequenceRows(
        tokens: Array(sequence.tokens[sequence.computed..<(sequence.computed + count)]),
        firstPosition: sequence.computed, pages: pageList(sequence),
        logits: sequence.computed + count == sequence.tokens.count ? .last : .none)
    }
    let (batch, summary) = planner.plan(parts)
    let logits = try model.forward(batch, cache: cache)
    count(summary, rows)
    return try advance(order, rows, logits)
  }

  // MARK: Admission

  private func admit() {
    var index = 0
    while index < waiting.count, running.count < options.maximumSequences {
      var sequence = waiting[index]
      let path = options.reusesPrefixes ? tree.match(sequence.tokens, salt: sequence.request.salt) : []
      if options.reusesPrefixes, awaitsPrefix(sequence, known: path.count) {
        index += 1
        continue
      }
      tree.retain(path)
      // Pages that running sequences were promised but have not taken yet are not free.
      let promised = running.reduce(0) { $0 + missingPages($1, held: $1.path.count + $1.ownPages.count) }
      let needed = promised + missingPages(sequence, held: path.count)
      guard needed <= pool.available + tree.evictable || running.isEmpty else {
        tree.release(path)
        return
      }
      sequence.path = path
      sequence.computed = path.count * Self.pageTokens
      statistics.promptTokensReused += sequence.newlyComputed()
      running.append(sequence)
      waiting.remove(at: index)
    }
    statistics.peakSequences = max(statistics.peakSequences, running.count)
  }

  /// Pages a sequence still has to take for its tokens and the next one.
  private func missingPages(_ sequence: Sequence, held: Int) -> Int {
    max(0, (sequence.tokens.count + Self.pageTokens) / Self.pageTokens - held)
  }

  /// Whether a running sequence is about to compute more full pages of this one's beginning.
  private func awaitsPrefix(_ sequence: Sequence, known: Int) -> Bool {
    running.contains { other in
      guard other.isPrefilling, other.request.salt == sequence.request.salt else { return false }
      let limit = min(other.tokens.count, sequence.tokens.count - 1)
      var common = other.computed / Self.pageTokens * Self.pageTokens
      guard known * Self.pageTokens >= common,
        other.tokens.prefix(common).elementsEqual(sequence.tokens.prefix(common))
      else { return false }
      while common < limit, other.tokens[common] == sequence.tokens[common] { common += 1 }
      return common / Self.pageTokens > known
    }
  }

  // MARK: Pages

  private func pageList(_ sequence: Sequence) -> [Int32] {
    sequence.path.map { tree.page(of: $0) } + sequence.ownPages
  }

  /// Rows each running sequence gets, with pages for them; sequences are set back where pages run out.
  private func reserveRows() throws -> [Int: Int] {
    var rows: [Int: Int] = [:]
    var budget = max(options.stepTokens, running.count)
    // Decoding first: those sequences are nearest to giving their pages back.
    let order = running.sorted { a, b in
      a.isPrefilling != b.isPrefilling ? !a.isPrefilling : a.number < b.number
    }.map(\.number)
    for number in order {
      guard let index = running.firstIndex(where: { $0.number == number }) else { continue }
      let count = min(running[index].tokens.count - running[index].computed, budget)
      guard count > 0, makeRoom(for: number, positions: running[index].computed + count) else { continue }
      rows[number] = count
      budget -= count
    }
    return rows.filter { number, _ in running.contains { $0.number == number } }
  }

  /// Gives a sequence pages for so many positions; `false` where it was set back itself.
  private func makeRoom(for number: Int, positions: Int) -> Bool {
    while let index = running.firstIndex(where: { $0.number == number }) {
      let held = running[index].path.count + running[index].ownPages.count
      if held * Self.pageTokens >= positions { return true }
      if let page = pool.take() {
        running[index].ownPages.append(page)
      } else if let page = tree.evict() {
        statistics.evictedPages += 1
        pool.give(page)
      } else if let victim = running.indices.max(by: { running[$0].number < running[$1].number }) {
        setBack(victim)
      }
    }
    return false
  }

  private func setBack(_ index: Int) {
    var sequence = running.remove(at: index)
    drop(sequence)
    sequence.path = []
    sequence.ownPages = []
    sequence.computed = 0
    statistics.preemptions += 1
    waiting.insert(sequence, at: waiting.firstIndex { $0.number > sequence.number } ?? waiting.count)
  }

  private func drop(_ sequence: Sequence) {
    tree.release(sequence.path)
    for page in sequence.ownPages { pool.give(page) }
  }

  // MARK: Results

  private func count(_ summary: AttentionPlanner.Summary, _ rows: [Int: Int]) {
    statistics.steps += 1
    statistics.sharedRuns += summary.sharedRuns
    statistics.pageVisits += summary.pageVisits
    statistics.pageVisitsUnshared += summary.pageVisitsUnshared
  }

  private func advance(_ order: [Int], _ rows: [Int: Int], _ logits: Tensor) throws -> [GenerationEvent] {
    var events: [GenerationEvent] = []
    var finished: Set<Int> = []
    var row = 0
    for index in order {
      running[index].computed += rows[running[index].number] ?? 0
      statistics.promptTokensComputed += running[index].newlyComputed()
      if options.reusesPrefixes { publishFullPages(index) }
      guard running[index].computed == running[index].tokens.count else { continue }
      let choice = try choose(running[index], logits.sliced(axis: 0, row..<(row + 1)))
      row += 1
      if accept(choice, index, &events) { finished.insert(running[index].number) }
    }
    for sequence in running where finished.contains(sequence.number) { drop(sequence) }
    running.removeAll { finished.contains($0.number) }
    return events
  }

  private func choose(_ sequence: Sequence, _ logits: Tensor) throws(EngineError) -> Sampling.Choice {
    try logits.withElements(as: Float.self) { (span: Span<Float>) throws(EngineError) in
      try sequence.request.sampling.choose(
        span, history: sequence.tokens, promptCount: sequence.request.prompt.count,
        position: sequence.tokens.count, alternatives: sequence.request.alternatives)
    }
  }

  /// Adds a token to its sequence; whether that ends it.
  private func accept(_ choice: Sampling.Choice, _ index: Int, _ events: inout [GenerationEvent]) -> Bool {
    let number = running[index].number
    if running[index].request.stopTokens.contains(choice.token) {
      events.append(.finished(request: number, .stop))
      return true
    }
    running[index].tokens.append(choice.token)
    statistics.tokensGenerated += 1
    events.append(.token(request: number, choice))
    if running[index].generated >= running[index].request.maximumTokens {
      events.append(.finished(request: number, .length))
      return true
    }
    return false
  }

  /// Moves a sequence's pages that are full now to the tree, where others find them.
  private func publishFullPages(_ index: Int) {
    var sequence = running[index]
    while !sequence.ownPages.isEmpty, (sequence.path.count + 1) * Self.pageTokens <= sequence.computed {
      let start = sequence.path.count * Self.pageTokens
      let page = sequence.ownPages.removeFirst()
      let tokens = Array(sequence.tokens[start..<(start + Self.pageTokens)])
      let (node, isNew) = tree.insert(
        tokens, page: page, under: sequence.path.last ?? 0, salt: sequence.request.salt)
      // Another sequence computed the same page meanwhile: its numbers are the same bits, so one copy is enough.
      if !isNew { pool.give(page) }
      tree.retain([node])
      sequence.path.append(node)
    }
    running[index] = sequence
  }
}
