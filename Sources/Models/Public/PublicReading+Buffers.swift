internal import Formats
internal import Glibc
internal import Memory

extension PublicReading {
  /// Takes away what the network computes itself or shares, after a look at its numbers.
  mutating func takeBuffers(_ settings: SequenceSettings) throws {
    try takeHead()
    guard case .hyena(let order, _, _, _, let hasWindow, let innerLayers, _, _) = settings.mixer else {
      return
    }
    for layer in 0..<settings.layers where !settings.attentionLayers.contains(layer) {
      let filter = "backbone.layers.\(layer).mixer.filter_fn"
      let last = Double(max(1, settings.longest - 1))
      try take("\(filter).pos_emb.t", is: "lags from 0 to 1") { count in
        guard count == settings.longest else { return nil }
        return { Float(Double($0) / last) }
      }
      try take("\(filter).modulation.deltas", is: "rates of decay from ln(0.01) / 1.5 to ln(0.01) / 0.3") {
        count in
        guard count == settings.width * (order - 1) else { return nil }
        // Without a window nobody asks for them.
        guard hasWindow else { return { _ in .nan } }
        let (slow, fast) = (log(0.01) / 1.5, log(0.01) / 0.3)
        return { Float(slow + (fast - slow) * Double($0) / Double(max(1, count - 1))) }
      }
      let frequency = "\(filter).implicit_filter.1.freq"
      guard let place = names.places[frequency] else { continue }
      let shared = try tensors.tensor(place.name).floats(place.name)
      for sine in 1..<innerLayers + 1 {
        try take("\(filter).implicit_filter.\(2 * sine + 1).freq", is: "those of \(place.name)") { count in
          count == shared.count ? { shared[$0] } : nil
        }
      }
    }
  }

  /// The output's weights, which must be the embedding's.
  private mutating func takeHead() throws {
    let embedding = "backbone.embeddings.word_embeddings.weight"
    var heads = names.outside.filter { $0.hasSuffix("lm_head.weight") }
    if let place = names.take("lm_head.weight") { heads.append(place.name) }
    guard !heads.isEmpty, let place = names.places[embedding] else { return }
    let own = try tensors.tensor(place.name)
    for head in heads {
      let other = try tensors.tensor(head)
      let isSame = other.shape == own.shape && other.type == own.type && own.hasSameBytes(as: other)
      guard isSame else {
        throw ModelError.otherNumbers(tensor: head, file: tensors.file, expected: "those of \(place.name)")
      }
    }
  }

  /// Takes a buffer away if its numbers are the expected ones; see ``NamedTensors/require(_:is:_:)``.
  private mutating func take(
    _ name: String, is meaning: String, _ expected: (Int) -> ((Int) -> Float)?
  ) throws {
    guard let place = names.take(name) else { return }
    try tensors.require(place.name, is: meaning, expected)
  }
}

extension NamedTensors {
  /// Checks that a tensor's numbers are the expected ones.
  ///
  /// - Parameter expected: for a count of numbers, the number of each place, NaN for any; `nil` for a wrong count.
  /// - Throws: ``ModelError/otherNumbers(tensor:file:expected:)``.
  func require(_ name: String, is meaning: String, _ expected: (Int) -> ((Int) -> Float)?) throws {
    let tensor = try tensor(name)
    let found = try tensor.floats(name)
    // Rounding of the type, and of those who computed them in float32.
    let bound: Float = tensor.type == .bfloat16 ? 0x1p-7 : tensor.type == .float16 ? 0x1p-10 : 1e-5
    let wanted = expected(found.count)
    let agrees = found.indices.allSatisfy { index in
      guard let value = wanted?(index) else { return false }
      return value.isNaN || abs(found[index] - value) <= bound * max(1, abs(value))
    }
    guard agrees, wanted != nil else {
      throw ModelError.otherNumbers(tensor: name, file: file, expected: meaning)
    }
  }
}

extension Tensor {
  /// Whether two dense tensors of one shape and type hold the same bytes.
  fileprivate func hasSameBytes(as other: Tensor) -> Bool {
    if storage === other.storage, byteOffset == other.byteOffset { return true }
    return withElements(as: UInt8.self) { own in
      other.withElements(as: UInt8.self) { theirs in
        own.count == theirs.count && own.indices.allSatisfy { own[$0] == theirs[$0] }
      }
    }
  }
}
