extension TemplateParser {
  private func node(_ kind: TemplateExpression.Kind, _ place: TemplatePlace) -> TemplateExpression {
    TemplateExpression(kind: kind, place: place)
  }

  private var atTupleEnd: Bool {
    switch current.kind {
    case .outputEnd, .blockEnd, .symbol(")"), .name("recursive"): true
    default: false
    }
  }

  /// An expression, or several with commas; empty only within `(` and `)`.
  mutating func readTuple(
    conditional: Bool = true, isParenthesised: Bool = false
  ) throws(TemplateError) -> TemplateExpression {
    let place = current.place
    var items: [TemplateExpression] = []
    var isTuple = false
    while true {
      if !items.isEmpty { try expect(",") }
      if atTupleEnd { break }
      items.append(try readExpression(conditional: conditional))
      guard at(",") else { break }
      isTuple = true
    }
    if !isTuple {
      if let only = items.first { return only }
      guard isParenthesised else { throw unexpected("an expression") }
    }
    return node(.tuple(items), place)
  }

  /// An expression; `conditional` admits `a if b else c`.
  mutating func readExpression(conditional: Bool = true) throws(TemplateError) -> TemplateExpression {
    try descend()
    defer { depth -= 1 }
    let place = current.place
    let first = try readOr()
    guard conditional, skip(name: "if") else { return first }
    let condition = try readOr()
    // A chain of `a if b else c if d else e` nests to the right, so the depth bound covers it.
    let otherwise = skip(name: "else") ? try readExpression() : nil
    guard at(name: "if") else {
      return node(.conditional(condition, then: first, otherwise: otherwise), place)
    }
    throw unexpected("the end of the expression")
  }

  private mutating func readOr() throws(TemplateError) -> TemplateExpression {
    let place = current.place
    var terms = [try readAnd()]
    while skip(name: "or") { terms.append(try readAnd()) }
    return terms.count == 1 ? terms[0] : node(.any(terms), place)
  }

  private mutating func readAnd() throws(TemplateError) -> TemplateExpression {
    let place = current.place
    var terms = [try readNot()]
    while skip(name: "and") { terms.append(try readNot()) }
    return terms.count == 1 ? terms[0] : node(.all(terms), place)
  }

  private mutating func readNot() throws(TemplateError) -> TemplateExpression {
    let place = current.place
    guard skip(name: "not") else { return try readComparison() }
    try descend()
    defer { depth -= 1 }
    return node(.not(try readNot()), place)
  }

  private mutating func comparison() -> String? {
    for symbol in ["==", "!=", "<", "<=", ">", ">="] where skip(symbol) { return symbol }
    if skip(name: "in") { return "in" }
    if at(name: "not"), index + 1 < tokens.count, tokens[index + 1].kind == .name("in") {
      index += 2
      return "not in"
    }
    return nil
  }

  private mutating func readComparison() throws(TemplateError) -> TemplateExpression {
    let place = current.place
    let first = try readSum()
    var rest: [(operation: String, operand: TemplateExpression)] = []
    while let operation = comparison() { rest.append((operation, try readSum())) }
    return rest.isEmpty ? first : node(.comparison(first, rest), place)
  }

  private mutating func oneOf(_ symbols: [String]) -> String? {
    for symbol in symbols where skip(symbol) { return symbol }
    return nil
  }

  private mutating func readSum() throws(TemplateError) -> TemplateExpression {
    let place = current.place
    let first = try readConcatenation()
    var rest: [(operation: String, operand: TemplateExpression)] = []
    while let operation = oneOf(["+", "-"]) { rest.append((operation, try readConcatenation())) }
    return rest.isEmpty ? first : node(.arithmetic(first, rest), place)
  }

  private mutating func readConcatenation() throws(TemplateError) -> TemplateExpression {
    let place = current.place
    var terms = [try readProduct()]
    while skip("~") { terms.append(try readProduct()) }
    return terms.count == 1 ? terms[0] : node(.concatenation(terms), place)
  }

