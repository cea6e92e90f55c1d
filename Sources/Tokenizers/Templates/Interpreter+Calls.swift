extension TemplateInterpreter {
  private static let methods: [String: Set<String>] = [
    "str": [
      "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith", "replace",
      "upper",
      "lower", "title", "capitalize", "find", "rfind", "index", "count", "join", "format", "isdigit",
      "isalpha",
      "isalnum", "isspace", "isupper", "islower", "removeprefix", "removesuffix", "zfill", "partition",
      "rpartition", "center", "ljust", "rjust", "swapcase", "casefold", "isnumeric", "isdecimal",
    ],
    "list": ["index", "count"], "tuple": ["index", "count"], "range": ["index", "count"],
    "dict": ["items", "keys", "values", "get", "copy"],
  ]
  private static let changing: [String: Set<String>] = [
    "list": ["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"],
    "dict": ["clear", "pop", "popitem", "setdefault", "update"],
  ]

  /// An attribute that Python would find on the value itself; `nil` when there is none.
  func member(_ name: String, of value: RuntimeValue) throws(TemplateError) -> RuntimeValue? {
    // The sandbox calls such names undefined; nothing lies behind them here either.
    if name.hasPrefix("_") { return nil }
    switch value {
    case .loop(let loop): return try member(name, of: loop)
    case .namespace(let namespace): return namespace.members.value(.string(name))
    case .cycler(let cycler) where !cycler.isJoiner:
      if name == "current" { return cycler.items[cycler.position] }
      return name == "next" || name == "reset" ? .method(RuntimeMethod(value, name)) : nil
    case .macro(let macro):
      if name == "name" { return .string(macro.definition.name) }
      return name == "arguments" ? .tuple(macro.definition.parameters.map { .string($0.name) }) : nil
    default:
      let type = value.typeName
      if Self.changing[type]?.contains(name) ?? false {
        return .method(RuntimeMethod(value, name))
      }
      return Self.methods[type]?.contains(name) ?? false ? .method(RuntimeMethod(value, name)) : nil
    }
  }

  private func member(_ name: String, of loop: RuntimeLoop) throws(TemplateError) -> RuntimeValue? {
    let (index, count) = (loop.index, loop.items.count)
    switch name {
    case "index": return .integer(index + 1)
    case "index0": return .integer(index)
    case "revindex": return .integer(count - index)
    case "revindex0": return .integer(count - index - 1)
    case "first": return .boolean(index == 0)
    case "last": return .boolean(index == count - 1)
    case "length": return .integer(count)
    case "depth": return .integer(loop.level + 1)
    case "depth0": return .integer(loop.level)
    case "previtem":
      return index > 0 ? loop.items[index - 1] : .undefined("there is no previous item, so 'previtem'")
    case "nextitem":
      return index + 1 < count ? loop.items[index + 1] : .undefined("there is no next item, so 'nextitem'")
    case "cycle", "changed": return .method(RuntimeMethod(.loop(loop), name))
    default: return nil
    }
  }

  /// Functions every template can call; anything else unnamed is undefined.
  func global(_ name: String) -> RuntimeValue {
    switch name {
    case "range", "dict", "namespace", "cycler", "joiner", "raise_exception": .function(name)
    case "strftime_now" where date != nil: .function(name)
    default: .undefined("'\(name)'")
    }
  }

  /// Values for the parameters `names`, in their order; more or other arguments are an error.
  func bind(_ arguments: RuntimeArguments, _ names: String..., to what: String) throws(TemplateError)
    -> [RuntimeValue?]
  {
    guard arguments.positional.count <= names.count else {
      throw invalid("'\(what)' takes at most \(names.count) arguments, not \(arguments.positional.count)")
    }
    var values: [RuntimeValue?] = arguments.positional
    while values.count < names.count { values.append(nil) }
    for (name, value) in arguments.named {
      guard let at = names.firstIndex(of: name), values[at] == nil else {
        throw invalid("'\(what)' has no parameter '\(name)' left to set")
      }
      values[at] = value
    }
    return values
  }

  /// Calls whatever can be called.
  func call(_ function: RuntimeValue, _ arguments: RuntimeArguments) throws(TemplateError) -> RuntimeValue {
    switch function {
    case .function(let name): return try callGlobal(name, arguments)
    case .macro(let macro): return try callMacro(macro, arguments)
    case .method(let method): return try bounded(try callMethod(method, arguments))
    case .loop(let loop):
      guard loop.node.isRecursive else { throw invalid("this loop is not recursive, so it cannot be called") }
      guard let items = arguments.positional.first else { throw invalid("a recursive loop needs items") }
      let saved = output
      output = ""
      defer { output = saved }
      let outer = scope
      scope = loop.scope
      defer { scope = outer }
      _ = try runLoop(loop.node, over: items, level: loop.level + 1)
      return .string(output)
    case .cycler(let cycler) where cycler.isJoiner:
      cycler.position += 1
      return cycler.position == 1 ? .string("") : cycler.items[0]
    case .undefined(let what):
      throw .undefined(at: place, problem: "\(what) is undefined, so it cannot be called")
    default: throw invalid("a value of type \(function.typeName) cannot be called")
    }
  }

  private func callGlobal(_ name: String, _ arguments: RuntimeArguments) throws(TemplateError) -> RuntimeValue
  {
    switch name {
    case "raise_exception":
      let message = try bind(arguments, "message", to: name)[0] ?? .string("")
      throw .raised(at: place, message: try text(of: message))
    case "strftime_now":
      guard let date, case .string(let format)? = try bind(arguments, "format", to: name)[0] else {
        throw invalid("'strftime_now' needs a format")
      }
      return .string(try self.format(date, format))
    case "range": return .range(try range(arguments))
    case "cycler":
      guard !arguments.positional.isEmpty else { throw invalid("'cycler' needs items") }
      return .cycler(RuntimeCycler(arguments.positional, isJoiner: false))
    case "joiner":
      return .cycler(
        RuntimeCycler([try bind(arguments, "sep", to: name)[0] ?? .string(", ")], isJoiner: true))
    default:
      var members = RuntimeDictionary()
      if let first = arguments.positional.first {
        if case .dictionary(let start) = first {
          members = start
        } else {
          for pair in try items(of: first) {
            let both = try items(of: pair)
            guard both.count == 2 else { throw invalid("'\(name)' needs pairs, not \(both.count) values") }
            try set(both[0], both[1], in: &members)
          }
        }
      }
      for (key, value) in arguments.named { try set(.string(key), value, in: &members) }
      guard name == "namespace" else { return try bounded(.dictionary(members)) }
      let namespace = RuntimeNamespace(members)
      namespaces.append(namespace)
      return .namespace(namespace)
    }
  }

  private func range(_ arguments: RuntimeArguments) throws(TemplateError) -> RuntimeRange {
    var numbers: [Int] = []
    for value in arguments.positional {
      guard let number = value.wholeNumber else { throw try wrongOperand(value, "range") }
      numbers.append(number)
    }
    guard (1...3).contains(numbers.count), arguments.named.isEmpty else {
      throw invalid("'range' needs 1 to 3 numbers")
    }
    let start = numbers.count == 1 ? 0 : numbers[0]
    let end = numbers.count == 1 ? numbers[0] : numbers[1]
    let step = numbers.count == 3 ? numbers[2] : 1
    guard step != 0 else { throw invalid("a range's step is 0") }
    let (span, overflow) = end.subtractingReportingOverflow(start)
    let isEmpty = step > 0 ? end <= start : end >= start
    let count = isEmpty ? 0 : (span.magnitude - 1) / step.magnitude + 1
    guard isEmpty || (!overflow && count <= UInt(limits.rangeCount)) else {
      throw .limitReached(at: place, limit: "numbers in one range", allowed: limits.rangeCount)
    }
    return RuntimeRange(start: start, stop: end, count: Int(count), step: step)
  }

  private func callMacro(_ macro: RuntimeMacro, _ arguments: RuntimeArguments) throws(TemplateError)
    -> RuntimeValue
  {
    try descend()
    defer { ascend() }
    let definition = macro.definition
    let result = try capture(in: macro.scope, definition.body) {
      (inner: RuntimeScope) throws(TemplateError) in
      try bindMacro(definition, arguments, in: inner)
    }
    return .string(result.text)
  }

  private func bindMacro(
    _ macro: TemplateMacro, _ arguments: RuntimeArguments, in inner: RuntimeScope
  ) throws(TemplateError) {
    let count = macro.parameters.count
    var named = arguments.named
    if arguments.positional.count > count, !macro.reads.contains("varargs") {
      throw invalid(
        "macro '\(macro.name)' takes at most \(count) arguments, not \(arguments.positional.count)")
    }
    for (index, parameter) in macro.parameters.enumerated() {
      let given = named.firstIndex { $0.name == parameter.name }
      if index < arguments.positional.count {
        guard given == nil else { throw invalid("macro '\(macro.name)' gets '\(parameter.name)' twice") }
        inner.values[parameter.name] = arguments.positional[index]
      } else if let given {
        inner.values[parameter.name] = named.remove(at: given).value
      } else if let fallback = parameter.fallback {
        inner.values[parameter.name] = try evaluate(fallback)
      } else {
        inner.values[parameter.name] = .undefined("parameter '\(parameter.name)'")
      }
    }
    if macro.reads.contains("caller"), !macro.parameters.contains(where: { $0.name == "caller" }) {
      let given = named.firstIndex { $0.name == "caller" }
      inner.values["caller"] = given.map { named.remove(at: $0).value } ?? .undefined("'caller'")
    }
    if macro.reads.contains("varargs") {
      inner.values["varargs"] = .tuple(Array(arguments.positional.dropFirst(count)))
    }
    if macro.reads.contains("kwargs") {
      var rest = RuntimeDictionary()
      for (name, value) in named { try set(.string(name), value, in: &rest) }
      inner.values["kwargs"] = .dictionary(rest)
    } else if let extra = named.first {
      throw invalid("macro '\(macro.name)' has no parameter '\(extra.name)'")
    }
  }

  private func format(_ date: TemplateDate, _ format: String) throws(TemplateError) -> String {
    var out = ""
    var scalars = format.unicodeScalars.makeIterator()
    while let scalar = scalars.next() {
      guard scalar == "%" else {
        out.unicodeScalars.append(scalar)
        continue
      }
      guard var letter = scalars.next() else { throw invalid("the date format '\(format)' ends after '%'") }
      let isBare = letter == "-"
      if isBare { letter = scalars.next() ?? "%" }
      guard let field = date.field(letter) else {
        throw invalid("'%\(letter)' is not a date format known here")
      }
      out += isBare && field.first == "0" && field.count > 1 ? String(field.drop { $0 == "0" }) : field
    }
    return out
  }
}

