public import Formats
internal import Foundation

extension Tokenizer {
  /// The tokenizer of a Hugging Face folder: `tokenizer.json`, and `tokenizer_config.json`,
  /// `special_tokens_map.json` and `chat_template.jinja` where they are there.
  ///
  /// - Throws: ``TokenizerError`` for a vocabulary that is damaged or of another kind, ``FormatError`` for a file
  ///   that is missing or is not JSON of the expected form.
  public init(huggingFace folder: String) throws {
    let source = try HuggingFaceFolder(folder)
    try self.init(tokenizer: source.tokenizer, settings: source.settings, chatTemplate: source.chatTemplate)
  }

  /// The tokenizer that `tokenizer.json` describes.
  ///
  /// Byte-level BPE with the pre-tokenizers of ``PreTokenizer``, BPE over characters with bytes for the rest, and
  /// BERT's word pieces. Truncation and padding that the file asks for are left to the caller.
  ///
  /// - Parameters:
  ///   - tokenizer: the contents of `tokenizer.json`.
  ///   - settings: the contents of `tokenizer_config.json`.
  ///   - chatTemplate: a template that stands in a file of its own.
  public init(tokenizer: JSONNode, settings: JSONNode? = nil, chatTemplate: String? = nil) throws {
    let vocabulary = try HuggingFaceVocabulary(tokenizer)
    let frame = try HuggingFaceFrame(tokenizer, settings, vocabulary).frame
    let template = try chatTemplate ?? settings.flatMap(HuggingFaceFolder.chatTemplate)
    let model = try tokenizer.required("model")
    let kind = try model.optional("type")?.string() ?? "BPE"
    let parts: (Vocabulary, TokenModel)
    switch kind {
    case "BPE": parts = try HuggingFaceBPE(tokenizer, vocabulary).parts()
    case "WordPiece": parts = try HuggingFaceWordPiece(tokenizer, vocabulary).parts()
    default: throw TokenizerError.unsupported(what: "model", name: kind, known: ["BPE", "WordPiece"])
    }
    self.init(parts.0, parts.1, frame: frame, chatTemplate: template)
  }
}

/// The files of a folder that make a tokenizer.
struct HuggingFaceFolder {
  let tokenizer: JSONNode
  let settings: JSONNode?
  let chatTemplate: String?

  init(_ folder: String) throws {
    let directory = folder.hasSuffix("/") ? String(folder.dropLast()) : folder
    let path = "\(directory)/tokenizer.json"
    tokenizer = JSONNode(try JSON.read(path), file: path)
    settings = try Self.settings(directory)
    let template = "\(directory)/chat_template.jinja"
    chatTemplate = Self.exists(template) ? try TextFile.read(template) : nil
  }

  /// The settings, with what only the map of special tokens says.
  private static func settings(_ directory: String) throws -> JSONNode? {
    var members: [JSONObject.Member] = []
    var path = "\(directory)/special_tokens_map.json"
    for name in ["tokenizer_config.json", "special_tokens_map.json"] where exists("\(directory)/\(name)") {
      let file = "\(directory)/\(name)"
      let object = try JSONNode(try JSON.read(file), file: file).object()
      if name == "tokenizer_config.json" { path = file }
      let known = JSONObject(members)
      members += object.members.filter { known?[$0.key] == nil && !$0.value.isNull }
    }
    guard !members.isEmpty, let object = JSONObject(members) else { return nil }
    return JSONNode(.object(object), file: path)
  }

  private static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

  /// The chat template among the settings; of several, the one named default.
  static func chatTemplate(_ settings: JSONNode) throws -> String? {
    guard let node = try settings.optional("chat_template") else { return nil }
    if let text = node.json.string { return text }
    for item in try node.elements() where try item.required("name").string() == "default" {
      return try item.required("template").string()
    }
    return nil
  }
}