  private mutating func readProduct() throws(TemplateError) -> TemplateExpression {
    let place = current.place
    let first = try readPower()
    var rest: [(operation: String, operand: TemplateExpression)] = []
    while let operation = oneOf(["*", "/", "//", "%"]) { rest.append((operation, try readPower())) }
    return rest.isEmpty ? first : node(.arithmetic(first, rest), place)
  }

  private mutating func readPower() throws(TemplateError) -> TemplateExpression {
    let place = current.place
    let first = try readUnary()
    var rest: [(operation: String, operand: TemplateExpression)] = []
    while skip("**") { rest.append(("**", try readUnary())) }
    return rest.isEmpty ? first : node(.arithmetic(first, rest), place)
  }

  private mutating func readUnary(filtered: Bool = true) throws(TemplateError) -> TemplateExpression {
    try descend()
    defer { depth -= 1 }
    let place = current.place
    let value: TemplateExpression
    if skip("-") {
      value = node(.negative(try readUnary(filtered: false)), place)
    } else if skip("+") {
      value = node(.positive(try readUnary(filtered: false)), place)
    } else {
      value = try readPrimary()
    }
    return try readSuffixes(of: try readPostfix(of: value), filtered: filtered)
  }

  private mutating func readPrimary() throws(TemplateError) -> TemplateExpression {
    let place = current.place
    switch current.kind {
    case .name(let name):
      index += 1
      switch name {
      case "true", "True": return node(.literal(.boolean(true)), place)
      case "false", "False": return node(.literal(.boolean(false)), place)
      case "none", "None": return node(.literal(.null), place)
      default:
        if let last = macroReads.indices.last { macroReads[last].insert(name) }
        return node(.name(name), place)
      }
    case .string:
      var text = ""
      while case .string(let part) = current.kind {
        text += part
        index += 1
      }
      return node(.literal(.string(text)), place)
    case .integer(let value):
      index += 1
      return node(.literal(.integer(value)), place)
    case .number(let value):
      index += 1
      return node(.literal(.number(value)), place)
    case .symbol("("):
      index += 1
      let inner = try readTuple(isParenthesised: true)
      try expect(")")
      return inner
    case .symbol("["): return node(.list(try readList()), place)
    case .symbol("{"): return node(.dictionary(try readDictionary()), place)
    default: throw unexpected("an expression")
    }
  }

  private mutating func readList() throws(TemplateError) -> [TemplateExpression] {
    try expect("[")
    var items: [TemplateExpression] = []
    while !at("]") {
      if !items.isEmpty { try expect(",") }
      if at("]") { break }
      items.append(try readExpression())
    }
    try expect("]")
    return items
  }

  private mutating func readDictionary()
    throws(TemplateError) -> [(key: TemplateExpression, value: TemplateExpression)]
  {
    try expect("{")
    var members: [(key: TemplateExpression, value: TemplateExpression)] = []
    while !at("}") {
      if !members.isEmpty { try expect(",") }
      if at("}") { break }
      let key = try readExpression()
      try expect(":")
      members.append((key, try readExpression()))
    }
    try expect("}")
    return members
  }

  /// Suffixes nest to the left, where reading does not recurse but evaluating will: they count as depth too.
  private func bounded(_ count: Int) throws(TemplateError) {
    guard depth + count <= limits.parserDepth else {
      throw .limitReached(at: current.place, limit: "levels of nesting", allowed: limits.parserDepth)
    }
  }

  private mutating func readPostfix(of start: TemplateExpression) throws(TemplateError) -> TemplateExpression
  {
    var value = start
    var count = 0
    while true {
      let place = current.place
      if skip(".") {
        if case .integer(let number) = current.kind {
          index += 1
          value = node(.subscripted(value, node(.literal(.integer(number)), place)), place)
        } else {
          value = node(.attribute(value, try expectName()), place)
        }
      } else if skip("[") {
        value = node(.subscripted(value, try readSubscript()), place)
      } else if at("(") {
        value = node(.call(value, try readArguments()), place)
      } else {
        return value
      }
      count += 1
      try bounded(count)
    }
  }

