/// Turns ids into text as they come, never splitting a character.
public struct StreamDecoder: Sendable {
  private let tokenizer: Tokenizer
  fileprivate var pending: [UInt8] = []
  /// Whether the next text is the first, whose leading space encoding may have put there.
  private var isAtStart: Bool
  private let showsControl: Bool

  /// A decoder with nothing pending.
  public init(_ tokenizer: Tokenizer) { self.init(tokenizer, showsControl: false) }

  init(_ tokenizer: Tokenizer, showsControl: Bool) {
    self.tokenizer = tokenizer
    self.showsControl = showsControl
    isAtStart = tokenizer.model.dropsLeadingSpace
  }

  /// The text that is complete with this token.
  public mutating func append(_ token: Int32) -> String {
    take(token)
    let complete = pending.count - incompleteTail
    defer { pending.removeFirst(complete) }
    return String(decoding: pending[..<complete], as: UTF8.self)
  }

  /// What is left, with U+FFFD for a character that never became complete.
  public mutating func finish() -> String {
    defer { pending = [] }
    return String(decoding: pending, as: UTF8.self)
  }

  /// Adds a token without giving text.
  mutating func take(_ token: Int32) {
    var bytes = tokenizer.bytes(of: token, showsControl: showsControl)
    if isAtStart, let first = bytes.first {
      if first == 0x20 { bytes.removeFirst() }
      isAtStart = false
    }
    pending += bytes
  }

  /// Bytes at the end that begin a character which may still be completed.
  private var incompleteTail: Int {
    for length in 1...3 where length <= pending.count {
      let byte = pending[pending.count - length]
      if byte & 0xC0 == 0x80 { continue }
      let needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
      return needed > length ? length : 0
    }
    return 0
  }
}

extension Tokenizer {
  /// Where each token begins in the text that ``decode(_:showsControl:)`` gives of all, in Unicode scalars: one that
  /// begins within a character, where that begins.
  public func textOffsets(of ids: some Sequence<Int32>) -> [Int] {
    var decoder = StreamDecoder(self)
    var starts: [Int] = []
    for token in ids {
      starts.append(decoder.pending.count)
      decoder.take(token)
    }
    let bytes = decoder.pending
    var parser = Unicode.UTF8.ForwardParser()
    var source = bytes.makeIterator()
    var offsets: [Int] = []
    // Bytes and scalars up to the end of what was parsed last.
    var (end, scalars) = (0, 0)
    while offsets.count < starts.count {
      switch parser.parseScalar(from: &source) {
      case .valid(let scalar): end += scalar.count
      // Each becomes one U+FFFD.
      case .error(let length): end += length
      case .emptyInput:
        offsets += [Int](repeating: scalars, count: starts.count - offsets.count)
        continue
      }
      while offsets.count < starts.count, starts[offsets.count] < end { offsets.append(scalars) }
      scalars += 1
    }
    return offsets
  }
}
