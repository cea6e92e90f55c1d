/// Arguments after evaluation.
struct RuntimeArguments {
  /// By position.
  var positional: [RuntimeValue] = []
  /// By name.
  var named: [(name: String, value: RuntimeValue)] = []
}

extension TemplateInterpreter {
  /// Value of an expression.
  func evaluate(_ expression: TemplateExpression) throws(TemplateError) -> RuntimeValue {
    try charge(1)
    try descend()
    defer { ascend() }
    place = expression.place
    switch expression.kind {
    case .literal(let value): return RuntimeValue(value)
    case .name(let name): return scope.value(name) ?? global(name)
    case .list(let items): return try bounded(.list(try evaluate(items)))
    case .tuple(let items): return try bounded(.tuple(try evaluate(items)))
    case .dictionary(let members): return try dictionary(members)
    case .attribute(let base, let name):
      return try attribute(name, of: try evaluate(base), at: expression.place)
    case .subscripted(let base, let index): return try subscripted(base, index, at: expression.place)
    case .slice: throw invalid("a slice stands among several indices")
    case .call(let callee, let arguments):
      let function = try evaluate(callee)
      let values = try evaluate(arguments)
      place = expression.place
      return try call(function, values)
    case .filter(let base, let name, let arguments):
      let value = try evaluate(base)
      let values = try evaluate(arguments)
      place = expression.place
      return try bounded(try apply(filter: name, to: value, values))
    case .test(let base, let name, let arguments):
      let value = try evaluate(base)
      let values = try evaluate(arguments)
      place = expression.place
      return .boolean(try apply(test: name, to: value, values))
    case .not(let operand): return .boolean(!(try evaluate(operand).isTrue))
    case .negative(let operand): return try negated(try evaluate(operand))
    case .positive(let operand):
      let value = try evaluate(operand)
      if let number = value.wholeNumber { return .integer(number) }
      guard case .number = value else { throw try wrongOperand(value, "+") }
      return value
    case .all(let terms): return try evaluate(terms, until: false)
    case .any(let terms): return try evaluate(terms, until: true)
    case .comparison(let first, let rest): return try compare(first, rest)
    case .arithmetic(let first, let rest):
      var value = try evaluate(first)
      for (operation, operand) in rest {
        let right = try evaluate(operand)
        place = expression.place
        value = try bounded(try arithmetic(value, operation, right))
      }
      return value
    case .concatenation(let terms):
      var joined = ""
      for term in terms {
        joined += try text(of: try evaluate(term))
        try charge(bytes: joined.utf8.count)
      }
      return .string(joined)
    case .conditional(let condition, let then, let otherwise):
      if try evaluate(condition).isTrue { return try evaluate(then) }
      guard let otherwise else { return .undefined("the value of an 'if' without 'else'") }
      return try evaluate(otherwise)
    case .captured: return .string(captured)
    }
  }

  private func evaluate(_ items: [TemplateExpression]) throws(TemplateError) -> [RuntimeValue] {
    var values: [RuntimeValue] = []
    for item in items { values.append(try evaluate(item)) }
    return values
  }

  private func evaluate(_ terms: [TemplateExpression], until stop: Bool) throws(TemplateError) -> RuntimeValue
  {
    var value = RuntimeValue.none
    for term in terms {
      value = try evaluate(term)
      if value.isTrue == stop { return value }
    }
    return value
  }

  /// Values of arguments.
  func evaluate(_ arguments: TemplateArguments) throws(TemplateError) -> RuntimeArguments {
    var values = RuntimeArguments()
    for (expression, spread) in arguments.positional {
      let value = try evaluate(expression)
      if spread { values.positional += try items(of: value) } else { values.positional.append(value) }
    }
    for (name, expression) in arguments.named {
      let value = try evaluate(expression)
      if let name {
        values.named.append((name, value))
      } else if case .dictionary(let members) = value {
        for (key, value) in members.entries { values.named.append((try text(of: key), value)) }
      } else {
        throw invalid("'**' needs a dictionary, not \(value.typeName)")
      }
    }
    return values
  }

  private func dictionary(
    _ members: [(key: TemplateExpression, value: TemplateExpression)]
  ) throws(TemplateError) -> RuntimeValue {
    var dictionary = RuntimeDictionary()
    for (key, value) in members { try set(try evaluate(key), try evaluate(value), in: &dictionary) }
    return try bounded(.dictionary(dictionary))
  }

