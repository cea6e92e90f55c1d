/// One rendering of a template.
final class TemplateInterpreter {
  let limits: TemplateLimits
  let date: TemplateDate?
  var place = TemplatePlace(line: 1, column: 1)
  var scope: RuntimeScope
  var output = ""
  /// What blocks around the current one have written while this one is captured.
  var captured = ""
  private var capturedBytes = 0
  private var steps = 0
  private var depth = 0
  /// Namespaces and scopes that macros hold: emptied at the end, because they may hold each other.
  var namespaces: [RuntimeNamespace] = []
  private var scopes: [RuntimeScope] = []

  /// What a block's end means for the loop around it.
  enum Flow { case next, leave, skip }

  /// Ready to render with these variables.
  init(_ variables: [String: RuntimeValue], date: TemplateDate?, limits: TemplateLimits) {
    self.limits = limits
    self.date = date
    scope = RuntimeScope(in: nil)
    scope.values = variables
    scope = RuntimeScope(in: scope)
  }

  /// Breaks the cycles that would keep the values alive; to be called once after rendering.
  func release() {
    for namespace in namespaces { namespace.members = RuntimeDictionary() }
    for scope in scopes { scope.values = [:] }
  }

  /// Charges work, and refuses more than the bound.
  func charge(_ count: Int) throws(TemplateError) {
    guard count <= limits.steps - steps else {
      throw .limitReached(at: place, limit: "steps", allowed: limits.steps)
    }
    steps += count
  }

  /// Charges going through all of a value, however often it holds the same list.
  func charge(for value: RuntimeValue) throws(TemplateError) { try charge(value.weight) }

  /// Charges text that was made or is about to be.
  func charge(bytes: Int) throws(TemplateError) {
    guard bytes <= limits.outputBytes else {
      throw .limitReached(at: place, limit: "bytes of text", allowed: limits.outputBytes)
    }
    try charge(1 + bytes / TemplateLimits.bytesPerStep)
  }

  /// Goes one level deeper; every caller comes back up with ``ascend()``.
  func descend() throws(TemplateError) {
    depth += 1
    if depth > limits.evaluatorDepth {
      throw .limitReached(at: place, limit: "levels of evaluation", allowed: limits.evaluatorDepth)
    }
  }

  /// Comes back from ``descend()``.
  func ascend() { depth -= 1 }

  /// An operation that does not apply.
  func invalid(_ problem: String) -> TemplateError { .invalidOperation(at: place, problem: problem) }

  /// A value that may be stored: not nested too deeply.
  func bounded(_ value: RuntimeValue) throws(TemplateError) -> RuntimeValue {
    if value.depth > limits.valueDepth {
      throw .limitReached(at: place, limit: "levels of lists in lists", allowed: limits.valueDepth)
    }
    return value
  }

  /// Adds to the text written.
  func write(_ text: String) throws(TemplateError) {
    try charge(bytes: text.utf8.count)
    if capturedBytes + output.utf8.count + text.utf8.count > limits.outputBytes {
      throw .limitReached(at: place, limit: "bytes of text", allowed: limits.outputBytes)
    }
    output += text
  }

  /// Text that `body` writes, in a scope of its own inside `outer`.
  func capture(
    in outer: RuntimeScope, _ body: [TemplateStatement],
    _ prepare: (RuntimeScope) throws(TemplateError) -> Void
  ) throws(TemplateError) -> (text: String, flow: Flow) {
    let saved = (output, scope)
    output = ""
    capturedBytes += saved.0.utf8.count
    scope = RuntimeScope(in: outer)
    defer {
      (output, scope) = saved
      capturedBytes -= saved.0.utf8.count
    }
    try prepare(scope)
    let flow = try run(body)
    return (output, flow)
  }

  /// Runs statements until one leaves or skips a loop's turn.
  func run(_ body: [TemplateStatement]) throws(TemplateError) -> Flow {
    try descend()
    defer { ascend() }
    for statement in body {
      try charge(1)
      place = statement.place
      let flow = try run(statement)
      if flow != .next { return flow }
    }
    return .next
  }

