/// Reads words into statements; ``TemplateParser/readTuple(conditional:)`` and below read expressions.
struct TemplateParser {
  let tokens: [TemplateToken]
  let limits: TemplateLimits
  var index = 0
  var depth = 0
  /// Loops around the current statement that `break` can leave.
  var loops = 0
  /// Names read so far, for each macro being read.
  var macroReads: [Set<String>] = []

  /// Statements of a whole template.
  static func statements(of text: String, limits: TemplateLimits) throws(TemplateError) -> [TemplateStatement]
  {
    guard text.utf8.count <= limits.templateBytes else {
      let start = TemplatePlace(line: 1, column: 1)
      throw .limitReached(at: start, limit: "bytes of template", allowed: limits.templateBytes)
    }
    var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: text), limits: limits)
    let body = try parser.readBody(until: [])
    return body
  }

  private init(tokens: [TemplateToken], limits: TemplateLimits) {
    self.tokens = tokens
    self.limits = limits
  }

  /// The next word.
  var current: TemplateToken { tokens[min(index, tokens.count - 1)] }

  /// Whether the next word is this punctuation.
  func at(_ symbol: String) -> Bool { current.kind == .symbol(symbol) }

  /// Whether the next word is this name.
  func at(name: String) -> Bool { current.kind == .name(name) }

  /// Skips the punctuation if it is next.
  mutating func skip(_ symbol: String) -> Bool {
    guard at(symbol) else { return false }
    index += 1
    return true
  }

  /// Skips the name if it is next.
  mutating func skip(name: String) -> Bool {
    guard at(name: name) else { return false }
    index += 1
    return true
  }

  /// Skips the punctuation, which has to be next.
  mutating func expect(_ symbol: String) throws(TemplateError) {
    guard skip(symbol) else { throw unexpected("'\(symbol)'") }
  }

  /// Takes the name that has to be next.
  mutating func expectName() throws(TemplateError) -> String {
    guard case .name(let name) = current.kind else { throw unexpected("a name") }
    index += 1
    return name
  }

  /// The error for a next word that is not what should stand there.
  func unexpected(_ wanted: String) -> TemplateError {
    let found =
      switch current.kind {
      case .text: "text"
      case .outputBegin: "'{{'"
      case .outputEnd: "'}}'"
      case .blockBegin: "'{%'"
      case .blockEnd: "'%}'"
      case .name(let name): "'\(name)'"
      case .string: "a string"
      case .integer, .number: "a number"
      case .symbol(let symbol): "'\(symbol)'"
      case .end: "the end of the template"
      }
    return .syntax(at: current.place, problem: "\(found) stands where \(wanted) is expected")
  }

  /// Goes one level deeper; every caller comes back up with `depth -= 1`.
  mutating func descend() throws(TemplateError) {
    depth += 1
    guard depth <= limits.parserDepth else {
      throw .limitReached(at: current.place, limit: "levels of nesting", allowed: limits.parserDepth)
    }
  }

  private mutating func endBlock() throws(TemplateError) {
    guard current.kind == .blockEnd else { throw unexpected("'%}'") }
    index += 1
  }

  /// Reads up to the block word in `ends`, which stays the next word; to the template's end when there is none.
  private mutating func readBody(until ends: [String]) throws(TemplateError) -> [TemplateStatement] {
    try descend()
    defer { depth -= 1 }
    var body: [TemplateStatement] = []
    while true {
      let place = current.place
      switch current.kind {
      case .text(let text):
        index += 1
        body.append(TemplateStatement(kind: .text(text), place: place))
      case .outputBegin:
        index += 1
        let value = try readTuple()
        guard current.kind == .outputEnd else { throw unexpected("'}}'") }
        index += 1
        body.append(TemplateStatement(kind: .output(value), place: place))
      case .blockBegin:
        index += 1
        let word = try expectName()
        if ends.contains(word) {
          index -= 1
          return body
        }
        body.append(TemplateStatement(kind: try readStatement(word, at: place), place: place))
      case .end where ends.isEmpty:
        return body
      default:
        throw unexpected(ends.map { "'{% \($0) %}'" }.joined(separator: " or "))
      }
    }
  }

  /// Reads a body whose opening tag has been read up to its `%}`, and its closing tag.
  private mutating func readBlock(_ end: String) throws(TemplateError) -> [TemplateStatement] {
    try endBlock()
    let body = try readBody(until: [end])
    index += 1
    if end == "endmacro" || end == "endcall", case .name = current.kind { index += 1 }
    try endBlock()
    return body
  }

  private mutating func readStatement(
    _ word: String, at place: TemplatePlace
  ) throws(TemplateError) -> TemplateStatement.Kind {
    switch word {
    case "for": return .loop(try readLoop())
    case "if": return try readConditional()
    case "set": return try readAssignment()
    case "macro": return .macro(try readMacro(named: try expectName()))
    case "call": return try readCall()
    case "with": return try readWith()
    case "generation":
      macroReads.append([])
      let outer = loops
      loops = 0
      let body = try readBlock("endgeneration")
      loops = outer
      closeReads()
      return .scoped(body)
    case "filter":
      let filtered = try readFilters(of: TemplateExpression(kind: .captured, place: place), isInline: true)
      return .filterBlock(try readBlock("endfilter"), filtered: filtered)
    case "print":
      var values = [try readExpression()]
      while skip(",") { values.append(try readExpression()) }
      try endBlock()
      let place = values[0].place
      return .output(
        values.count == 1 ? values[0] : TemplateExpression(kind: .concatenation(values), place: place))
    case "break", "continue":
      guard loops > 0 else { throw .syntax(at: place, problem: "'\(word)' stands outside a loop") }
      try endBlock()
      return word == "break" ? .leave : .skip
    case "include", "import", "from", "extends", "block", "autoescape":
      throw .unsupported(at: place, construct: "'{% \(word) %}'")
    default:
      throw .syntax(at: place, problem: "there is no block '\(word)' that could start here")
    }
  }

  private mutating func closeReads() {
    guard let inner = macroReads.popLast() else { return }
    if let last = macroReads.indices.last { macroReads[last].formUnion(inner) }
  }

  private mutating func readLoop() throws(TemplateError) -> TemplateLoop {
    let target = try readTarget(endsAtIn: true)
    guard skip(name: "in") else { throw unexpected("'in'") }
    let iterable = try readTuple(conditional: false)
    let condition = skip(name: "if") ? try readExpression() : nil
    let isRecursive = skip(name: "recursive")
    try endBlock()
    loops += 1
    let body = try readBody(until: ["endfor", "else"])
    loops -= 1
    var otherwise: [TemplateStatement] = []
    if skip(name: "else") {
      try endBlock()
      otherwise = try readBody(until: ["endfor"])
    }
    index += 1
    try endBlock()
    return TemplateLoop(
      target: target, iterable: iterable, condition: condition, isRecursive: isRecursive, body: body,
      otherwise: otherwise)
  }

  private mutating func readConditional() throws(TemplateError) -> TemplateStatement.Kind {
    var branches: [(condition: TemplateExpression, body: [TemplateStatement])] = []
    repeat {
      let condition = try readTuple(conditional: false)
      try endBlock()
      branches.append((condition, try readBody(until: ["elif", "else", "endif"])))
    } while skip(name: "elif")
    var otherwise: [TemplateStatement] = []
    if skip(name: "else") {
      try endBlock()
      otherwise = try readBody(until: ["endif"])
    }
    guard skip(name: "endif") else { throw unexpected("'endif'") }
    try endBlock()
    return .conditional(branches, otherwise: otherwise)
  }

  private mutating func readAssignment() throws(TemplateError) -> TemplateStatement.Kind {
    let place = current.place
    let target = try readTarget(endsAtIn: false)
    if skip("=") {
      let value = try readTuple()
      try endBlock()
      return .assign(target, value)
    }
    let captured = TemplateExpression(kind: .captured, place: place)
    let filtered = try readFilters(of: captured, isInline: false)
    return .assignBlock(target, try readBlock("endset"), filtered: filtered)
  }

  private mutating func readMacro(named name: String) throws(TemplateError) -> TemplateMacro {
    macroReads.append([])
    let parameters = try readParameters()
    return try readMacroBody(name, parameters, end: "endmacro")
  }

  private mutating func readMacroBody(
    _ name: String, _ parameters: [(name: String, fallback: TemplateExpression?)], end: String
  ) throws(TemplateError) -> TemplateMacro {
    let outer = loops
    loops = 0
    let body = try readBlock(end)
    loops = outer
    let reads = macroReads.last ?? []
    closeReads()
    return TemplateMacro(name: name, parameters: parameters, body: body, reads: reads)
  }

  private mutating func readParameters() throws(TemplateError) -> [(
    name: String, fallback: TemplateExpression?
  )] {
    var parameters: [(name: String, fallback: TemplateExpression?)] = []
    try expect("(")
    while !at(")") {
      if !parameters.isEmpty { try expect(",") }
      let place = current.place
      let name = try expectName()
      if skip("=") {
        parameters.append((name, try readExpression()))
      } else if parameters.last?.fallback != nil {
        throw .syntax(at: place, problem: "parameter '\(name)' without default follows one with default")
      } else {
        parameters.append((name, nil))
      }
    }
    try expect(")")
    return parameters
  }

  private mutating func readCall() throws(TemplateError) -> TemplateStatement.Kind {
    macroReads.append([])
    let parameters = at("(") ? try readParameters() : []
    let call = try readExpression()
    guard case .call = call.kind else { throw .syntax(at: call.place, problem: "a call block needs a call") }
    return .call(call, try readMacroBody("caller", parameters, end: "endcall"))
  }

  private mutating func readWith() throws(TemplateError) -> TemplateStatement.Kind {
    var values: [(target: TemplateTarget, value: TemplateExpression)] = []
    while current.kind != .blockEnd {
      if !values.isEmpty { try expect(",") }
      let target = try readSingleTarget(allowsAttribute: false)
      try expect("=")
      values.append((target, try readExpression()))
    }
    return .with(values, try readBlock("endwith"))
  }

  private mutating func readTarget(endsAtIn: Bool) throws(TemplateError) -> TemplateTarget {
    let first = try readSingleTarget(allowsAttribute: !endsAtIn)
    guard at(",") else { return first }
    var all = [first]
    while skip(",") {
      if at(name: "in") && endsAtIn || at("=") || current.kind == .blockEnd { break }
      all.append(try readSingleTarget(allowsAttribute: !endsAtIn))
    }
    return .tuple(all)
  }

  private mutating func readSingleTarget(allowsAttribute: Bool) throws(TemplateError) -> TemplateTarget {
    if skip("(") {
      try descend()
      defer { depth -= 1 }
      let inner = try readTarget(endsAtIn: !allowsAttribute)
      try expect(")")
      return inner
    }
    let place = current.place
    let name = try expectName()
    guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
      throw .syntax(at: place, problem: "'\(name)' cannot be assigned to")
    }
    if allowsAttribute, skip(".") {
      macroReads.indices.last.map { _ = macroReads[$0].insert(name) }
      return .attribute(of: name, try expectName())
    }
    return .name(name)
  }
}