  /// Sets a member, whose key has to be hashable.
  func set(
    _ key: RuntimeValue, _ value: RuntimeValue, in dictionary: inout RuntimeDictionary
  ) throws(TemplateError) {
    try charge(for: key)
    guard dictionary.set(key, value) else { throw invalid("\(key.typeName) cannot be a dictionary's key") }
  }

  /// The error for an operand that has no such operation.
  func wrongOperand(_ value: RuntimeValue, _ operation: String) throws(TemplateError) -> TemplateError {
    if case .undefined(let what) = value { return .undefined(at: place, problem: "\(what) is undefined") }
    return invalid("'\(operation)' does not apply to \(value.typeName)")
  }

  private func negated(_ value: RuntimeValue) throws(TemplateError) -> RuntimeValue {
    if case .number(let number) = value { return .number(-number) }
    guard let number = value.wholeNumber else { throw try wrongOperand(value, "-") }
    let (result, overflow) = (0).subtractingReportingOverflow(number)
    guard !overflow else { throw overflowed }
    return .integer(result)
  }

  /// The error for whole numbers past 64 bits.
  var overflowed: TemplateError { invalid("a whole number does not fit 64 bits") }

  private func compare(
    _ first: TemplateExpression, _ rest: [(operation: String, operand: TemplateExpression)]
  ) throws(TemplateError) -> RuntimeValue {
    var left = try evaluate(first)
    for (operation, operand) in rest {
      let right = try evaluate(operand)
      try charge(for: left)
      try charge(for: right)
      let holds =
        switch operation {
        case "==": left.isEqual(to: right)
        case "!=": !left.isEqual(to: right)
        case "in": try contains(right, left)
        case "not in": !(try contains(right, left))
        case "<": try precedes(left, right, "<")
        case ">": try precedes(right, left, ">")
        case "<=": try precedesOrEquals(left, right, "<=")
        default: try precedesOrEquals(right, left, ">=")
        }
      if !holds { return .boolean(false) }
      left = right
    }
    return .boolean(true)
  }

  private func precedesOrEquals(
    _ a: RuntimeValue, _ b: RuntimeValue, _ operation: String
  ) throws(TemplateError) -> Bool {
    if let x = a.real, let y = b.real { return x <= y }
    return !(try precedes(b, a, operation))
  }

  /// Python's `<`.
  func precedes(_ a: RuntimeValue, _ b: RuntimeValue, _ operation: String) throws(TemplateError) -> Bool {
    switch (a, b) {
    case (.string(let x), .string(let y)): return PythonText.precedes(x, y)
    case (.list(let x), .list(let y)), (.tuple(let x), .tuple(let y)):
      for (p, q) in zip(x.items, y.items) where !p.isEqual(to: q) { return try precedes(p, q, operation) }
      return x.items.count < y.items.count
    default:
      if let x = a.wholeNumber, let y = b.wholeNumber { return x < y }
      if let x = a.real, let y = b.real { return x < y }
      if case .undefined = b { throw try wrongOperand(b, operation) }
      if case .undefined = a { throw try wrongOperand(a, operation) }
      throw invalid("'\(operation)' does not compare \(a.typeName) with \(b.typeName)")
    }
  }

  /// Python's `in`.
  func contains(_ container: RuntimeValue, _ item: RuntimeValue) throws(TemplateError) -> Bool {
    switch container {
    case .string(let text):
      guard case .string(let part) = item else {
        throw invalid("'in' a string needs a string, not \(item.typeName)")
      }
      try charge(bytes: text.utf8.count)
      if part.isEmpty { return true }
      return !PythonText.occurrences(of: Array(part.utf8), in: Array(text.utf8), limit: 1).isEmpty
    case .dictionary(let dictionary):
      guard RuntimeKey(item) != nil else {
        if case .undefined = item { return false }
        throw invalid("\(item.typeName) cannot be a dictionary's key")
      }
      return dictionary.value(item) != nil
    default:
      for candidate in try items(of: container) where candidate.isEqual(to: item) { return true }
      return false
    }
  }

  private func subscripted(
    _ base: TemplateExpression, _ index: TemplateExpression, at place: TemplatePlace
  ) throws(TemplateError) -> RuntimeValue {
    let value = try evaluate(base)
    guard case .slice(let from, let to, let step) = index.kind else {
      let key = try evaluate(index)
      self.place = place
      return try item(key, of: value)
    }
    var bounds: [Int?] = []
    for part in [from, to, step] {
      guard let part, case let bound = try evaluate(part), !bound.isNone else {
        bounds.append(nil)
        continue
      }
      guard let number = bound.wholeNumber else { throw try wrongOperand(bound, "[:]") }
      bounds.append(number)
    }
    self.place = place
    return try slice(value, bounds[0], bounds[1], bounds[2] ?? 1)
  }

