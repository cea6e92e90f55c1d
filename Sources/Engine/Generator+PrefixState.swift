internal import Formats
internal import Memory
internal import Models

extension Generator {
  /// Writes the keys and values of a prompt's beginning to a safetensors file, for another run of the same model.
  ///
  /// The beginning is what the cache holds of `tokens`: whole pages of 64 positions, so a request with this prompt must
  /// have run before. From host memory the numbers go
  /// to the file without a copy.
  ///
  /// - Returns: how many tokens were saved.
  /// - Throws: ``EngineError/nothingToSave(tokens:pageTokens:)`` where the cache holds no page of it, `FormatError` where
  ///   the file cannot be written; the file is then as it was.
  public func savePrefix(_ tokens: [Int32], salt: Int = 0, to path: String) throws -> Int {
    let pages = cachedPages(of: tokens, salt: salt)
    guard !pages.isEmpty else {
      throw EngineError.nothingToSave(tokens: tokens.count, pageTokens: PagedCache.Geometry.pageTokens)
    }
    let saved = Array(tokens.prefix(pages.count * PagedCache.Geometry.pageTokens))
    let list = try Tensor(zeros: .int32, [saved.count])
    list.withMutableElements(as: Int32.self) { span in
      for index in saved.indices { span[index] = saved[index] }
    }
    var tensors = [(name: PrefixStateHeader.tokens, tensor: list)]
    for (number, page) in pages.enumerated() {
      for part in try cache.fetchedParts(ofPage: Int(page)) {
        tensors.append((PrefixStateHeader.name(part.name, page: number), part.tensor))
      }
    }
    let header = PrefixStateHeader(
      model: try identity(), tokens: saved.count, checksum: PrefixStateHeader.checksum(tensors))
    try SafetensorsWriter.write(tensors, metadata: header.metadata, to: path)
    return saved.count
  }

  /// Puts the keys and values of a saved beginning into the cache: prompts that begin with its tokens go on from there,
  /// with the same bits as if it had been computed here.
  ///
  /// - Returns: the tokens of the beginning.
  /// - Throws: ``EngineError/prefixState(file:reason:)`` where the file is damaged or belongs to another model,
  ///   ``EngineError/cacheTooSmall(neededPages:pages:pageBytes:)``, `FormatError` where it is no safetensors file. The
  ///   cache is then as it was, but for unused pages that may have been evicted.
  public func loadPrefix(from path: String, salt: Int = 0) throws -> [Int32] {
    let file = try Safetensors(path: path)
    let state = try PrefixStateFile(file, path: path, model: identity(), maximumTokens: model.contextLength)
    for token in state.tokens where token < 0 || Int(token) >= model.vocabularySize {
      throw EngineError.tokenOutOfRange(token: token, vocabulary: model.vocabularySize)
    }
    try adopt(state.tokens, salt: salt) { number, page in
      try state.copyPage(number, into: page, of: cache)
    }
    return state.tokens
  }

  /// What tells this model from others whose keys and values differ.
  private func identity() throws -> PrefixStateHeader.Model {
    if let known = knownIdentity { return known }
    let made = try PrefixStateHeader.Model(model)
    knownIdentity = made
    return made
  }
}