  private func run(_ statement: TemplateStatement) throws(TemplateError) -> Flow {
    switch statement.kind {
    case .text(let text): try write(text)
    case .output(let expression): try write(try text(of: try evaluate(expression)))
    case .loop(let loop): return try runLoop(loop, over: try evaluate(loop.iterable), level: 0)
    case .conditional(let branches, let otherwise):
      for branch in branches where try evaluate(branch.condition).isTrue { return try run(branch.body) }
      return try run(otherwise)
    case .assign(let target, let value): try assign(target, try evaluate(value), in: scope)
    case .assignBlock(let target, let body, let filtered):
      let (text, flow) = try capture(in: scope, body) { (_: RuntimeScope) throws(TemplateError) in }
      if flow != .next { return flow }
      try assign(target, try filter(text, filtered), in: scope)
    case .macro(let definition):
      scopes.append(scope)
      scope.values[definition.name] = .macro(RuntimeMacro(definition, scope))
    case .call(let call, let body): try write(try text(of: try runCall(call, body)))
    case .filterBlock(let body, let filtered):
      let (text, flow) = try capture(in: scope, body) { (_: RuntimeScope) throws(TemplateError) in }
      if flow != .next { return flow }
      try write(try self.text(of: try filter(text, filtered)))
    case .with(let values, let body):
      let inner = RuntimeScope(in: scope)
      for (target, value) in values { try assign(target, try evaluate(value), in: inner) }
      return try run(body, in: inner)
    case .scoped(let body): return try run(body, in: RuntimeScope(in: scope))
    case .leave: return .leave
    case .skip: return .skip
    }
    return .next
  }

  private func filter(_ text: String, _ filtered: TemplateExpression) throws(TemplateError) -> RuntimeValue {
    let saved = captured
    captured = text
    defer { captured = saved }
    return try evaluate(filtered)
  }

  private func run(_ body: [TemplateStatement], in inner: RuntimeScope) throws(TemplateError) -> Flow {
    let saved = scope
    scope = inner
    defer { scope = saved }
    return try run(body)
  }

  private func runCall(_ call: TemplateExpression, _ body: TemplateMacro) throws(TemplateError)
    -> RuntimeValue
  {
    guard case .call(let callee, let arguments) = call.kind else { return .none }
    scopes.append(scope)
    var values = try evaluate(arguments)
    values.named.append(("caller", .macro(RuntimeMacro(body, scope))))
    return try self.call(try evaluate(callee), values)
  }

  /// Binds a name, a namespace's member, or several of them.
  func assign(_ target: TemplateTarget, _ value: RuntimeValue, in scope: RuntimeScope) throws(TemplateError) {
    switch target {
    case .name(let name): scope.values[name] = value
    case .attribute(let name, let member):
      guard case .namespace(let namespace) = scope.value(name) else {
        throw invalid("'\(name)' is not a namespace, so '\(member)' cannot be set in it")
      }
      guard namespace.members.set(.string(member), value) else { return }
    case .tuple(let targets):
      let items = try self.items(of: value)
      guard items.count == targets.count else {
        throw invalid("\(items.count) values cannot be unpacked into \(targets.count) names")
      }
      for (target, item) in zip(targets, items) { try assign(target, item, in: scope) }
    }
  }

  /// Runs a loop's body for each item.
  func runLoop(_ node: TemplateLoop, over iterable: RuntimeValue, level: Int) throws(TemplateError) -> Flow {
    let outer = scope
    defer { scope = outer }
    var items = try self.items(of: iterable)
    if let condition = node.condition {
      var kept: [RuntimeValue] = []
      for item in items {
        try charge(1)
        scope = RuntimeScope(in: outer)
        scope.values["loop"] = .undefined("loop")
        try assign(node.target, item, in: scope)
        if try evaluate(condition).isTrue { kept.append(item) }
      }
      items = kept
    }
    let loop = RuntimeLoop(items, level: level, node: node, scope: outer)
    var completed = false
    for (index, item) in items.enumerated() {
      try charge(1)
      loop.index = index
      scope = RuntimeScope(in: outer)
      scope.values["loop"] = .loop(loop)
      try assign(node.target, item, in: scope)
      let flow = try run(node.body)
      if flow == .leave { break }
      completed = completed || flow == .next
    }
    // jinja2 notes at a body's end that the loop ran: a turn that was left or skipped does not count.
    if !completed {
      scope = RuntimeScope(in: outer)
      return try run(node.otherwise)
    }
    return .next
  }
}