  private func slice(_ value: RuntimeValue, _ from: Int?, _ to: Int?, _ step: Int) throws(TemplateError)
    -> RuntimeValue
  {
    func chosen(_ count: Int) -> [Int] {
      func clamped(_ index: Int, _ low: Int, _ high: Int) -> Int {
        min(max(index < 0 ? index + count : index, low), high)
      }
      let start = from.map { step > 0 ? clamped($0, 0, count) : clamped($0, -1, count - 1) }
      let end = to.map { step > 0 ? clamped($0, 0, count) : clamped($0, -1, count - 1) }
      // A longer step than the text would only overflow the index.
      let step = min(max(step, -count - 1), count + 1)
      return Array(
        stride(from: start ?? (step > 0 ? 0 : count - 1), to: end ?? (step > 0 ? count : -1), by: step))
    }
    if case .undefined(let what) = value { throw .undefined(at: place, problem: "\(what) is undefined") }
    guard step != 0 else { throw invalid("a slice's step is 0") }
    switch value {
    case .string(let text):
      let scalars = Array(text.unicodeScalars)
      try charge(bytes: scalars.count)
      return .string(PythonText.text(chosen(scalars.count).map { scalars[$0] }))
    case .list(let list):
      try charge(list.items.count)
      return .list(chosen(list.items.count).map { list.items[$0] })
    case .tuple(let list):
      try charge(list.items.count)
      return .tuple(chosen(list.items.count).map { list.items[$0] })
    case .range(let range):
      let picked = chosen(range.count)
      let first = picked.first ?? 0
      let next = range.step.multipliedReportingOverflow(by: step)
      guard !next.overflow else { throw overflowed }
      let start = range.start + first * range.step
      let stop = start &+ picked.count &* next.partialValue
      return .range(RuntimeRange(start: start, stop: stop, count: picked.count, step: next.partialValue))
    default: throw invalid("a value of type \(value.typeName) cannot be sliced")
    }
  }

  /// `value[key]`: an item, else an attribute of that name.
  func item(_ key: RuntimeValue, of value: RuntimeValue) throws(TemplateError) -> RuntimeValue {
    if case .undefined(let what) = value { throw .undefined(at: place, problem: "\(what) is undefined") }
    try charge(for: key)
    if let index = key.wholeNumber {
      func position(_ count: Int) -> Int? {
        let at = index < 0 ? index + count : index
        return (0..<count).contains(at) ? at : nil
      }
      switch value {
      case .string(let text):
        let count = text.unicodeScalars.count
        try charge(bytes: count)
        guard let at = position(count) else { return .undefined("character \(index)") }
        let scalars = text.unicodeScalars
        return .string(String(Character(scalars[scalars.index(scalars.startIndex, offsetBy: at)])))
      case .list(let list), .tuple(let list):
        return position(list.items.count).map { list.items[$0] } ?? .undefined("item \(index)")
      case .range(let range):
        return position(range.count).map { .integer(range.start + $0 * range.step) }
          ?? .undefined("item \(index)")
      default: break
      }
    }
    if case .dictionary(let dictionary) = value, let found = dictionary.value(key) { return found }
    guard case .string(let name) = key else { return .undefined("item of \(value.typeName)") }
    return try member(name, of: value) ?? .undefined("'\(name)'")
  }

  /// `value.name`: an attribute, else an item.
  func attribute(
    _ name: String, of value: RuntimeValue, at place: TemplatePlace
  ) throws(TemplateError) -> RuntimeValue {
    self.place = place
    if case .undefined(let what) = value {
      throw .undefined(at: place, problem: "\(what) is undefined, so it has no '\(name)'")
    }
    if let found = try member(name, of: value) { return found }
    if case .dictionary(let dictionary) = value, let found = dictionary.value(.string(name)) { return found }
    return .undefined("'\(name)'")
  }

  /// Python's binary operators.
  func arithmetic(
    _ a: RuntimeValue, _ operation: String, _ b: RuntimeValue
  ) throws(TemplateError) -> RuntimeValue {
    if case .undefined = a { throw try wrongOperand(a, operation) }
    if operation == "%", case .string(let format) = a { return .string(try formatted(format, b)) }
    if case .undefined = b { throw try wrongOperand(b, operation) }
    if let x = a.wholeNumber, let y = b.wholeNumber { return try whole(x, operation, y) }
    if let x = a.real, let y = b.real { return try real(x, operation, y) }
    switch (operation, a, b) {
    case ("+", .string(let x), .string(let y)):
      try charge(bytes: x.utf8.count + y.utf8.count)
      return .string(x + y)
    case ("+", .list(let x), .list(let y)):
      try charge(x.items.count + y.items.count)
      return .list(x.items + y.items)
    case ("+", .tuple(let x), .tuple(let y)):
      try charge(x.items.count + y.items.count)
      return .tuple(x.items + y.items)
    case ("*", _, _):
      if let count = b.wholeNumber, let result = try repeated(a, count) { return result }
      if let count = a.wholeNumber, let result = try repeated(b, count) { return result }
    default: break
    }
    throw invalid("'\(operation)' does not apply to \(a.typeName) and \(b.typeName)")
  }

