internal import Models

/// Full pages of computed positions by the tokens that led to them: a radix tree whose edges are pages of 64 tokens.
///
/// Matching compares tokens, never hashes alone. A node is kept while sequences use it; unused leaves are evicted,
/// least recently used first.
public struct PrefixTree: Sendable {
  /// Number of a node; 0 is the root, which has no page.
  public typealias Node = Int

  private struct Entry {
    var page: Int32
    var parent: Node
    var key: Key
    var children: [Key: Node] = [:]
    /// Running sequences whose pages begin with this path.
    var active = 0
    var lastUse = 0
    /// Hash of all tokens from the root to here.
    var chain: Int
  }

  /// Tokens of a page, and the salt of those that may share it.
  private struct Key: Hashable {
    var tokens: [Int32]
    var salt: Int
  }

  private var entries: [Entry?] = [
    Entry(page: -1, parent: 0, key: Key(tokens: [], salt: 0), chain: 0)
  ]
  private var freeNodes: [Node] = []
  private var clock = 0
  /// Chains of nodes that were evicted; only reasons are read off it, so a collision of hashes does no harm.
  private var evicted: Set<Int> = []
  private static let rememberedEvictions = 1 << 16
  /// Pages the tree holds, and those of them that no sequence uses.
  public private(set) var pageCount = 0

  static let pageTokens = PagedCache.Geometry.pageTokens

  /// An empty tree.
  public init() {}

  /// Nodes along the longest known beginning of `tokens`, leaving at least the last token to be computed.
  public mutating func match(_ tokens: [Int32], salt: Int = 0) -> [Node] {
    var path: [Node] = []
    var node = 0
    clock += 1
    while (path.count + 1) * Self.pageTokens < tokens.count {
      let start = path.count * Self.pageTokens
      let key = Key(tokens: Array(tokens[start..<(start + Self.pageTokens)]), salt: salt)
      guard let next = entries[node]?.children[key] else { break }
      entries[next]?.lastUse = clock
      path.append(next)
      node = next
    }
    return path
  }

  /// Page of a node.
  public func page(of node: Node) -> Int32 { entries[node]?.page ?? -1 }

  /// Hangs a computed page under `parent`, or returns the node that holds the same tokens already.
  ///
  /// - Returns: the node, and whether `page` now belongs to the tree.
  public mutating func insert(
    _ tokens: [Int32], page: Int32, under parent: Node, salt: Int = 0
  ) -> (node: Node, isNew: Bool) {
    let key = Key(tokens: tokens, salt: salt)
    if let known = entries[parent]?.children[key] { return (known, false) }
    clock += 1
    let chain = chain(parent, key)
    evicted.remove(chain)
    let entry = Entry(page: page, parent: parent, key: key, lastUse: clock, chain: chain)
    let node: Node
    if let reused = freeNodes.popLast() {
      node = reused
      entries[node] = entry
    } else {
      node = entries.count
      entries.append(entry)
    }
    entries[parent]?.children[key] = node
    pageCount += 1
    return (node, true)
  }

  /// Counts a running sequence on the nodes it uses.
  public mutating func retain(_ path: [Node]) {
    for node in path { entries[node]?.active += 1 }
  }

  /// The sequence no longer uses the nodes.
  public mutating func release(_ path: [Node]) {
    clock += 1
    for node in path {
      entries[node]?.active -= 1
      entries[node]?.lastUse = clock
      precondition(entries[node]?.active ?? 0 >= 0, "a prefix was released more often than retained")
    }
  }

  /// Running sequences that use a node.
  public func active(_ node: Node) -> Int { entries[node]?.active ?? 0 }

  /// Pages that could be evicted: nodes that no sequence uses.
  public var evictable: Int {
    entries.dropFirst().reduce(0) { $0 + ($1.map { $0.active == 0 ? 1 : 0 } ?? 0) }
  }

  /// Drops the unused leaf that was needed longest ago and returns its page; `nil` where there is none.
  public mutating func evict() -> Int32? {
    var oldest: (node: Node, use: Int)?
    for (node, entry) in entries.enumerated().dropFirst() {
      guard let entry, entry.active == 0, entry.children.isEmpty else { continue }
      if oldest.map({ entry.lastUse < $0.use }) ?? true { oldest = (node, entry.lastUse) }
    }
    guard let node = oldest?.node, let entry = entries[node] else { return nil }
    entries[entry.parent]?.children[entry.key] = nil
    entries[node] = nil
    freeNodes.append(node)
    pageCount -= 1
    if evicted.count >= Self.rememberedEvictions { evicted = [] }
    evicted.insert(entry.chain)
    return entry.page
  }

  /// Why `path`, the longest known beginning of `tokens`, goes no further.
  ///
  /// - Complexity: a page's tokens for each node that continues the path.
  public func end(of path: [Node], tokens: [Int32], salt: Int = 0) -> PrefixReuse.End {
    let start = path.count * Self.pageTokens
    guard start + Self.pageTokens < tokens.count else { return .complete }
    let key = Key(tokens: Array(tokens[start..<(start + Self.pageTokens)]), salt: salt)
    let node = path.last ?? 0
    if evicted.contains(chain(node, key)) { return .evicted(from: start) }
    let siblings = (entries[node]?.children ?? [:]).keys.filter { $0.salt == salt }
    let common = siblings.map { zip($0.tokens, key.tokens).prefix { $0 == $1 }.count }.max()
    if let common, start + common > 0 { return .diverges(at: start + common) }
    return start == 0 ? .nothingCached : .endsCached(at: start)
  }

  private func chain(_ parent: Node, _ key: Key) -> Int {
    var hasher = Hasher()
    hasher.combine(entries[parent]?.chain)
    hasher.combine(key)
    return hasher.finalize()
  }
}
