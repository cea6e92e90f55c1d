/// A model's chat template: turns a conversation into the text the model was trained on.
///
/// The language is the part of Jinja that such templates use, as `transformers` runs it: jinja2's sandbox with
/// `trim_blocks`, `lstrip_blocks` and loop controls. Values are immutable and nothing of the host can be reached.
/// Left out: inclusion and inheritance (refused), and the mark-up type behind `escape`, so escaped text is plain text.
public struct ChatTemplate: Sendable {
  private let body: [TemplateStatement]
  private let limits: TemplateLimits
  private static let reserved: Set<String> = [
    "messages", "tools", "documents", "add_generation_prompt", "raise_exception", "strftime_now", "range",
    "dict",
    "namespace", "cycler", "joiner", "loop",
  ]

  /// Parses a template once.
  ///
  /// - Throws: ``TemplateError/syntax(at:problem:)``, ``TemplateError/unsupported(at:construct:)``,
  ///   ``TemplateError/limitReached(at:limit:allowed:)``.
  public init(_ source: String, limits: TemplateLimits = TemplateLimits()) throws(TemplateError) {
    body = try TemplateParser.statements(of: source, limits: limits)
    self.limits = limits
  }

  /// Renders a conversation.
  ///
  /// - Parameters:
  ///   - messages: dictionaries with `role`, `content` and what else the template reads.
  ///   - tools: JSON schemas of functions; `nil` is `None` to the template.
  ///   - documents: for retrieval; `nil` is `None` to the template.
  ///   - addGenerationPrompt: whether the text ends where the assistant's answer starts.
  ///   - date: what `strftime_now` tells; without it that function is undefined.
  ///   - extra: further variables, such as `bos_token` and `eos_token`; names set here are refused.
  /// - Throws: ``TemplateError``.
  /// - Complexity: bounded by ``TemplateLimits/steps``.
  public func render(
    messages: [TemplateValue], tools: [TemplateValue]? = nil, documents: [TemplateValue]? = nil,
    addGenerationPrompt: Bool, date: TemplateDate? = nil, extra: [String: TemplateValue] = [:]
  ) throws(TemplateError) -> String {
    var variables: [String: RuntimeValue] = [:]
    for (name, value) in extra {
      guard !Self.reserved.contains(name) else { throw .reservedName(name) }
      variables[name] = RuntimeValue(value)
    }
    variables["messages"] = RuntimeValue(.array(messages))
    variables["tools"] = RuntimeValue(tools.map { .array($0) } ?? .null)
    variables["documents"] = RuntimeValue(documents.map { .array($0) } ?? .null)
    variables["add_generation_prompt"] = .boolean(addGenerationPrompt)
    let interpreter = TemplateInterpreter(variables, date: date, limits: limits)
    defer { interpreter.release() }
    for value in variables.values { _ = try interpreter.bounded(value) }
    _ = try interpreter.run(body)
    return interpreter.output
  }

  /// Renders turns of text.
  ///
  /// - Throws: ``TemplateError``.
  public func render(
    _ messages: [ChatMessage], addGenerationPrompt: Bool = true, extra: [String: TemplateValue] = [:]
  ) throws(TemplateError) -> String {
    try render(messages: messages.map(\.value), addGenerationPrompt: addGenerationPrompt, extra: extra)
  }
}
