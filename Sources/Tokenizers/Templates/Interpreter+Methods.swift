extension TemplateInterpreter {
  /// Calls a method of a string, list, dictionary, loop or cycler.
  func callMethod(_ method: RuntimeMethod, _ arguments: RuntimeArguments) throws(TemplateError)
    -> RuntimeValue
  {
    let name = method.name
    switch method.receiver {
    case .string(let text):
      try charge(bytes: text.utf8.count)
      return try callText(name, text, arguments)
    case .dictionary(let dictionary): return try callDictionary(name, dictionary, arguments)
    case .list(let list), .tuple(let list): return try callList(name, list, arguments)
    case .range: return try callList(name, RuntimeList(try items(of: method.receiver)), arguments)
    case .loop(let loop):
      if name == "cycle" {
        guard !arguments.positional.isEmpty else { throw invalid("'loop.cycle' needs values") }
        return arguments.positional[loop.index % arguments.positional.count]
      }
      for value in arguments.positional { try charge(for: value) }
      let last = loop.lastChanged
      loop.lastChanged = arguments.positional
      guard let last, last.count == arguments.positional.count else { return .boolean(true) }
      return .boolean(!zip(last, arguments.positional).allSatisfy { $0.isEqual(to: $1) })
    case .cycler(let cycler):
      let current = cycler.items[cycler.position]
      cycler.position = name == "reset" ? 0 : (cycler.position + 1) % cycler.items.count
      return name == "reset" ? .none : current
    default: throw invalid("a value of type \(method.receiver.typeName) has no method '\(name)'")
    }
  }

  private func forbidden(_ name: String, _ type: String) -> TemplateError {
    .forbidden(at: place, problem: "'\(name)' would change a \(type)")
  }

  private func callDictionary(
    _ name: String, _ dictionary: RuntimeDictionary, _ arguments: RuntimeArguments
  ) throws(TemplateError) -> RuntimeValue {
    try charge(dictionary.entries.count)
    switch name {
    case "items":
      return .view("dict_items", RuntimeList(dictionary.entries.map { .tuple([$0.key, $0.value]) }))
    case "keys": return .view("dict_keys", RuntimeList(dictionary.entries.map(\.key)))
    case "values": return .view("dict_values", RuntimeList(dictionary.entries.map(\.value)))
    case "copy": return .dictionary(dictionary)
    case "get":
      guard arguments.named.isEmpty else { throw invalid("'get' takes no named arguments") }
      let values = try bind(arguments, "key", "default", to: name)
      guard let key = values[0] else { throw invalid("'get' needs a key") }
      try charge(for: key)
      return dictionary.value(key) ?? values[1] ?? .none
    default: throw forbidden(name, "dict")
    }
  }

  private func callList(
    _ name: String, _ list: RuntimeList, _ arguments: RuntimeArguments
  ) throws(TemplateError) -> RuntimeValue {
    try charge(list.weight)
    guard name == "index" || name == "count" else { throw forbidden(name, "list") }
    guard let wanted = try bind(arguments, "value", to: name)[0] else {
      throw invalid("'\(name)' needs a value")
    }
    if name == "count" { return .integer(list.items.count { $0.isEqual(to: wanted) }) }
    guard let at = list.items.firstIndex(where: { $0.isEqual(to: wanted) }) else {
      throw invalid("the value that 'index' looks for is not in the list")
    }
    return .integer(at)
  }

  private func text(_ value: RuntimeValue?, for name: String) throws(TemplateError) -> String {
    guard case .string(let text)? = value else {
      throw invalid("'\(name)' needs a string, not \(value?.typeName ?? "nothing")")
    }
    return text
  }

  private func callText(
    _ name: String, _ text: String, _ arguments: RuntimeArguments
  ) throws(TemplateError) -> RuntimeValue {
    switch name {
    case "strip", "lstrip", "rstrip":
      var set = try bind(arguments, "chars", to: name)[0]
      if set?.isNone ?? false { set = nil }
      let drop = set == nil ? nil : try self.text(set, for: name)
      return .string(PythonText.stripped(text, drop, left: name != "rstrip", right: name != "lstrip"))
    case "split", "rsplit":
      let values = try bind(arguments, "sep", "maxsplit", to: name)
      let limit = values[1]?.wholeNumber ?? -1
      let most = limit < 0 ? Int.max : limit
      let pieces: [String]
      if let separator = values[0], !separator.isNone {
        let separator = try self.text(separator, for: name)
        guard !separator.isEmpty else { throw invalid("'\(name)' gets an empty separator") }
        pieces = PythonText.split(text, by: separator, limit: most, fromRight: name == "rsplit")
      } else {
        pieces = PythonText.words(text, limit: most, fromRight: name == "rsplit")
      }
      try charge(pieces.count)
      return .list(pieces.map { .string($0) })
    case "splitlines":
      let keeps = try bind(arguments, "keepends", to: name)[0]?.isTrue ?? false
      return .list(PythonText.lines(text, keepsEnds: keeps).map { .string($0) })
    case "startswith", "endswith":
      let part = try bind(arguments, "part", to: name)[0] ?? .none
      var parts = [part]
      if case .tuple(let list) = part { parts = list.items }
      for part in parts {
        let bytes = Array(try self.text(part, for: name).utf8)
        if name == "startswith"
          ? text.utf8.starts(with: bytes) : text.utf8.reversed().starts(with: bytes.reversed())
        {
          return .boolean(true)
        }
      }
      return .boolean(false)
    case "replace":
      let values = try bind(arguments, "old", "new", "count", to: name)
      let limit = values[2]?.wholeNumber ?? -1
      return .string(
        try replaced(text, try self.text(values[0], for: name), try self.text(values[1], for: name), limit))
    case "removeprefix", "removesuffix":
      let part = Array(try self.text(try bind(arguments, "part", to: name)[0], for: name).utf8)
      let bytes = Array(text.utf8)
      if name == "removeprefix", bytes.starts(with: part) {
        return .string(String(decoding: bytes.dropFirst(part.count), as: UTF8.self))
      }
      if name == "removesuffix", bytes.reversed().starts(with: part.reversed()) {
        return .string(String(decoding: bytes.dropLast(part.count), as: UTF8.self))
      }
      return .string(text)
    case "find", "rfind", "index", "count": return try search(name, text, arguments)
    case "join":
      guard let items = try bind(arguments, "items", to: name)[0] else { throw invalid("'join' needs items") }
      if case .undefined = items { return .string("") }
      var pieces: [String] = []
      for item in try self.items(of: items) { pieces.append(try self.text(item, for: name)) }
      try charge(bytes: pieces.reduce(pieces.count * text.utf8.count) { $0 + $1.utf8.count })
      return .string(pieces.joined(separator: text))
    case "format": return .string(try braceFormatted(text, arguments))
    case "partition", "rpartition":
      let separator = try self.text(try bind(arguments, "sep", to: name)[0], for: name)
      guard !separator.isEmpty else { throw invalid("'\(name)' gets an empty separator") }
      let pieces = PythonText.split(text, by: separator, limit: 1, fromRight: name == "rpartition")
      let parts =
        pieces.count == 2
        ? [pieces[0], separator, pieces[1]]
        : name == "partition" ? [text, "", ""] : ["", "", text]
      return .tuple(parts.map { .string($0) })
    case "ljust", "rjust", "center", "zfill": return .string(try padded(name, text, arguments))
    default: return try plain(name, text, arguments)
    }
  }

  private func plain(_ name: String, _ text: String, _ arguments: RuntimeArguments) throws(TemplateError)
    -> RuntimeValue
  {
    _ = try bind(arguments, to: name)
    let scalars = text.unicodeScalars
    func all(_ holds: (Unicode.Scalar.Properties) -> Bool) -> RuntimeValue {
      .boolean(!scalars.isEmpty && scalars.allSatisfy { holds($0.properties) })
    }
    func isLetter(_ scalar: Unicode.Scalar.Properties) -> Bool {
      switch scalar.generalCategory {
      case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
      default: false
      }
    }
    switch name {
    case "upper": return .string(text.uppercased())
    case "lower", "casefold": return .string(text.lowercased())
    case "title": return .string(PythonText.title(text))
    case "capitalize": return .string(PythonText.capitalized(text))
    case "swapcase":
      return .string(
        scalars.map {
          $0.properties.isUppercase ? $0.properties.lowercaseMapping : $0.properties.uppercaseMapping
        }.joined())
    case "isspace": return .boolean(!scalars.isEmpty && scalars.allSatisfy(\.isPythonSpace))
    case "isdecimal": return all { $0.numericType == .decimal }
    case "isdigit": return all { $0.numericType == .decimal || $0.numericType == .digit }
    case "isnumeric": return all { $0.numericType != nil }
    case "isalpha": return all(isLetter)
    case "isalnum": return all { isLetter($0) || $0.numericType != nil }
    case "isupper":
      return .boolean(
        scalars.contains { $0.properties.isUppercase } && !scalars.contains { $0.properties.isLowercase })
    case "islower":
      return .boolean(
        scalars.contains { $0.properties.isLowercase } && !scalars.contains { $0.properties.isUppercase })
    default: throw invalid("str has no method '\(name)'")
    }
  }

  private func padded(_ name: String, _ text: String, _ arguments: RuntimeArguments) throws(TemplateError)
    -> String
  {
    let values = try bind(arguments, "width", "fill", to: name)
    guard let width = values[0]?.wholeNumber else { throw invalid("'\(name)' needs a width") }
    try charge(bytes: max(0, width))
    let missing = max(0, width - text.unicodeScalars.count)
    let fill =
      name == "zfill"
      ? "0" : try values[1].map { (value) throws(TemplateError) in try self.text(value, for: name) } ?? " "
    guard fill.unicodeScalars.count == 1 else {
      throw invalid("'\(name)' fills with one character, not '\(fill)'")
    }
    if name == "ljust" { return text + String(repeating: fill, count: missing) }
    if name == "rjust" { return String(repeating: fill, count: missing) + text }
    if name == "zfill" {
      let hasSign = text.hasPrefix("-") || text.hasPrefix("+")
      return (hasSign ? String(text.prefix(1)) : "") + String(repeating: "0", count: missing)
        + (hasSign ? String(text.dropFirst()) : text)
    }
    let left = missing / 2 + (missing & width & 1)
    return String(repeating: fill, count: left) + text + String(repeating: fill, count: missing - left)
  }

  /// `str.replace`; all occurrences when `limit` is negative.
  func replaced(_ text: String, _ old: String, _ new: String, _ limit: Int) throws(TemplateError) -> String {
    let most = limit < 0 ? Int.max : limit
    if old.isEmpty {
      let (bytes, overflow) = new.utf8.count.multipliedReportingOverflow(by: text.utf8.count + 1)
      try charge(bytes: overflow ? .max : bytes)
      var out = ""
      var made = 0
      for scalar in text.unicodeScalars {
        if made < most { out += new }
        made += 1
        out.unicodeScalars.append(scalar)
      }
      return made < most ? out + new : out
    }
    let pieces = PythonText.split(text, by: old, limit: most, fromRight: false)
    let (added, overflow) = new.utf8.count.multipliedReportingOverflow(by: pieces.count)
    try charge(bytes: overflow ? .max : max(added, text.utf8.count))
    return pieces.joined(separator: new)
  }

  private func search(_ name: String, _ text: String, _ arguments: RuntimeArguments) throws(TemplateError)
    -> RuntimeValue
  {
    let values = try bind(arguments, "part", "start", "end", to: name)
    let scalars = Array(text.unicodeScalars)
    let part = Array(try self.text(values[0], for: name).unicodeScalars)
    func bound(_ value: RuntimeValue?, _ fallback: Int) -> Int {
      guard let index = value?.wholeNumber else { return fallback }
      return min(max(index < 0 ? index + scalars.count : index, 0), scalars.count)
    }
    let (start, end) = (bound(values[1], 0), bound(values[2], scalars.count))
    var found: [Int] = []
    if part.isEmpty {
      if start <= end { found = Array(start...end) }
    } else if start < end {
      found = PythonText.occurrences(
        of: part, in: Array(scalars[start..<end]), limit: name == "find" || name == "index" ? 1 : .max,
        overlapping: name == "rfind"
      ).map { $0 + start }
    }
    if name == "count" { return .integer(found.count) }
    guard let position = name == "rfind" ? found.last : found.first else {
      if name == "index" { throw invalid("the text that 'index' looks for is not there") }
      return .integer(-1)
    }
    return .integer(position)
  }

  private func braceFormatted(_ format: String, _ arguments: RuntimeArguments) throws(TemplateError) -> String
  {
    var out = ""
    var next = 0
    let scalars = Array(format.unicodeScalars)
    var at = 0
    while at < scalars.count {
      let scalar = scalars[at]
      let isDoubled = at + 1 < scalars.count && scalars[at + 1] == scalar
      if scalar == "{" || scalar == "}", isDoubled {
        out.unicodeScalars.append(scalar)
        at += 2
      } else if scalar == "{" {
        guard let close = scalars[at...].firstIndex(of: "}") else {
          throw invalid("'{' in a format has no '}'")
        }
        let name = PythonText.text(scalars[(at + 1)..<close])
        let value: RuntimeValue?
        if name.isEmpty || Int(name) != nil {
          let index = Int(name) ?? next
          next += 1
          value = arguments.positional.indices.contains(index) ? arguments.positional[index] : nil
        } else {
          guard name.unicodeScalars.allSatisfy({ $0.properties.isXIDContinue }) else {
            throw invalid(
              "the format field '{\(name)}' is more than a name or number, which is all that is read here")
          }
          value = arguments.named.first { $0.name == name }?.value
        }
        guard let value else { throw invalid("the format field '{\(name)}' has no value") }
        out += try self.text(of: value)
        at = close + 1
      } else if scalar == "}" {
        throw invalid("'}' in a format closes nothing")
      } else {
        out.unicodeScalars.append(scalar)
        at += 1
      }
      try charge(bytes: 0)
    }
    try charge(bytes: out.utf8.count)
    return out
  }
}