extension TemplateDate {
  /// A field of `strftime` in the C locale, `nil` for a letter that is not known.
  fileprivate func field(_ letter: Unicode.Scalar) -> String? {
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let months = [
      "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
      "November",
      "December",
    ]
    let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    // Sakamoto's rule: months count from March, so that a leap day ends the year.
    let shifted = month < 3 ? year - 1 : year
    let weekday =
      (shifted + shifted / 4 - shifted / 100 + shifted / 400
        + [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4][month - 1] + day) % 7
    let twelve = hour % 12 == 0 ? 12 : hour % 12
    switch letter {
    case "Y": return "\(year)"
    case "y": return two(year % 100)
    case "m": return two(month)
    case "d": return two(day)
    case "e": return day < 10 ? " \(day)" : "\(day)"
    case "H": return two(hour)
    case "I": return two(twelve)
    case "M": return two(minute)
    case "S": return two(second)
    case "p": return hour < 12 ? "AM" : "PM"
    case "B": return months[month - 1]
    case "b", "h": return String(months[month - 1].prefix(3))
    case "A": return days[weekday]
    case "a": return String(days[weekday].prefix(3))
    case "w": return "\(weekday)"
    case "F": return "\(year)-\(two(month))-\(two(day))"
    case "T": return "\(two(hour)):\(two(minute)):\(two(second))"
    case "%": return "%"
    default: return nil
    }
  }
}
