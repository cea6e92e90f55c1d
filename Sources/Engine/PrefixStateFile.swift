internal import Formats
internal import Memory
internal import Models
internal import Tiles

/// A saved prefix, checked against the model that is to use it.
struct PrefixStateFile {
  let tokens: [Int32]
  private let file: Safetensors
  private let path: String

  /// - Throws: ``EngineError/prefixState(file:reason:)`` for whatever in the file is not as it was written, or not for
  ///   this model.
  init(_ file: Safetensors, path: String, model: PrefixStateHeader.Model, maximumTokens: Int) throws {
    self.file = file
    self.path = path
    let header = file.metadata
    func require(_ condition: Bool, _ reason: @autoclosure () -> String) throws(EngineError) {
      guard condition else { throw .prefixState(file: path, reason: reason()) }
    }
    try require(header["format"] == PrefixStateHeader.format, "it is no saved prefix")
    try require(
      header["version"] == PrefixStateHeader.version,
      "its version is \(header["version"] ?? "missing"), this program reads \(PrefixStateHeader.version)")
    for (key, expected) in model.entries.sorted(by: { $0.key < $1.key }) {
      try require(
        header[key] == expected,
        "it was saved by another model or arithmetic: \(key) is \(header[key] ?? "missing") there, \(expected) here"
      )
    }
    let pageTokens = PagedCache.Geometry.pageTokens
    let list = try file.tensor(PrefixStateHeader.tokens)
    try require(list.type == .int32 && list.shape.count == 1, "its tokens are no list of int32")
    let count = list.shape[0]
    try require(
      count > 0 && count % pageTokens == 0 && header["tokens"] == "\(count)",
      "it has \(count) tokens, its header says \(header["tokens"] ?? "nothing"); a multiple of \(pageTokens) is needed"
    )
    try require(count <= maximumTokens, "it has \(count) tokens, the model's context is \(maximumTokens)")
    let pages = count / pageTokens
    try require(
      file.tensors.count == 1 + model.parts.count * pages,
      "it has \(file.tensors.count) tensors, \(1 + model.parts.count * pages) are needed for \(count) tokens")
    for page in 0..<pages {
      for part in model.parts {
        let name = PrefixStateHeader.name(part.name, page: page)
        let tensor = try file.tensor(name)
        try require(
          tensor.type == part.type && tensor.shape == part.shape,
          "\(name) is \(tensor.type.rawValue) \(tensor.shape), \(part.type.rawValue) \(part.shape) is needed")
      }
    }
    let sum = PrefixStateHeader.checksum(try file.tensors.map { ($0.name, try file.tensor($0.name)) })
    try require(
      header["checksum"] == String(sum, radix: 16),
      "its numbers have the checksum \(String(sum, radix: 16)), its header says \(header["checksum"] ?? "nothing")"
    )
    tokens = list.withElements(as: Int32.self) { span in span.indices.map { span[$0] } }
  }

  /// Copies the numbers of a page of the file to one of the cache.
  func copyPage(_ number: Int, into page: Int, of cache: PagedCache) throws {
    for part in cache.parts(ofPage: page) {
      try cache.executor.copy(
        from: try file.tensor(PrefixStateHeader.name(part.name, page: number)), into: part.tensor)
    }
  }
}
