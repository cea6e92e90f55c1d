/// An expression and where it starts.
struct TemplateExpression: Sendable {
  /// What it computes.
  indirect enum Kind: Sendable {
    case literal(TemplateValue)
    case name(String)
    case list([TemplateExpression])
    case tuple([TemplateExpression])
    case dictionary([(key: TemplateExpression, value: TemplateExpression)])
    case attribute(TemplateExpression, String)
    case subscripted(TemplateExpression, TemplateExpression)
    case slice(from: TemplateExpression?, to: TemplateExpression?, step: TemplateExpression?)
    case call(TemplateExpression, TemplateArguments)
    case filter(TemplateExpression, name: String, TemplateArguments)
    case test(TemplateExpression, name: String, TemplateArguments)
    case not(TemplateExpression)
    case negative(TemplateExpression)
    case positive(TemplateExpression)
    case all([TemplateExpression])
    case any([TemplateExpression])
    case comparison(TemplateExpression, [(operation: String, operand: TemplateExpression)])
    case arithmetic(TemplateExpression, [(operation: String, operand: TemplateExpression)])
    case concatenation([TemplateExpression])
    case conditional(TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)
    /// The text of the block that a filter chain is applied to.
    case captured
  }

  /// What it computes.
  var kind: Kind
  /// Where it starts.
  var place: TemplatePlace
}

/// Arguments as written in a call.
struct TemplateArguments: Sendable {
  /// By position; `spread` for `*x`.
  var positional: [(value: TemplateExpression, spread: Bool)] = []
  /// By name; a `nil` name for `**x`.
  var named: [(name: String?, value: TemplateExpression)] = []
}

/// What an assignment assigns to.
indirect enum TemplateTarget: Sendable {
  case name(String)
  case attribute(of: String, String)
  case tuple([TemplateTarget])
}

/// A macro, or the body of a `call` block.
struct TemplateMacro: Sendable {
  /// Its name; `caller` for a call block's body.
  var name: String
  /// Parameters with defaults, in order.
  var parameters: [(name: String, fallback: TemplateExpression?)]
  /// What it renders.
  var body: [TemplateStatement]
  /// Names it reads; `varargs`, `kwargs` and `caller` among them make it accept what these hold.
  var reads: Set<String>
}

/// A `for` block.
struct TemplateLoop: Sendable {
  var target: TemplateTarget
  var iterable: TemplateExpression
  var condition: TemplateExpression?
  var isRecursive: Bool
  var body: [TemplateStatement]
  var otherwise: [TemplateStatement]
}

/// A piece of a template and where it starts.
struct TemplateStatement: Sendable {
  /// What it does.
  indirect enum Kind: Sendable {
    case text(String)
    case output(TemplateExpression)
    case loop(TemplateLoop)
    case conditional(
      [(condition: TemplateExpression, body: [TemplateStatement])], otherwise: [TemplateStatement])
    case assign(TemplateTarget, TemplateExpression)
    case assignBlock(TemplateTarget, [TemplateStatement], filtered: TemplateExpression)
    case macro(TemplateMacro)
    case call(TemplateExpression, TemplateMacro)
    case filterBlock([TemplateStatement], filtered: TemplateExpression)
    case with([(target: TemplateTarget, value: TemplateExpression)], [TemplateStatement])
    case scoped([TemplateStatement])
    case leave
    case skip
  }

  /// What it does.
  var kind: Kind
  /// Where it starts.
  var place: TemplatePlace
}
