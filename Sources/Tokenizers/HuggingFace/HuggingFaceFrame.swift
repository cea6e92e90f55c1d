internal import Formats

/// The tokens around a text, by the post-processor and the settings.
struct HuggingFaceFrame {
  let frame: Tokenizer.Frame

  init(_ tokenizer: JSONNode, _ settings: JSONNode?, _ vocabulary: HuggingFaceVocabulary) throws {
    var frame = Tokenizer.Frame()
    frame.beginning = try Self.token("bos_token", settings, vocabulary)
    frame.end = try Self.token("eos_token", settings, vocabulary)
    var before: [Int32]?
    for processor in try HuggingFacePreTokenizer.list(tokenizer.optional("post_processor"), "processors") {
      let kind = try processor.required("type").string()
      switch kind {
      case "ByteLevel": continue
      case "TemplateProcessing" where before == nil:
        (before, frame.after) = try Self.template(processor, vocabulary)
      case "BertProcessing" where before == nil, "RobertaProcessing" where before == nil:
        before = [try Self.pair(processor.required("cls"), vocabulary)]
        frame.after = [try Self.pair(processor.required("sep"), vocabulary)]
      default:
        throw TokenizerError.unsupported(
          what: "post-processor", name: kind,
          known: ["BertProcessing", "ByteLevel", "RobertaProcessing", "TemplateProcessing"])
      }
    }
    if before == nil, let settings, try settings.optional("add_bos_token")?.bool() ?? false {
      guard let beginning = frame.beginning else {
        throw TokenizerError.malformed(reason: "add_bos_token is true, but bos_token is missing")
      }
      before = [beginning]
    }
    if let first = before?.first, frame.beginning == nil { frame.beginning = first }
    frame.isAdded = !(before ?? []).isEmpty || !frame.after.isEmpty
    frame.before = (before ?? []).isEmpty && frame.after.isEmpty ? nil : before
    self.frame = frame
  }

  private static func token(
    _ key: String, _ settings: JSONNode?, _ vocabulary: HuggingFaceVocabulary
  ) throws -> Int32? {
    guard let node = try settings?.optional(key) else { return nil }
    let name = try node.json.string ?? node.required("content").string()
    return try vocabulary.requiredID(name, for: key)
  }

  /// The ids before and after the text in a template for one text.
  private static func template(
    _ processor: JSONNode, _ vocabulary: HuggingFaceVocabulary
  ) throws -> ([Int32], [Int32]) {
    let special = try processor.required("special_tokens")
    var (before, after): ([Int32], [Int32]) = ([], [])
    var isAfter = false
    for item in try processor.required("single").elements() {
      if try item.optional("Sequence") != nil {
        guard !isAfter else { throw item.wrong("one text in a template") }
        isAfter = true
        continue
      }
      let name = try item.required("SpecialToken").required("id").string()
      for id in try special.required(name).required("ids").elements() {
        let value = Int32(try id.integer(in: 0...(vocabulary.names.count - 1)))
        if isAfter { after.append(value) } else { before.append(value) }
      }
    }
    guard isAfter else { throw processor.wrong("a template with a text") }
    return (before, after)
  }

  private static func pair(_ node: JSONNode, _ vocabulary: HuggingFaceVocabulary) throws -> Int32 {
    let parts = try node.elements()
    guard parts.count == 2 else { throw node.wrong("a token and its id") }
    return Int32(try parts[1].integer(in: 0...(vocabulary.names.count - 1)))
  }
}
