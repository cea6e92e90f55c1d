package import Memory

/// What has to wait for what, where a list of operations on memory may run in any order that leaves the same numbers.
///
/// An operation waits for the last that wrote what it reads, and for all that read or wrote what it writes since. Operations are
/// counted in the order of the list. Cost: n²/8 bytes for n operations; time in proportion to operations and pieces of memory.
public struct AccessOrder: Sendable {
  /// Bytes that are read and written alike, and by whom.
  private struct Piece: Sendable {
    var bytes: Range<UInt64>
    var writer: Int?
    /// Since it was written.
    var readers: [Int] = []
  }

  /// In order of addresses, without overlap.
  private var pieces: [Piece] = []
  /// For each operation those that are over when it starts.
  private var past: [BitSet] = []

  public init() {}

  /// Operations so far.
  public var count: Int { past.count }

  /// Notes the next operation.
  ///
  /// - Parameters:
  ///   - reads: bytes that it reads; more than it does is safe.
  ///   - writes: bytes that it writes, whether it reads them or not.
  /// - Returns: numbers of operations to wait for, highest first; none that another of them waits for.
  public mutating func add(reads: [Range<UInt64>], writes: [Range<UInt64>]) -> [Int] {
    let number = past.count
    var wanted: Set<Int> = []
    for bytes in reads where !bytes.isEmpty {
      for place in cut(bytes) {
        if let writer = pieces[place].writer { wanted.insert(writer) }
        if pieces[place].readers.last != number { pieces[place].readers.append(number) }
      }
    }
    for bytes in writes where !bytes.isEmpty {
      let places = cut(bytes)
      for place in places {
        if let writer = pieces[place].writer { wanted.insert(writer) }
        wanted.formUnion(pieces[place].readers)
      }
      pieces.replaceSubrange(places, with: CollectionOfOne(Piece(bytes: bytes, writer: number)))
    }
    wanted.remove(number)
    var before = BitSet(capacity: number)
    var nearest: [Int] = []
    for earlier in wanted.sorted(by: >) where !before.contains(earlier) {
      nearest.append(earlier)
      before.formUnion(past[earlier])
      before.insert(earlier)
    }
    past.append(before)
    return nearest
  }

  /// Operations that no other waits for.
  public var ends: [Int] {
    var rest = Set(0..<count)
    for before in past { before.forEach { rest.remove($0) } }
    return rest.sorted()
  }

  /// Cuts pieces at both ends of `bytes` and makes those that are missing.
  ///
  /// - Returns: places of the pieces that make up `bytes`.
  private mutating func cut(_ bytes: Range<UInt64>) -> Range<Int> {
    var place = firstPlace(endingAfter: bytes.lowerBound)
    if place < pieces.count, pieces[place].bytes.lowerBound < bytes.lowerBound {
      split(place, at: bytes.lowerBound)
      place += 1
    }
    let first = place
    var reached = bytes.lowerBound
    while reached < bytes.upperBound {
      if place == pieces.count || pieces[place].bytes.lowerBound >= bytes.upperBound {
        pieces.insert(Piece(bytes: reached..<bytes.upperBound), at: place)
      } else if pieces[place].bytes.lowerBound > reached {
        pieces.insert(Piece(bytes: reached..<pieces[place].bytes.lowerBound), at: place)
      } else if pieces[place].bytes.upperBound > bytes.upperBound {
        split(place, at: bytes.upperBound)
      }
      reached = pieces[place].bytes.upperBound
      place += 1
    }
    return first..<place
  }

  private mutating func split(_ place: Int, at boundary: UInt64) {
    var rest = pieces[place]
    rest.bytes = boundary..<rest.bytes.upperBound
    pieces[place].bytes = pieces[place].bytes.lowerBound..<boundary
    pieces.insert(rest, at: place + 1)
  }

  private func firstPlace(endingAfter address: UInt64) -> Int {
    var (low, high) = (0, pieces.count)
    while low < high {
      let middle = (low + high) / 2
      if pieces[middle].bytes.upperBound > address { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

extension AccessOrder {
  /// Bytes of its tensors that a kernel reads, and that it writes.
  package static func bytes(
    of tensors: [Tensor], _ kernel: Kernel
  ) -> (reads: [Range<UInt64>], writes: [Range<UInt64>]) {
    var (reads, writes): ([Range<UInt64>], [Range<UInt64>]) = ([], [])
    for (parameter, tensor) in zip(kernel.tensors, tensors) {
      switch parameter.access {
      case .input: reads.append(bytes(of: tensor))
      case .output, .update, .scratch: writes.append(bytes(of: tensor))
      }
    }
    return (reads, writes)
  }

  /// From the first byte of a tensor to its last, whichever way its axes run; empty where it has no element.
  package static func bytes(of tensor: Tensor) -> Range<UInt64> {
    let start = unsafe Int(bitPattern: tensor.address)
    guard tensor.count > 0 else { return UInt64(start)..<UInt64(start) }
    var (low, high) = (0, 0)
    for (extent, stride) in zip(tensor.shape, tensor.strides) {
      let last = (extent - 1) * stride
      if last < 0 { low += last } else { high += last }
    }
    let (elements, bytes) = (tensor.type.blockElements, tensor.type.blockBytes)
    // Elements of blocks lie one after the other, so only axes of whole blocks run backwards.
    return UInt64(start + low / elements * bytes)..<UInt64(start + (high / elements + 1) * bytes)
  }
}

/// Small numbers, a bit each.
private struct BitSet: Sendable {
  private var words: [UInt64]

  init(capacity: Int) { words = [UInt64](repeating: 0, count: (capacity + 63) / 64) }

  func contains(_ number: Int) -> Bool {
    number / 64 < words.count && words[number / 64] >> UInt64(number % 64) & 1 == 1
  }

  mutating func insert(_ number: Int) { words[number / 64] |= 1 << UInt64(number % 64) }

  /// - Precondition: `other` has no more capacity.
  mutating func formUnion(_ other: BitSet) {
    for place in other.words.indices { words[place] |= other.words[place] }
  }

  func forEach(_ body: (Int) -> Void) {
    for (place, word) in words.enumerated() {
      var word = word
      while word != 0 {
        body(64 * place + word.trailingZeroBitCount)
        word &= word - 1
      }
    }
  }
}