  private func repeated(_ value: RuntimeValue, _ times: Int) throws(TemplateError) -> RuntimeValue? {
    let count = max(0, times)
    switch value {
    case .string(let text):
      if text.isEmpty { return value }
      let (bytes, overflow) = text.utf8.count.multipliedReportingOverflow(by: count)
      try charge(bytes: overflow ? .max : bytes)
      return .string(String(repeating: text, count: count))
    case .list(let list), .tuple(let list):
      if list.items.isEmpty { return value }
      let (total, overflow) = list.items.count.multipliedReportingOverflow(by: count)
      try charge(overflow ? limits.steps + 1 : min(total, limits.steps + 1))
      let items = Array(repeatElement(list.items, count: count).joined())
      if case .tuple = value { return .tuple(items) }
      return .list(items)
    default: return nil
    }
  }

  private func whole(_ x: Int, _ operation: String, _ y: Int) throws(TemplateError) -> RuntimeValue {
    var result = (partialValue: 0, overflow: false)
    switch operation {
    case "+": result = x.addingReportingOverflow(y)
    case "-": result = x.subtractingReportingOverflow(y)
    case "*": result = x.multipliedReportingOverflow(by: y)
    case "**":
      guard y >= 0 else { return try real(Double(x), operation, Double(y)) }
      guard x.magnitude > 1 else { return .integer(y == 0 ? 1 : (x < 0 && y % 2 == 0 ? 1 : x)) }
      result.partialValue = 1
      for _ in 0..<min(y, 64) where !result.overflow {
        result = result.partialValue.multipliedReportingOverflow(by: x)
      }
    case "/": return try real(Double(x), operation, Double(y))
    default:
      guard y != 0 else { throw invalid("\(x) is divided by 0") }
      let divided = x.dividedReportingOverflow(by: y)
      guard !divided.overflow else { throw overflowed }
      let rest = x % y
      let isBelow = rest != 0 && (rest < 0) != (y < 0)
      return .integer(
        operation == "%"
          ? (isBelow ? rest + y : rest) : (isBelow ? divided.partialValue - 1 : divided.partialValue))
    }
    guard !result.overflow else { throw overflowed }
    return .integer(result.partialValue)
  }

  private func real(_ x: Double, _ operation: String, _ y: Double) throws(TemplateError) -> RuntimeValue {
    switch operation {
    case "+": return .number(x + y)
    case "-": return .number(x - y)
    case "*": return .number(x * y)
    case "**":
      guard let power = Int(exactly: y), power.magnitude <= 4096 else {
        throw invalid("'**' takes whole exponents up to 4096 here, not \(y)")
      }
      guard x != 0 || power >= 0 else { throw invalid("0 is raised to \(power)") }
      var result = 1.0
      for _ in 0..<power.magnitude { result *= x }
      return .number(power < 0 ? 1 / result : result)
    default:
      guard y != 0 else { throw invalid("\(x) is divided by 0") }
      if operation == "/" { return .number(x / y) }
      var rest = x.truncatingRemainder(dividingBy: y)
      if rest != 0, (rest < 0) != (y < 0) { rest += y }
      return .number(operation == "%" ? rest : ((x - rest) / y).rounded())
    }
  }
}

extension RuntimeValue {
  /// Whether it is `None`.
  var isNone: Bool {
    if case .none = self { return true }
    return false
  }

  /// What a caller gave.
  init(_ value: TemplateValue) {
    switch value {
    case .null: self = .none
    case .boolean(let value): self = .boolean(value)
    case .integer(let value): self = .integer(value)
    case .number(let value): self = .number(value)
    case .string(let value): self = .string(value)
    case .array(let items): self = .list(items.map { RuntimeValue($0) })
    case .object(let members):
      var dictionary = RuntimeDictionary()
      for (key, value) in members { _ = dictionary.set(.string(key), RuntimeValue(value)) }
      self = .dictionary(dictionary)
    }
  }
}
