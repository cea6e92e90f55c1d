/// Where in a template's text something stands, both counted from 1; columns count Unicode scalars.
public struct TemplatePlace: Sendable, Hashable {
  /// Line, after `\r\n` and `\r` have become `\n`.
  public var line: Int
  /// Column in the line.
  public var column: Int

  /// A place.
  public init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }
}

/// Bounds that keep a template from a downloaded file from using the machine up.
///
/// Time and memory are one budget: a step is a node evaluated, a loop turn, an element copied, or
/// ``bytesPerStep`` bytes of text made.
public struct TemplateLimits: Sendable, Hashable {
  /// Bytes of template text accepted; public templates have up to 30 KB.
  public var templateBytes = 1 << 20
  /// Levels of nested blocks and brackets the parser follows, and filters or accesses in a row.
  public var parserDepth = 80
  /// Levels of nested evaluation, macro calls included; public templates stay under 100.
  public var evaluatorDepth = 320
  /// Levels of lists within lists in one value.
  public var valueDepth = 100
  /// Steps of one rendering.
  public var steps = 2_000_000
  /// Bytes of the rendered text and of any string made on the way.
  public var outputBytes = 64 << 20
  /// Numbers in one `range`, as in jinja2's sandbox.
  public var rangeCount = 100_000

  /// Text charged as one step: what is copied in about the time of evaluating a node.
  static let bytesPerStep = 256

  /// The defaults.
  public init() {}
}

/// Why a chat template was refused or could not be rendered.
public enum TemplateError: Error, Equatable {
  /// The text is not a template.
  case syntax(at: TemplatePlace, problem: String)
  /// The text asks for a part of Jinja that is left out on purpose.
  case unsupported(at: TemplatePlace, construct: String)
  /// Something that has no value was used as if it had one.
  case undefined(at: TemplatePlace, problem: String)
  /// An operation does not apply to its operands.
  case invalidOperation(at: TemplatePlace, problem: String)
  /// The template reached for something the sandbox withholds.
  case forbidden(at: TemplatePlace, problem: String)
  /// The template itself called `raise_exception`.
  case raised(at: TemplatePlace, message: String)
  /// A bound of ``TemplateLimits`` was met.
  case limitReached(at: TemplatePlace, limit: String, allowed: Int)
  /// An extra variable has a name the renderer gives itself.
  case reservedName(String)
}

extension TemplateError: CustomStringConvertible {
  /// Line, column, problem and remedy.
  public var description: String {
    switch self {
    case .syntax(let at, let problem):
      "\(at): \(problem). Correct the template there, or give another."
    case .unsupported(let at, let construct):
      "\(at): \(construct) is not part of chat templates here. Write the template without it."
    case .undefined(let at, let problem):
      "\(at): \(problem). Pass the variable, or test it with `is defined` first."
    case .invalidOperation(let at, let problem):
      "\(at): \(problem). Check the messages' fields, or correct the template."
    case .forbidden(let at, let problem):
      "\(at): \(problem). Templates may read their inputs only; use another template."
    case .raised(let at, let message):
      "\(at): the template refuses this conversation: \(message)"
    case .limitReached(let at, let limit, let allowed):
      "\(at): more than \(allowed) \(limit). Shorten the conversation, or raise this limit in TemplateLimits."
    case .reservedName(let name):
      "the extra variable '\(name)' has a name the renderer sets itself. Give it another name."
    }
  }
}

extension TemplatePlace: CustomStringConvertible {
  /// As in compiler messages.
  public var description: String { "template line \(line), column \(column)" }
}
