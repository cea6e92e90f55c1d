/// Tells whether data are those that a network was trained on: FNV-1a of numbers, against mistakes and not against attackers.
struct DataMark {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ number: some BinaryInteger) {
    value = (value ^ UInt64(truncatingIfNeeded: number)) &* 0x100_0000_01B3
    // What differs in high bits alone has to reach the low ones.
    value ^= value >> 32
  }

  /// 16 digits.
  var text: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

extension TrainingTask {
  /// What the contents of its file give: of pictures all numbers, of a text its lengths, its tokenizer and 4,096 stretches of each part.
  /// `nil` for tasks that draw their examples.
  func dataMark() throws -> String? {
    var mark = DataMark()
    switch self {
    case .tokens, .listOps, .pathfinder: return nil
    case .pictures(let pictures): pictures.add(to: &mark)
    case .corpus(let corpus, _), .masked(let corpus, _, _):
      for byte in corpus.tokenizer.utf8 { mark.add(byte) }
      for run in [corpus.train, corpus.test] { try run.add(to: &mark) }
    }
    return mark.text
  }
}

extension Pictures {
  fileprivate func add(to mark: inout DataMark) {
    for label in labels { mark.add(label) }
    for value in values { mark.add(value.bitPattern) }
  }
}

extension TokenRun {
  fileprivate func add(to mark: inout DataMark) throws {
    mark.add(count)
    let (stretches, length) = (4096, 64)
    let starts =
      count <= stretches * length
      ? Array(stride(from: 0, to: count, by: length))
      : (0..<stretches).map { Int(Double($0) / Double(stretches - 1) * Double(count - length)) }
    for start in starts {
      for token in try self[start..<min(start + length, count)] { mark.add(token) }
    }
  }
}
