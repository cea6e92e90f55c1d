extension TemplateInterpreter {
  /// `str(value)`, as output prints it.
  func text(of value: RuntimeValue) throws(TemplateError) -> String {
    switch value {
    case .undefined: return ""
    case .string(let text): return text
    default: return try representation(of: value)
    }
  }

  /// `repr(value)`.
  func representation(of value: RuntimeValue) throws(TemplateError) -> String {
    try charge(1)
    switch value {
    case .undefined: return "Undefined"
    case .none: return "None"
    case .boolean(let value): return value ? "True" : "False"
    case .integer(let value): return String(value)
    case .number(let value): return PythonText.float(value)
    case .string(let text):
      try charge(bytes: text.utf8.count)
      return PythonText.quoted(text)
    case .list(let list): return "[" + (try joined(list.items)) + "]"
    case .tuple(let list): return "(" + (try joined(list.items)) + (list.items.count == 1 ? ",)" : ")")
    case .view(let name, let list): return "\(name)([" + (try joined(list.items)) + "])"
    case .dictionary(let dictionary): return try representation(of: dictionary)
    case .range(let range):
      return "range(\(range.start), \(range.stop)\(range.step == 1 ? "" : ", \(range.step)"))"
    case .loop(let loop): return "<LoopContext \(loop.index + 1)/\(loop.items.count)>"
    case .macro(let macro): return "<Macro '\(macro.definition.name)'>"
    case .namespace: return "<Namespace>"
    case .generator, .method, .function, .cycler: return "<\(value.typeName)>"
    }
  }

  private func joined(_ items: [RuntimeValue]) throws(TemplateError) -> String {
    try descend()
    defer { ascend() }
    var text = ""
    for (index, item) in items.enumerated() {
      if index > 0 { text += ", " }
      text += try representation(of: item)
    }
    try charge(bytes: text.utf8.count)
    return text
  }

  private func representation(of dictionary: RuntimeDictionary) throws(TemplateError) -> String {
    try descend()
    defer { ascend() }
    var text = "{"
    for (index, entry) in dictionary.entries.enumerated() {
      if index > 0 { text += ", " }
      text += try representation(of: entry.key)
      text += ": "
      text += try representation(of: entry.value)
    }
    try charge(bytes: text.utf8.count)
    return text + "}"
  }

  /// What iterating over a value gives.
  func items(of value: RuntimeValue) throws(TemplateError) -> [RuntimeValue] {
    switch value {
    case .undefined: return []
    case .list(let list), .tuple(let list), .view(_, let list):
      try charge(list.items.count / 8)
      return list.items
    case .dictionary(let dictionary):
      try charge(dictionary.entries.count)
      return dictionary.entries.map(\.key)
    case .range(let range):
      try charge(range.count)
      return range.values
    case .generator(let generator): return generator.take()
    case .string(let text):
      try charge(text.utf8.count)
      return text.unicodeScalars.map { .string(String(Character($0))) }
    case .loop, .none, .boolean, .integer, .number, .method, .function, .macro, .namespace, .cycler:
      throw invalid("a value of type \(value.typeName) has no items to go through")
    }
  }

  /// `json.dumps` as `tojson` calls it.
  func json(
    _ value: RuntimeValue, indent: String?, separators: (item: String, key: String), sorted: Bool,
    level: Int = 0
  ) throws(TemplateError) -> String {
    try charge(1)
    try descend()
    defer { ascend() }
    let (margin, overflow) = (indent?.utf8.count ?? 0).multipliedReportingOverflow(by: level + 1)
    try charge(bytes: overflow ? .max : margin)
    let inner = indent.map { "\n" + String(repeating: $0, count: level + 1) } ?? ""
    let outer = indent.map { "\n" + String(repeating: $0, count: level) } ?? ""
    var text: String
    switch value {
    case .none: return "null"
    case .boolean(let value): return value ? "true" : "false"
    case .integer(let value): return String(value)
    case .number(let value):
      if value.isNaN { return "NaN" }
      return value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : PythonText.float(value)
    case .string(let string): return try quotedJSON(string)
    case .list(let list), .tuple(let list):
      guard !list.items.isEmpty else { return "[]" }
      text = "["
      for (index, item) in list.items.enumerated() {
        text += (index > 0 ? separators.item : "") + inner
        text += try json(item, indent: indent, separators: separators, sorted: sorted, level: level + 1)
      }
      text += outer + "]"
    case .dictionary(let dictionary):
      guard !dictionary.entries.isEmpty else { return "{}" }
      var entries = dictionary.entries
      if sorted { entries = try sortedByKey(entries) }
      text = "{"
      for (index, entry) in entries.enumerated() {
        text += (index > 0 ? separators.item : "") + inner
        text += try jsonKey(entry.key) + separators.key
        text += try json(
          entry.value, indent: indent, separators: separators, sorted: sorted, level: level + 1)
      }
      text += outer + "}"
    default: throw invalid("a value of type \(value.typeName) cannot be written as JSON")
    }
    try charge(bytes: text.utf8.count)
    return text
  }

  private func sortedByKey(
    _ entries: [(key: RuntimeValue, value: RuntimeValue)]
  ) throws(TemplateError) -> [(key: RuntimeValue, value: RuntimeValue)] {
    let order = try sortedOrder(entries.map(\.key))
    return order.map { entries[$0] }
  }

  private func jsonKey(_ key: RuntimeValue) throws(TemplateError) -> String {
    switch key {
    case .string(let text): return try quotedJSON(text)
    case .none: return "\"null\""
    case .boolean(let value): return value ? "\"true\"" : "\"false\""
    case .integer(let value): return "\"\(value)\""
    case .number(let value): return "\"\(PythonText.float(value))\""
    default: throw invalid("a value of type \(key.typeName) cannot be a key in JSON")
    }
  }

  private func quotedJSON(_ text: String) throws(TemplateError) -> String {
    try charge(bytes: text.utf8.count)
    var out: [UInt8] = [0x22]
    out.reserveCapacity(text.utf8.count + 2)
    for byte in text.utf8 {
      switch byte {
      case 0x22, 0x5C: out += [0x5C, byte]
      case 0x0A: out += [0x5C, 0x6E]
      case 0x0D: out += [0x5C, 0x72]
      case 0x09: out += [0x5C, 0x74]
      case 0x08: out += [0x5C, 0x62]
      case 0x0C: out += [0x5C, 0x66]
      case 0..<0x20: out += Array("\\u\(PythonText.hexadecimal(UInt32(byte), width: 4))".utf8)
      default: out.append(byte)
      }
    }
    out.append(0x22)
    return String(decoding: out, as: UTF8.self)
  }

  /// Stable ascending order of keys, as positions.
  func sortedOrder(_ keys: [RuntimeValue]) throws(TemplateError) -> [Int] {
    for key in keys {
      try charge(8)
      try charge(for: key)
    }
    var order = Array(keys.indices)
    var scratch = order
    var width = 1
    while width < order.count {
      var start = 0
      while start < order.count {
        let middle = min(start + width, order.count)
        let end = min(start + 2 * width, order.count)
        var (left, right) = (start, middle)
        for at in start..<end {
          var takesRight = left >= middle
          if !takesRight, right < end {
            takesRight = try precedes(keys[order[right]], keys[order[left]], "<")
          }
          scratch[at] = order[takesRight ? right : left]
          if takesRight { right += 1 } else { left += 1 }
        }
        start = end
      }
      swap(&order, &scratch)
      width *= 2
    }
    return order
  }

  /// `format % values` with `%s %r %d %i %f %x %%`, flags `-` and `0`, width and precision.
  func formatted(_ format: String, _ values: RuntimeValue) throws(TemplateError) -> String {
    var queue = [values]
    if case .tuple(let list) = values { queue = list.items }
    // Python lets anything with subscripts but tuples and strings go unused.
    let isMapping: Bool =
      switch values {
      case .dictionary, .list, .range: true
      default: false
      }
    let scalars = Array(format.unicodeScalars)
    var out = ""
    var used = 0
    var at = 0
    while at < scalars.count {
      guard scalars[at] == "%" else {
        out.unicodeScalars.append(scalars[at])
        at += 1
        continue
      }
      at += 1
      var named: RuntimeValue?
      if at < scalars.count, scalars[at] == "(", let close = scalars[at...].firstIndex(of: ")") {
        named = try item(.string(PythonText.text(scalars[(at + 1)..<close])), of: values)
        at = close + 1
      }
      let start = at
      while at < scalars.count, "-0123456789.+ ".unicodeScalars.contains(scalars[at]) { at += 1 }
      guard at < scalars.count else { throw invalid("the format '\(format)' ends after '%'") }
      let spec = PythonText.text(scalars[start..<at])
      let letter = scalars[at]
      at += 1
      if letter == "%" {
        out += "%"
        continue
      }
      if named == nil {
        guard used < queue.count else {
          throw invalid("the format '\(format)' needs more than \(used) values")
        }
        named = queue[used]
        used += 1
      }
      out += try field(named ?? .none, letter, spec)
      try charge(bytes: out.utf8.count)
    }
    guard used == queue.count || isMapping else {
      throw invalid("the format '\(format)' takes \(used) values, not \(queue.count)")
    }
    return out
  }

  private func field(
    _ value: RuntimeValue, _ letter: Unicode.Scalar, _ spec: String
  ) throws(TemplateError) -> String {
    let parts = spec.split(separator: ".", omittingEmptySubsequences: false)
    let flags = parts[0].prefix { "-0+ ".contains($0) }
    let width = Int(parts[0].dropFirst(flags.count)) ?? 0
    let precision = parts.count > 1 ? Int(parts[1]) ?? 0 : nil
    try charge(bytes: max(width, precision ?? 0))
    var text: String
    switch letter {
    case "s": text = try self.text(of: value)
    case "r": text = try representation(of: value)
    case "d", "i", "x":
      guard let number = value.wholeNumber ?? value.real.flatMap({ Int(exactly: $0.rounded(.towardZero)) })
      else {
        throw invalid("'%\(letter)' needs a number, not \(value.typeName)")
      }
      text = String(number, radix: letter == "x" ? 16 : 10)
    case "f":
      guard let number = value.real, (precision ?? 6) <= 15 else {
        throw invalid("'%f' needs a number and at most 15 decimals")
      }
      text = try fixed(number, precision ?? 6)
    default: throw invalid("'%\(letter)' is not a format known here")
    }
    if let precision, letter == "s" || letter == "r" {
      text = PythonText.text(text.unicodeScalars.prefix(precision))
    }
    if flags.contains("+"), letter != "s", letter != "r", !text.hasPrefix("-") { text = "+" + text }
    let missing = max(0, width - text.unicodeScalars.count)
    if flags.contains("-") { return text + String(repeating: " ", count: missing) }
    guard flags.contains("0"), letter != "s", letter != "r" else {
      return String(repeating: " ", count: missing) + text
    }
    let sign = text.hasPrefix("-") || text.hasPrefix("+") ? String(text.removeFirst()) : ""
    return sign + String(repeating: "0", count: missing) + text
  }

  private func fixed(_ number: Double, _ decimals: Int) throws(TemplateError) -> String {
    guard number.isFinite else { return PythonText.float(number) }
    var power = 1.0
    for _ in 0..<decimals { power *= 10 }
    let scaled = (number.magnitude * power).rounded(.toNearestOrEven)
    guard let digits = Int(exactly: scaled) else {
      throw invalid("\(number) is too large for '%.\(decimals)f'")
    }
    var text = String(digits)
    text = String(repeating: "0", count: max(0, decimals + 1 - text.count)) + text
    if decimals > 0 { text.insert(".", at: text.index(text.endIndex, offsetBy: -decimals)) }
    return (number.sign == .minus ? "-" : "") + text
  }
}
