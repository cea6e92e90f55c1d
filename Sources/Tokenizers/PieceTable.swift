/// The characters, merges and neighbours of a vocabulary of pieces.
struct PieceTable {
  private(set) var characters: ByteMap
  private(set) var symbols: [Int32] = []
  private(set) var merges: BytePairMerges
  private(set) var neighbours: BytePairMerges
  private(set) var undone: [Int32: (Int32, Int32)] = [:]
  let count: Int

  /// Pieces longer than this are refused: each is tried at every cut.
  static let longestPiece = 4096

  /// A table for merges that are listed.
  ///
  /// - Parameters:
  ///   - names: all tokens.
  ///   - pairs: tokens that merge and what into, in order of rank.
  init(_ names: ByteMap, pairs: [(Int32, Int32, Int32)]) throws(TokenizerError) {
    self.init(names.count, try ByteMap(count: names.count), merges: pairs.count, neighbours: pairs.count)
    // A token of one character is a symbol; all others are reached by merging.
    for number in 0..<count where Self.isCharacter(names[number]) {
      try characters.append(names[number])
      symbols.append(Int32(number))
    }
    for (rank, (left, right, merged)) in pairs.enumerated() {
      merges.insert(left, right, rank: rank, into: merged)
      let (a, b) = (Self.characters(names[Int(left)]), Self.characters(names[Int(right)]))
      guard let last = a.last, let first = b.first, let x = characters.number(of: last),
        let y = characters.number(of: first)
      else { continue }
      neighbours.insert(symbols[Int(x)], symbols[Int(y)], rank: 0, into: 0)
    }
  }

  /// A table for pieces that merge whenever two make a third, best score first.
  ///
  /// - Parameters:
  ///   - names: all tokens.
  ///   - usable: tokens that text is made of, among them those that are only steps and `undone` at the end.
  init(
    _ names: ByteMap, scores: [Float], usable: [Bool], isUndone: [Bool]
  ) throws(TokenizerError) {
    var total = 0
    for number in 0..<names.count where usable[number] {
      let length = names[number].count
      guard length <= Self.longestPiece else {
        throw .malformed(reason: "token \(number) has \(length) bytes; at most \(Self.longestPiece) are read")
      }
      total += length
    }
    self.init(names.count, try ByteMap(count: total + 1), merges: total, neighbours: total)
    let parts = try collectCharacters(names, usable)
    let ranks = Self.ranks(scores)
    for number in 0..<names.count where usable[number] {
      let name = names[number]
      var cut = name.startIndex
      for character in parts[number].dropLast() {
        cut += character
        guard let left = symbol(name[..<cut], names, usable), let right = symbol(name[cut...], names, usable)
        else { continue }
        merges.insert(left, right, rank: ranks[number], into: Int32(number))
        if isUndone[number], undone[Int32(number)] == nil { undone[Int32(number)] = (left, right) }
      }
    }
  }

  private init(_ count: Int, _ characters: ByteMap, merges: Int, neighbours: Int) {
    self.count = count
    self.characters = characters
    self.merges = BytePairMerges(count: merges)
    self.neighbours = BytePairMerges(count: neighbours)
  }

  /// Numbers every character of a usable piece; gives the bytes of each piece's characters.
  private mutating func collectCharacters(_ names: ByteMap, _ usable: [Bool]) throws(TokenizerError)
    -> [[Int]]
  {
    var parts = [[Int]](repeating: [], count: names.count)
    for number in 0..<names.count where usable[number] {
      var previous: Int32?
      for character in Self.characters(names[number]) {
        if characters.number(of: character) == nil {
          try characters.append(character)
          let own = names.number(of: character).flatMap { usable[Int($0)] ? $0 : nil }
          symbols.append(own ?? Int32(count + characters.count - 1))
        }
        let symbol = characters.number(of: character).map { symbols[Int($0)] } ?? -1
        if let previous { neighbours.insert(previous, symbol, rank: 0, into: 0) }
        previous = symbol
        parts[number].append(character.count)
      }
    }
    return parts
  }

  private func symbol(_ part: ArraySlice<UInt8>, _ names: ByteMap, _ usable: [Bool]) -> Int32? {
    if let token = names.number(of: part), usable[Int(token)] { return token }
    return characters.number(of: part).map { symbols[Int($0)] }
  }

  /// 0 for the best score; equal scores share a rank, and the leftmost merge goes first.
  private static func ranks(_ scores: [Float]) -> [Int] {
    var ranks = [Int](repeating: 0, count: scores.count)
    var rank = -1
    var previous: Float?
    for number in scores.indices.sorted(by: { scores[$0] > scores[$1] }) {
      if scores[number] != previous { rank += 1 }
      previous = scores[number]
      ranks[number] = rank
    }
    return ranks
  }

  private static func isCharacter(_ name: ArraySlice<UInt8>) -> Bool { characters(name).count == 1 }

  /// The characters of UTF-8 text.
  private static func characters(_ name: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
    var result: [ArraySlice<UInt8>] = []
    var start = name.startIndex
    while start < name.endIndex {
      var end = start + 1
      while end < name.endIndex, name[end] & 0xC0 == 0x80 { end += 1 }
      result.append(name[start..<end])
      start = end
    }
    return result
  }
}