  private mutating func readSubscript() throws(TemplateError) -> TemplateExpression {
    let place = current.place
    var items: [TemplateExpression] = []
    while !at("]") {
      if !items.isEmpty { try expect(",") }
      items.append(try readSubscribed())
    }
    try expect("]")
    guard let first = items.first else { throw .syntax(at: place, problem: "these brackets hold no index") }
    return items.count == 1 ? first : node(.tuple(items), place)
  }

  private mutating func readSubscribed() throws(TemplateError) -> TemplateExpression {
    let place = current.place
    var parts: [TemplateExpression?] = [nil, nil, nil]
    if !at(":") {
      let value = try readExpression()
      guard at(":") else { return value }
      parts[0] = value
    }
    for part in 1...2 where skip(":") {
      if !at(":"), !at("]"), !at(",") { parts[part] = try readExpression() }
    }
    return node(.slice(from: parts[0], to: parts[1], step: parts[2]), place)
  }

  private mutating func readSuffixes(
    of start: TemplateExpression, filtered: Bool
  ) throws(TemplateError) -> TemplateExpression {
    guard filtered else { return start }
    var value = start
    var count = 0
    while true {
      if at("|") {
        value = try readFilters(of: value, isInline: false, limit: 1)
      } else if at(name: "is") {
        value = try readTest(of: value)
      } else if at("(") {
        value = node(.call(value, try readArguments()), current.place)
      } else {
        return value
      }
      count += 1
      try bounded(count)
    }
  }

  /// Filters after `value`; `isInline` when the first has no `|` before it.
  mutating func readFilters(
    of start: TemplateExpression, isInline: Bool, limit: Int = .max
  ) throws(TemplateError) -> TemplateExpression {
    var value = start
    var count = 0
    while count < limit, isInline && count == 0 || skip("|") {
      let place = current.place
      let name = try readDotted()
      guard TemplateFilters.names.contains(name) else {
        throw .syntax(at: place, problem: "there is no filter '\(name)'")
      }
      let arguments = at("(") ? try readArguments() : TemplateArguments()
      value = node(.filter(value, name: name, arguments), place)
      count += 1
      try bounded(count)
    }
    return value
  }

  private mutating func readDotted() throws(TemplateError) -> String {
    var name = try expectName()
    while skip(".") { name += "." + (try expectName()) }
    return name
  }

  private mutating func readTest(of value: TemplateExpression) throws(TemplateError) -> TemplateExpression {
    let place = current.place
    index += 1
    let isNegated = skip(name: "not")
    let name = try readDotted()
    guard TemplateTests.names.contains(name) else {
      throw .syntax(at: place, problem: "there is no test '\(name)'")
    }
    var arguments = TemplateArguments()
    if at("(") {
      arguments = try readArguments()
    } else if startsOperand {
      guard !at(name: "is") else {
        throw .syntax(at: current.place, problem: "tests cannot follow each other")
      }
      arguments.positional = [(try readPostfix(of: try readPrimary()), false)]
    }
    let test = node(.test(value, name: name, arguments), place)
    return isNegated ? node(.not(test), place) : test
  }

  private var startsOperand: Bool {
    switch current.kind {
    case .name(let name): !["else", "or", "and"].contains(name)
    case .string, .integer, .number, .symbol("("), .symbol("["), .symbol("{"): true
    default: false
    }
  }

  private mutating func readArguments() throws(TemplateError) -> TemplateArguments {
    var arguments = TemplateArguments()
    try expect("(")
    var needsComma = false
    while !at(")") {
      if needsComma { try expect(",") }
      if at(")") { break }
      needsComma = true
      let place = current.place
      if skip("**") {
        arguments.named.append((nil, try readExpression()))
      } else if case .name(let name) = current.kind, index + 1 < tokens.count,
        tokens[index + 1].kind == .symbol("=")
      {
        index += 2
        arguments.named.append((name, try readExpression()))
      } else if arguments.named.isEmpty {
        let spread = skip("*")
        arguments.positional.append((try readExpression(), spread))
      } else {
        throw .syntax(at: place, problem: "an argument without name follows one with a name")
      }
    }
    try expect(")")
    return arguments
  }
}
