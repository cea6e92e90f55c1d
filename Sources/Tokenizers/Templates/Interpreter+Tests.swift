/// Names of the tests there are.
enum TemplateTests {
  /// Checked while parsing, as jinja2 does.
  static let names: Set<String> = [
    "boolean", "callable", "defined", "divisibleby", "eq", "equalto", "escaped", "even", "false", "filter",
    "float", "ge",
    "greaterthan", "gt", "in", "integer", "iterable", "le", "lessthan", "lower", "lt", "mapping", "ne",
    "none",
    "number", "odd", "sameas", "sequence", "string", "test", "true", "undefined", "upper", "==", "!=", "<",
    "<=",
    ">", ">=",
  ]
}

extension TemplateInterpreter {
  /// Applies a test.
  func apply(
    test name: String, to value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws(TemplateError) -> Bool {
    switch name {
    case "eq", "equalto", "ne", "lt", "lessthan", "le", "gt", "greaterthan", "ge", "in", "sameas",
      "divisibleby",
      "==", "!=", "<", "<=", ">", ">=":
      guard let other = try bind(arguments, "other", to: name)[0] else {
        throw invalid("the test '\(name)' needs a value")
      }
      return try compare(name, value, other)
    default:
      _ = try bind(arguments, to: name)
      return try holds(name, value)
    }
  }

  private func compare(_ name: String, _ a: RuntimeValue, _ b: RuntimeValue) throws(TemplateError) -> Bool {
    try charge(for: a)
    try charge(for: b)
    switch name {
    case "eq", "equalto", "==": return a.isEqual(to: b)
    case "ne", "!=": return !a.isEqual(to: b)
    case "lt", "lessthan", "<": return try precedes(a, b, "<")
    case "gt", "greaterthan", ">": return try precedes(b, a, ">")
    case "le", "<=": return try precedes(a, b, "<=") || a.isEqual(to: b)
    case "ge", ">=": return try precedes(b, a, ">=") || a.isEqual(to: b)
    case "in": return try contains(b, a)
    case "divisibleby":
      guard case .integer(let rest) = try arithmetic(a, "%", b) else {
        return try arithmetic(a, "%", b).real == 0
      }
      return rest == 0
    default:
      // Identity is only seen where Python keeps one object: constants of the same type.
      return a.typeName == b.typeName && a.isEqual(to: b)
    }
  }

  private func holds(_ name: String, _ value: RuntimeValue) throws(TemplateError) -> Bool {
    switch (name, value) {
    case ("defined", .undefined): return false
    case ("defined", _): return true
    case ("undefined", .undefined): return true
    case ("none", .none): return true
    case ("string", .string): return true
    case ("mapping", .dictionary): return true
    case ("boolean", .boolean): return true
    case ("true", .boolean(let flag)): return flag
    case ("false", .boolean(let flag)): return !flag
    case ("integer", .integer): return true
    case ("float", .number): return true
    case ("number", _): return value.real != nil
    case ("callable", .method), ("callable", .function), ("callable", .macro), ("callable", .undefined),
      ("callable", .loop):
      return true
    case ("callable", .cycler(let cycler)): return cycler.isJoiner
    case ("iterable", .none), ("iterable", .boolean), ("iterable", .integer), ("iterable", .number),
      ("iterable", .method), ("iterable", .function), ("iterable", .macro), ("iterable", .namespace),
      ("iterable", .cycler):
      return false
    case ("iterable", _): return true
    case ("sequence", .string), ("sequence", .list), ("sequence", .tuple), ("sequence", .dictionary),
      ("sequence", .range),
      ("sequence", .undefined):
      return true
    case ("odd", _), ("even", _):
      guard case .integer(let rest) = try arithmetic(value, "%", .integer(2)) else {
        return try arithmetic(value, "%", .integer(2)).real == (name == "odd" ? 1 : 0)
      }
      return rest == (name == "odd" ? 1 : 0)
    case ("upper", _), ("lower", _):
      let scalars = try text(of: value).unicodeScalars
      let (hasUpper, hasLower) = (
        scalars.contains { $0.properties.isUppercase }, scalars.contains { $0.properties.isLowercase }
      )
      return name == "upper" ? hasUpper && !hasLower : hasLower && !hasUpper
    case ("filter", .string(let text)): return TemplateFilters.names.contains(text)
    case ("test", .string(let text)): return TemplateTests.names.contains(text)
    default: return false
    }
  }
}
