extension TemplateInterpreter {
  /// Filters that look at all items together.
  func applyToItems(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws(TemplateError) -> RuntimeValue {
    switch name {
    case "join":
      let values = try bind(arguments, "d", "attribute", to: name)
      let separator = try values[0].map { (value) throws(TemplateError) in try text(of: value) } ?? ""
      var joined = ""
      for (index, item) in try items(of: value).enumerated() {
        if index > 0 { joined += separator }
        let part =
          try values[1].map { (attribute) throws(TemplateError) in try path(attribute, in: item) } ?? item
        joined += try text(of: part)
        try charge(bytes: 0)
        guard joined.utf8.count <= limits.outputBytes else { return .string(try checked(joined)) }
      }
      return .string(try checked(joined))
    case "reverse":
      if case .string(let text) = value { return .string(PythonText.text(text.unicodeScalars.reversed())) }
      return .generator(try items(of: value).reversed())
    case "sum":
      let values = try bind(arguments, "attribute", "start", to: name)
      var total = values[1] ?? .integer(0)
      for item in try items(of: value) {
        let part = try keyed(item, values[0])
        total = try arithmetic(total, "+", part)
      }
      return total
    case "dictsort": return try dictionarySorted(value, arguments)
    case "batch", "slice": return try grouped(name, value, arguments)
    case "groupby":
      let values = try bind(arguments, "attribute", to: name)
      let items = try items(of: value)
      var keys: [RuntimeValue] = []
      for item in items { keys.append(try folded(try keyed(item, values[0]))) }
      var groups: [(key: RuntimeValue, items: [RuntimeValue])] = []
      var lastFolded: RuntimeValue?
      for at in try sortedOrder(keys) {
        if let lastFolded, lastFolded.isEqual(to: keys[at]) {
          groups[groups.count - 1].items.append(items[at])
        } else {
          groups.append((try keyed(items[at], values[0]), [items[at]]))
        }
        lastFolded = keys[at]
      }
      return .list(groups.map { .tuple([$0.key, .list($0.items)]) })
    case "sort":
      let values = try bind(arguments, "reverse", "case_sensitive", "attribute", to: name)
      let items = try items(of: value)
      var keys: [RuntimeValue] = []
      for item in items { keys.append(try sortKey(item, values[2], isExact: values[1]?.isTrue ?? false)) }
      guard values[0]?.isTrue ?? false else { return .list(try sortedOrder(keys).map { items[$0] }) }
      // Reversed twice, so that equal items keep their order.
      let order = try sortedOrder(keys.reversed())
      return .list(order.reversed().map { items[items.count - 1 - $0] })
    default:
      let values = try bind(arguments, "case_sensitive", "attribute", to: name)
      let isExact = values[0]?.isTrue ?? false
      let items = try items(of: value)
      return name == "unique"
        ? try unique(items, values[1], isExact) : try extreme(name, items, values[1], isExact)
    }
  }

  private func checked(_ text: String) throws(TemplateError) -> String {
    try charge(bytes: text.utf8.count)
    return text
  }

  private func keyed(_ item: RuntimeValue, _ attribute: RuntimeValue?) throws(TemplateError) -> RuntimeValue {
    guard let attribute, !attribute.isNone else { return item }
    return try path(attribute, in: item)
  }

  private func folded(_ value: RuntimeValue) throws(TemplateError) -> RuntimeValue {
    if case .string(let text) = value { return .string(text.lowercased()) }
    return value
  }

  private func sortKey(
    _ item: RuntimeValue, _ attribute: RuntimeValue?, isExact: Bool
  ) throws(TemplateError) -> RuntimeValue {
    guard case .string(let names)? = attribute, names.contains(",") else {
      let key = try keyed(item, attribute)
      return isExact ? key : try folded(key)
    }
    var keys: [RuntimeValue] = []
    for name in PythonText.split(names, by: ",", limit: .max, fromRight: false) {
      let key = try path(.string(name), in: item)
      keys.append(isExact ? key : try folded(key))
    }
    return .list(keys)
  }

  private func unique(
    _ items: [RuntimeValue], _ attribute: RuntimeValue?, _ isExact: Bool
  ) throws(TemplateError) -> RuntimeValue {
    var seen: Set<RuntimeKey> = []
    var kept: [RuntimeValue] = []
    for item in items {
      try charge(1)
      let value = try keyed(item, attribute)
      try charge(for: value)
      guard let key = RuntimeKey(isExact ? value : try folded(value)) else {
        throw invalid("'unique' cannot compare items of type \(value.typeName)")
      }
      if seen.insert(key).inserted { kept.append(item) }
    }
    return .generator(kept)
  }

  private func extreme(
    _ name: String, _ items: [RuntimeValue], _ attribute: RuntimeValue?, _ isExact: Bool
  ) throws(TemplateError) -> RuntimeValue {
    guard var best = items.first else { return .undefined("the \(name) of nothing") }
    func key(_ item: RuntimeValue) throws(TemplateError) -> RuntimeValue {
      let value = try keyed(item, attribute)
      try charge(for: value)
      return isExact ? value : try folded(value)
    }
    var bestKey = try key(best)
    for item in items.dropFirst() {
      try charge(1)
      let candidate = try key(item)
      if name == "min" ? try precedes(candidate, bestKey, "<") : try precedes(bestKey, candidate, ">") {
        (best, bestKey) = (item, candidate)
      }
    }
    return best
  }

  private func dictionarySorted(
    _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws(TemplateError) -> RuntimeValue {
    let values = try bind(arguments, "case_sensitive", "by", "reverse", to: "dictsort")
    guard case .dictionary(let dictionary) = value else { throw try wrongOperand(value, "dictsort") }
    let by = try values[1].map { (value) throws(TemplateError) in try text(of: value) } ?? "key"
    guard by == "key" || by == "value" else { throw invalid("'dictsort' sorts by key or value, not \(by)") }
    let isExact = values[0]?.isTrue ?? false
    let isReversed = values[2]?.isTrue ?? false
    var entries = dictionary.entries
    if isReversed { entries.reverse() }
    var keys: [RuntimeValue] = []
    for entry in entries {
      let key = by == "key" ? entry.key : entry.value
      keys.append(isExact ? key : try folded(key))
    }
    var order = try sortedOrder(keys)
    if isReversed { order.reverse() }
    return .list(order.map { .tuple([entries[$0].key, entries[$0].value]) })
  }

  private func grouped(
    _ name: String, _ value: RuntimeValue, _ arguments: RuntimeArguments
  ) throws(TemplateError) -> RuntimeValue {
    let values = try bind(arguments, name == "batch" ? "linecount" : "slices", "fill_with", to: name)
    guard let count = values[0]?.wholeNumber, count > 0 else {
      throw invalid("'\(name)' needs a count above 0")
    }
    let items = try items(of: value)
    var groups: [RuntimeValue] = []
    let filler = values[1].flatMap { $0.isNone ? nil : $0 }
    try charge(count)
    if name == "batch" {
      for start in stride(from: 0, to: items.count, by: count) {
        var group = Array(items[start..<min(items.count - start, count) + start])
        if let filler { while group.count < count { group.append(filler) } }
        groups.append(.list(group))
      }
      return .generator(groups)
    }
    let (base, longer) = items.count.quotientAndRemainder(dividingBy: count)
    var start = 0
    for index in 0..<count {
      let end = start + base + (index < longer ? 1 : 0)
      var group = Array(items[start..<end])
      if let filler, index >= longer { group.append(filler) }
      groups.append(.list(group))
      start = end
    }
    return .generator(groups)
  }
}
