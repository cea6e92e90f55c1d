/// Names of the filters there are.
enum TemplateFilters {
  /// Checked while parsing, as jinja2 does.
  static let names: Set<String> = [
    "abs", "attr", "batch", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first",
    "float", "forceescape",
    "format", "groupby", "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max",
    "min",
    "reject", "rejectattr", "replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort",
    "string",
    "sum", "title", "tojson", "trim", "truncate", "unique", "upper", "wordcount",
  ]
}

extension TemplateInterpreter {
  /// Applies a filter.
  func apply(
    filter name: String, to value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws(TemplateError) -> RuntimeValue {
    switch name {
    case "upper", "lower", "capitalize", "title", "trim", "escape", "e", "forceescape", "safe", "string",
      "wordcount", "replace",
      "indent", "truncate", "format":
      return try applyToText(name, value, arguments)
    case "map", "select", "reject", "selectattr", "rejectattr": return try applyToEach(name, value, arguments)
    case "sort", "unique", "min", "max", "sum", "dictsort", "groupby", "batch", "slice", "reverse", "join":
      return try applyToItems(name, value, arguments)
    case "default", "d":
      let values = try bind(arguments, "default_value", "boolean", to: name)
      let isMissing = if case .undefined = value { true } else { values[1]?.isTrue ?? false && !value.isTrue }
      return isMissing ? values[0] ?? .string("") : value
    case "length", "count":
      _ = try bind(arguments, to: name)
      return .integer(try length(of: value))
    case "first", "last":
      if name == "first", case .generator(let generator) = value {
        return generator.takeFirst() ?? .undefined("the first item")
      }
      if name == "last", case .generator = value { throw invalid("'last' does not apply to a generator") }
      let items = try items(of: value)
      return (name == "first" ? items.first : items.last) ?? .undefined("the \(name) item of nothing")
    case "list": return .list(try items(of: value))
    case "items":
      if case .undefined = value { return .generator([]) }
      guard case .dictionary(let dictionary) = value else {
        throw invalid("'items' needs a dictionary, not \(value.typeName)")
      }
      return .generator(dictionary.entries.map { .tuple([$0.key, $0.value]) })
    case "attr":
      guard case .string(let member)? = try bind(arguments, "name", to: name)[0] else {
        throw invalid("'attr' needs a name")
      }
      return try self.member(member, of: value) ?? .undefined("'\(member)'")
    case "tojson": return .string(try json(value, arguments))
    default: return try applyToNumber(name, value, arguments)
    }
  }

  /// `len(value)`.
  func length(of value: RuntimeValue) throws(TemplateError) -> Int {
    switch value {
    case .undefined: return 0
    case .string(let text):
      try charge(bytes: text.utf8.count)
      return text.unicodeScalars.count
    case .list(let list), .tuple(let list), .view(_, let list): return list.items.count
    case .dictionary(let dictionary): return dictionary.entries.count
    case .range(let range): return range.count
    case .loop(let loop): return loop.items.count
    default: throw invalid("a value of type \(value.typeName) has no length")
    }
  }

  private func json(_ value: RuntimeValue, _ arguments: RuntimeArguments) throws(TemplateError) -> String {
    let values = try bind(arguments, "ensure_ascii", "indent", "separators", "sort_keys", to: "tojson")
    guard !(values[0]?.isTrue ?? false) else {
      throw invalid("'tojson' writes no ASCII escapes here: ensure_ascii must be false")
    }
    var indent: String?
    if let width = values[1]?.wholeNumber {
      try charge(bytes: max(0, width))
      indent = String(repeating: " ", count: max(0, width))
    }
    if case .string(let text)? = values[1] { indent = text }
    var separators = (item: indent == nil ? ", " : ",", key: ": ")
    if let given = values[2], !given.isNone {
      let pair = try items(of: given)
      guard pair.count == 2 else { throw invalid("'tojson' needs 2 separators, not \(pair.count)") }
      separators = (try text(of: pair[0]), try text(of: pair[1]))
    }
    return try json(value, indent: indent, separators: separators, sorted: values[3]?.isTrue ?? false)
  }

  private func applyToNumber(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws(TemplateError) -> RuntimeValue {
    switch name {
    case "int":
      let values = try bind(arguments, "default", "base", to: name)
      let fallback = values[0] ?? .integer(0)
      if case .string(let text) = value {
        let base = values[1]?.wholeNumber ?? 10
        let trimmed = PythonText.stripped(text, nil, left: true, right: true)
        if (2...36).contains(base), let number = Int(trimmed, radix: base) { return .integer(number) }
        guard let number = Double(trimmed), number.isFinite,
          let whole = Int(exactly: number.rounded(.towardZero))
        else { return fallback }
        return .integer(whole)
      }
      if case .undefined = value { throw try wrongOperand(value, name) }
      guard let number = value.real else { return fallback }
      if let whole = value.wholeNumber { return .integer(whole) }
      return Int(exactly: number.rounded(.towardZero)).map { .integer($0) } ?? fallback
    case "float":
      let fallback = try bind(arguments, "default", to: name)[0] ?? .number(0)
      if case .undefined = value { throw try wrongOperand(value, name) }
      if case .string(let text) = value {
        return Double(PythonText.stripped(text, nil, left: true, right: true)).map { .number($0) } ?? fallback
      }
      return value.real.map { .number($0) } ?? fallback
    case "abs":
      if let number = value.wholeNumber {
        guard number != .min else { throw overflowed }
        return .integer(abs(number))
      }
      guard let number = value.real else { throw try wrongOperand(value, name) }
      return .number(abs(number))
    default:
      let values = try bind(arguments, "precision", "method", to: name)
      guard let number = value.real else { throw try wrongOperand(value, name) }
      let method = try values[1].map { (value) throws(TemplateError) in try text(of: value) } ?? "common"
      let digits = values[0]?.wholeNumber ?? 0
      guard (0...15).contains(digits) else { throw invalid("'round' keeps 0 to 15 decimals, not \(digits)") }
      let rules: [String: FloatingPointRoundingRule] = [
        "common": .toNearestOrEven, "ceil": .up, "floor": .down,
      ]
      guard let rule = rules[method] else {
        throw invalid("'round' knows common, ceil and floor, not \(method)")
      }
      if let whole = value.wholeNumber, method == "common" { return .integer(whole) }
      var power = 1.0
      for _ in 0..<digits { power *= 10 }
      let scaled = number * power
      return .number(scaled.isFinite ? scaled.rounded(rule) / power : number)
    }
  }

  private func applyToText(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws(TemplateError) -> RuntimeValue {
    let isText = if case .string = value { true } else { false }
    if name == "indent", !isText { throw try wrongOperand(value, name) }
    if name == "truncate", !isText,
      try length(of: value) - 5 <= arguments.positional.first?.wholeNumber ?? 255
    {
      return value
    }
    let text = try text(of: value)
    try charge(bytes: text.utf8.count)
    switch name {
    case "upper": return .string(text.uppercased())
    case "lower": return .string(text.lowercased())
    case "capitalize": return .string(PythonText.capitalized(text))
    case "title": return .string(titled(text))
    case "safe", "string": return .string(text)
    case "trim":
      let set = try bind(arguments, "chars", to: name)[0]
      let drop: String? = if case .string(let chars)? = set { chars } else { nil }
      return .string(PythonText.stripped(text, drop, left: true, right: true))
    case "escape", "e", "forceescape":
      var out = ""
      for scalar in text.unicodeScalars {
        switch scalar {
        case "&": out += "&amp;"
        case "<": out += "&lt;"
        case ">": out += "&gt;"
        case "\"": out += "&#34;"
        case "'": out += "&#39;"
        default: out.unicodeScalars.append(scalar)
        }
      }
      return .string(out)
    case "wordcount":
      var count = 0
      var inWord = false
      for scalar in text.unicodeScalars {
        let isWord = scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType != nil
        if isWord, !inWord { count += 1 }
        inWord = isWord
      }
      return .integer(count)
    case "replace":
      let values = try bind(arguments, "old", "new", "count", to: name)
      guard let old = values[0], let new = values[1] else {
        throw invalid("'replace' needs the old and the new text")
      }
      return .string(
        try replaced(text, try self.text(of: old), try self.text(of: new), values[2]?.wholeNumber ?? -1))
    case "format":
      guard arguments.named.isEmpty else {
        var members = RuntimeDictionary()
        for (key, value) in arguments.named { try set(.string(key), value, in: &members) }
        return .string(try formatted(text, .dictionary(members)))
      }
      return .string(try formatted(text, .tuple(arguments.positional)))
    case "truncate":
      let values = try bind(arguments, "length", "killwords", "end", "leeway", to: name)
      let (length, leeway) = (values[0]?.wholeNumber ?? 255, values[3]?.wholeNumber ?? 5)
      let end = try values[2].map { (value) throws(TemplateError) in try self.text(of: value) } ?? "..."
      let scalars = Array(text.unicodeScalars)
      guard length >= 0, leeway >= 0 else { throw invalid("'truncate' takes no length or leeway below 0") }
      if scalars.count - leeway <= length { return .string(text) }
      let kept = length - end.unicodeScalars.count
      guard kept >= 0 else { throw invalid("'truncate' keeps \(length) characters, too few for '\(end)'") }
      let short = PythonText.text(scalars[..<kept])
      if values[1]?.isTrue ?? false { return .string(short + end) }
      let cut = PythonText.split(short, by: " ", limit: 1, fromRight: true)
      return .string(cut[0] + end)
    default: return .string(try indented(text, arguments))
    }
  }

  private func titled(_ text: String) -> String {
    var out = ""
    var startsWord = true
    for scalar in text.unicodeScalars {
      let isBreak = scalar.isPythonSpace || "-({[<".unicodeScalars.contains(scalar)
      out += startsWord && !isBreak ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
      startsWord = isBreak
    }
    return out
  }

  private func indented(_ text: String, _ arguments: RuntimeArguments) throws(TemplateError) -> String {
    let values = try bind(arguments, "width", "first", "blank", to: "indent")
    var margin = ""
    if case .string(let given)? = values[0] {
      margin = given
    } else {
      let width = values[0]?.wholeNumber ?? 4
      try charge(bytes: max(0, width))
      margin = String(repeating: " ", count: max(0, width))
    }
    let lines = PythonText.lines(text + "\n", keepsEnds: false)
    let (added, overflow) = margin.utf8.count.multipliedReportingOverflow(by: lines.count)
    try charge(bytes: overflow ? .max : added)
    let indentsBlank = values[2]?.isTrue ?? false
    var out = values[1]?.isTrue ?? false ? margin : ""
    for (index, line) in lines.enumerated() {
      if index > 0 { out += "\n" + (line.isEmpty && !indentsBlank ? "" : margin) }
      out += line
    }
    return out
  }

  /// `item.a.b`, with numbers as indices.
  func path(_ attribute: RuntimeValue, in value: RuntimeValue) throws(TemplateError) -> RuntimeValue {
    guard case .string(let text) = attribute else { return try item(attribute, of: value) }
    var found = value
    for part in PythonText.split(text, by: ".", limit: .max, fromRight: false) {
      found = try item(Int(part).map { .integer($0) } ?? .string(part), of: found)
    }
    return found
  }

  private func applyToEach(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws(TemplateError) -> RuntimeValue {
    var rest = arguments
    // jinja2 looks at the items only of what is true.
    let items = value.isTrue ? try items(of: value) : []
    try charge(items.count)
    var attribute: RuntimeValue?
    if name == "map", rest.positional.isEmpty {
      guard let given = rest.named.first(where: { $0.name == "attribute" }) else {
        throw invalid("'map' needs a filter or attribute")
      }
      let fallback = rest.named.first { $0.name == "default" }?.value
      var results: [RuntimeValue] = []
      for item in items {
        let found = try path(given.value, in: item)
        if case .undefined = found { results.append(fallback ?? found) } else { results.append(found) }
      }
      return .generator(results)
    }
    if name.hasSuffix("attr") {
      guard !rest.positional.isEmpty else { throw invalid("'\(name)' needs an attribute") }
      attribute = rest.positional.removeFirst()
    }
    var tool: String?
    if !rest.positional.isEmpty { tool = try text(of: rest.positional.removeFirst()) }
    if name == "map" {
      guard let tool, TemplateFilters.names.contains(tool) else {
        throw invalid("there is no filter '\(tool ?? "")'")
      }
      var results: [RuntimeValue] = []
      for item in items { results.append(try apply(filter: tool, to: item, rest)) }
      return .generator(results)
    }
    if let tool, !TemplateTests.names.contains(tool) { throw invalid("there is no test '\(tool)'") }
    let wanted = name.hasPrefix("select")
    var kept: [RuntimeValue] = []
    for item in items {
      let subject =
        try attribute.map { (attribute) throws(TemplateError) in try path(attribute, in: item) } ?? item
      let holds =
        try tool.map { (tool) throws(TemplateError) in try apply(test: tool, to: subject, rest) }
        ?? subject.isTrue
      if holds == wanted { kept.append(item) }
    }
    return .generator(kept)
  }
}
