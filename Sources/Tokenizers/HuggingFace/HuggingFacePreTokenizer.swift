internal import Formats

/// How `tokenizer.json` prepares text for byte pairs, recognised by its components.
struct HuggingFacePreTokenizer {
  /// The two shapes there are.
  enum Kind {
    case byteLevel(PreTokenizer, addsSpace: Bool, composes: Bool)
    case pieces(PieceModel.Prefix, cutsAtSpaces: Bool)
  }

  let kind: Kind

  init(_ tokenizer: JSONNode) throws {
    let normalizers = try Self.list(tokenizer.optional("normalizer"), "normalizers")
    let components = try Self.list(tokenizer.optional("pre_tokenizer"), "pretokenizers")
    let names = try components.map { try $0.required("type").string() }
    guard names.last == "ByteLevel" else {
      kind = try Self.pieces(normalizers, components, names)
      return
    }
    var composes = false
    for normalizer in normalizers {
      let name = try normalizer.required("type").string()
      guard name == "NFC" else {
        throw TokenizerError.unsupported(
          what: "normalizer", name: "\(name) before ByteLevel", known: ["none", "NFC"])
      }
      composes = true
    }
    let last = components[components.count - 1]
    let usesRegex = try last.optional("use_regex")?.bool() ?? true
    let addsSpace = try last.optional("add_prefix_space")?.bool() ?? false
    let known = try Self.byteLevel(components.dropLast(), usesRegex: usesRegex)
    guard !addsSpace || names.count == 1 else {
      throw TokenizerError.unsupported(
        what: "ByteLevel after other components with", name: "add_prefix_space: true",
        known: ["add_prefix_space: false"])
    }
    kind = .byteLevel(known, addsSpace: addsSpace, composes: composes)
  }

  /// The components of a sequence, one component or none.
  static func list(_ node: JSONNode?, _ key: String) throws -> [JSONNode] {
    guard let node else { return [] }
    guard try node.required("type").string() == "Sequence" else { return [node] }
    return try node.required(key).elements().flatMap { try list($0, key) }
  }

  private static func byteLevel(_ components: ArraySlice<JSONNode>, usesRegex: Bool) throws -> PreTokenizer {
    let names = try components.map { try $0.required("type").string() }
    let known = [
      "ByteLevel", "Digits (individual) + ByteLevel",
      "Split (by the patterns of Llama 3, Qwen 2, GPT-2) + ByteLevel",
    ]
    func unknown(_ detail: String) -> TokenizerError {
      .unsupported(what: "pre-tokenizer", name: detail, known: known)
    }
    switch (names, usesRegex) {
    case ([], true): return .gpt2
    case (["Digits"], true):
      guard try components.first?.optional("individual_digits")?.bool() ?? false else {
        throw unknown("Digits with individual_digits: false + ByteLevel")
      }
      return .smollm
    case (["Split"], false):
      guard let split = components.first else { throw unknown("none") }
      let behavior = try split.required("behavior").string()
      guard behavior == "Isolated", try !(split.optional("invert")?.bool() ?? false) else {
        throw unknown("Split with behavior \(behavior)")
      }
      let pattern = try split.required("pattern").required("Regex").string()
      guard let found = patterns[pattern] else { throw unknown("Split by \(pattern.prefix(200))") }
      return found
    default:
      throw unknown((names + ["ByteLevel with use_regex: \(usesRegex)"]).joined(separator: " + "))
    }
  }

  /// The patterns that have a scanner.
  private static let patterns: [String: PreTokenizer] = [
    #"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#: .gpt2,
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#: .gpt2,
    pattern(digits: "{1,3}"): .llama3,
    pattern(digits: ""): .qwen2,
  ]

  private static func pattern(digits: String) -> String {
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"# + digits
      + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  }

  private static func pieces(
    _ normalizers: [JSONNode], _ components: [JSONNode], _ names: [String]
  ) throws -> Kind {
    var replaces = false
    var prefix = PieceModel.Prefix.never
    for (index, normalizer) in normalizers.enumerated() {
      let name = try normalizer.required("type").string()
      switch name {
      case "Prepend" where index == 0:
        try require(normalizer.required("prepend"), "▁")
        prefix = .always
      case "Replace" where !replaces:
        try require(normalizer.required("pattern").required("String"), " ")
        try require(normalizer.required("content"), "▁")
        replaces = true
      default:
        throw TokenizerError.unsupported(
          what: "normalizer", name: name, known: ["Prepend ▁ + Replace space by ▁", "Replace space by ▁"])
      }
    }
    switch (names, replaces) {
    case ([], true): return .pieces(prefix, cutsAtSpaces: false)
    case (["Metaspace"], false) where normalizers.isEmpty:
      let metaspace = components[0]
      try require(metaspace.required("replacement"), "▁")
      let cuts = try metaspace.optional("split")?.bool() ?? true
      return .pieces(try scheme(metaspace), cutsAtSpaces: cuts)
    default:
      let found = names.isEmpty ? "none" : names.joined(separator: " + ")
      throw TokenizerError.unsupported(
        what: "pre-tokenizer", name: found,
        known: ["… + ByteLevel", "Metaspace", "none after Replace space by ▁"])
    }
  }

  private static func scheme(_ metaspace: JSONNode) throws -> PieceModel.Prefix {
    if let adds = try metaspace.optional("add_prefix_space")?.bool(), !adds { return .never }
    let name = try metaspace.optional("prepend_scheme")?.string() ?? "always"
    switch name {
    case "always": return .unlessSpace
    case "first": return .firstUnlessSpace
    case "never": return .never
    default:
      throw TokenizerError.unsupported(
        what: "prepend_scheme", name: name, known: ["always", "first", "never"])
    }
  }

  private static func require(_ node: JSONNode, _ text: String) throws {
    guard try node.string() == text else { throw node.wrong("\"\(text)\"") }
  }
}
