public import Models
internal import Memory

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
    /// What decides where sharing is automatic.
    public var costs = AttentionCosts.standard
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
  private let onHost: HostLogits
  let cache: PagedCache
  private var pool: PagePool
  private var tree = PrefixTree()
  private var waiting: [Sequence] = []
  private var running: [Sequence] = []
  private var nextRequest = 0
  /// Events of admission, reported with the step's.
  private var started: [GenerationEvent] = []
  /// Whether a page was handed out before, so that it holds numbers of another sequence.
  private var isUsed: [Bool]
  /// What saved prefixes must agree with, once it was needed.
  var knownIdentity: PrefixStateHeader.Model?

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
    /// Whether its start was reported.
    var isReported = false

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
    cache = try PagedCache(model.cacheGeometry, pages: pages, executor: model.executor)
    pool = PagePool(capacity: pages)
    isUsed = [Bool](repeating: false, count: pages)
    planner = AttentionPlanner(for: model, mode: options.sharing, costs: options.costs)
    onHost = HostLogits(model.executor)
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
    defer { started = [] }
    let rows = try reserveRows()
    guard !rows.isEmpty else { return started }
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
    let logits = try onHost(try model.forward(batch, cache: cache))
    count(summary, rows)
    return started + advance(order, rows, logits)
  }

  // MARK: Admission

  private func admit() {
    var index = 0
    while index < waiting.count, running.count < options.maximumSequences {
      var sequence = waiting[index]
      let salt = sequence.request.salt
      let path = options.reusesPrefixes ? tree.match(sequence.tokens, salt: salt) : []
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
      if !sequence.isReported {
        let end = options.reusesPrefixes ? tree.end(of: path, tokens: sequence.tokens, salt: salt) : .disabled
        let reuse = PrefixReuse(
          promptTokens: sequence.request.prompt.count, reusedTokens: sequence.computed, end: end)
        started.append(.started(request: sequence.number, reuse))
        sequence.isReported = true
      }
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
      guard count > 0, try makeRoom(for: number, positions: running[index].computed + count) else { continue }
      rows[number] = count
      budget -= count
    }
    return rows.filter { number, _ in running.contains { $0.number == number } }
  }

  /// Gives a sequence pages for so many positions; `false` where it was set back itself.
  private func makeRoom(for number: Int, positions: Int) throws -> Bool {
    while let index = running.firstIndex(where: { $0.number == number }) {
      let held = running[index].path.count + running[index].ownPages.count
      if held * Self.pageTokens >= positions { return true }
      if let page = try takePage() {
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

  /// A free page; one that another sequence wrote has its values cleared.
  ///
  /// Attention gives positions that are not written yet the weight 0, and 0 times a NaN left there would be NaN.
  private func takePage() throws -> Int32? {
    guard let page = pool.take() else { return nil }
    if isUsed[Int(page)] { try cache.clearValues(ofPage: Int(page)) }
    isUsed[Int(page)] = true
    return page
  }

  /// Pages of the longest cached beginning of `tokens`.
  func cachedPages(of tokens: [Int32], salt: Int) -> [Int32] {
    // Matching leaves the last token to be computed; here all may be known.
    tree.match(tokens + [0], salt: salt).map { tree.page(of: $0) }
  }

  /// Hangs whole pages of `tokens` into the tree; `fill` writes those that it does not hold yet.
  func adopt(_ tokens: [Int32], salt: Int, fill: (_ number: Int, _ page: Int) throws -> Void) throws {
    let needed = tokens.count / Self.pageTokens
    var path = tree.match(tokens + [0], salt: salt)
    // What is hung in already must not be evicted for what follows.
    tree.retain(path)
    defer { tree.release(path) }
    while path.count < needed {
      if pool.available == 0, let unused = tree.evict() { pool.give(unused) }
      guard let page = try takePage() else {
        throw EngineError.cacheTooSmall(
          neededPages: needed, pages: pool.capacity, pageBytes: model.cacheGeometry.pageBytes)
      }
      do { try fill(path.count, Int(page)) } catch {
        pool.give(page)
        throw error
      }
      let start = path.count * Self.pageTokens
      let (node, _) = tree.insert(
        Array(tokens[start..<(start + Self.pageTokens)]), page: page, under: path.last ?? 0, salt: salt)
      tree.retain([node])
      path.append(node)
    }
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

  private func advance(_ order: [Int], _ rows: [Int: Int], _ logits: Tensor) -> [GenerationEvent] {
    var events: [GenerationEvent] = []
    var finished: Set<Int> = []
    var row = 0
    for index in order {
      running[index].computed += rows[running[index].number] ?? 0
      statistics.promptTokensComputed += running[index].newlyComputed()
      if options.reusesPrefixes { publishFullPages(index) }
      guard running[index].computed == running[index].tokens.count else { continue }
      defer { row += 1 }
      do throws(EngineError) {
        let choice = try choose(running[index], logits.sliced(axis: 0, row..<(row + 1)))
        if accept(choice, index, &events) { finished.insert(running[index].number) }
      } catch {
        events.append(.failed(request: running[index].number, error))
        finished.insert(running[index].number)
      }
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
