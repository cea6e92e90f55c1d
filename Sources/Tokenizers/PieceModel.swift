/// Byte pair encoding from characters up, over whole texts, with bytes for what no piece covers: SentencePiece.
///
/// Kudo and Richardson, “SentencePiece”, 2018, arXiv:1808.06226.
struct PieceModel: Sendable {
  /// When ▁ is put before a text.
  enum Prefix: Sendable {
    case never, always
    /// Where the text does not begin with a space.
    case unlessSpace
    /// As ``unlessSpace``, only for text that nothing precedes.
    case firstUnlessSpace
  }

  /// How text becomes symbols and what is left becomes tokens.
  struct Rules: Sendable {
    var prefix = Prefix.never
    /// Token of each byte, or none.
    var bytes: [Int32] = []
    /// Token of what neither pieces nor bytes express.
    var unknown: Int32?
    /// Whether neighbours that are unknown become one token.
    var fusesUnknown = true
    /// Whether words are cut before each ▁.
    var cutsAtSpaces = false
  }

  let rules: Rules
  /// Characters that are pieces or parts of pieces.
  private let characters: ByteMap
  /// Token of each of ``characters``, or a number past the vocabulary for one that is no piece of its own.
  private let symbols: [Int32]
  private let merges: BytePairMerges
  /// Pairs of symbols that stand side by side in a piece: no piece ever spans another pair.
  private let neighbours: BytePairMerges
  /// Pieces that are undone at the end, and what they were merged from.
  private let undone: [Int32: (Int32, Int32)]
  private let fixed: TokenFinder?
  private let count: Int

  /// When ▁ is put before a text.
  var prefix: Prefix { rules.prefix }

  /// A model over prepared pieces.
  init(_ pieces: PieceTable, rules: Rules, fixed: TokenFinder?) {
    self.rules = rules
    characters = pieces.characters
    symbols = pieces.symbols
    merges = pieces.merges
    neighbours = pieces.neighbours
    undone = pieces.undone
    count = pieces.count
    self.fixed = fixed.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Appends the ids of plain text.
  ///
  /// - Parameter isFirst: whether no text or token precedes it.
  /// - Complexity: O(n log n).
  func encode(_ bytes: UnsafeBufferPointer<UInt8>, isFirst: Bool, into ids: inout [Int32]) {
    guard let first = unsafe bytes.first else { return }
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count + bytes.count / 2)
    let begins = unsafe first == 0x20 || bytes.starts(with: Self.space)
    switch prefix {
    case .never: break
    case .always: text += Self.space
    case .unlessSpace: if !begins { text += Self.space }
    case .firstUnlessSpace: if isFirst, !begins { text += Self.space }
    }
    for position in bytes.indices {
      let byte = unsafe bytes[position]
      if byte == 0x20 { text += Self.space } else { text.append(byte) }
    }
    var run = Run(merger: Merger(merges), start: ids.count)
    unsafe text.withUnsafeBufferPointer { text in
      guard let fixed else { return unsafe encode(text, 0..<text.count, &run, into: &ids) }
      unsafe fixed.split(
        text, plain: { unsafe encode(text, $0, &run, into: &ids) },
        found: {
          ids.append($0)
          run.start = ids.count
        })
    }
  }

  /// ▁, which stands for a space.
  static let space: [UInt8] = Array("\u{2581}".utf8)

  /// What is kept from segment to segment.
  private struct Run {
    var merger: Merger
    var segment: [Int32] = []
    /// Ids before this one belong to other text: unknown ones do not join them.
    var start: Int
  }

  private func encode(
    _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ run: inout Run, into ids: inout [Int32]
  ) {
    var position = range.lowerBound
    let space = characters.number(of: Self.space).map { symbols[Int($0)] } ?? -1
    while position < range.upperBound {
      let length = unsafe Self.length(text[position])
      let end = min(position + length, range.upperBound)
      let character = unsafe characters.number(of: text[position..<end])
      if let character {
        let symbol = symbols[Int(character)]
        if let last = run.segment.last,
          !neighbours.contains(last, symbol) || rules.cutsAtSpaces && symbol == space
        {
          flush(&run, into: &ids)
        }
        run.segment.append(symbol)
      } else {
        flush(&run, into: &ids)
        unsafe fallBack(text[position..<end], run.start, into: &ids)
      }
      position = end
    }
    flush(&run, into: &ids)
  }

  private static func length(_ first: UInt8) -> Int {
    first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
  }

  private func flush(_ run: inout Run, into ids: inout [Int32]) {
    guard !run.segment.isEmpty else { return }
    run.merger.apply(to: &run.segment)
    for symbol in run.segment { emit(symbol, run.start, into: &ids) }
    run.segment.removeAll(keepingCapacity: true)
  }

  private func emit(_ symbol: Int32, _ start: Int, into ids: inout [Int32]) {
    var pending = [symbol]
    while let symbol = pending.popLast() {
      if let (left, right) = undone[symbol] {
        pending.append(right)
        pending.append(left)
      } else if symbol < count {
        ids.append(symbol)
      } else {
        fallBack(characters[symbolCharacter(symbol)], start, into: &ids)
      }
    }
  }

  private func symbolCharacter(_ symbol: Int32) -> Int { Int(symbol) - count }

  private func fallBack(_ character: some Collection<UInt8>, _ start: Int, into ids: inout [Int32]) {
    if !rules.bytes.isEmpty {
      for byte in character { ids.append(rules.bytes[Int(byte)]) }
    } else if let unknown = rules.unknown {
      if rules.fusesUnknown, ids.count > start, ids.last == unknown { return }
      ids.append(unknown)
    }
  }
}

extension PieceModel {
  /// A piece's text: ▁ is a space.
  static func spaced(_ name: ArraySlice<UInt8>) -> [UInt8] {
    var text: [UInt8] = []
    var rest = name
    while let first = rest.first {
      let isSpace = first == space[0] && rest.starts(with: space)
      text.append(isSpace ? 0x20 : first)
      rest = rest.dropFirst(isSpace ? space.count : 1)
    }
    return text
  }
}
