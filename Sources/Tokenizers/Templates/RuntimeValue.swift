/// A value while a template runs.
///
/// Lists and dictionaries are values: the sandbox withholds every method that would change one in place.
enum RuntimeValue {
  /// Nothing; holds what was looked for.
  case undefined(String)
  case none
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case list(RuntimeList)
  case tuple(RuntimeList)
  /// `dict.items()` and its kin; holds their Python name.
  case view(String, RuntimeList)
  case dictionary(RuntimeDictionary)
  case range(RuntimeRange)
  case generator(RuntimeGenerator)
  case method(RuntimeMethod)
  case function(String)
  case macro(RuntimeMacro)
  case namespace(RuntimeNamespace)
  case loop(RuntimeLoop)
  case cycler(RuntimeCycler)
}

/// Items and how deeply lists nest in them.
struct RuntimeList {
  /// The items, in order.
  let items: [RuntimeValue]
  /// Levels: 1 when no item is a container.
  let depth: Int
  /// Values met when going through all of it; one list held twice counts twice.
  let weight: Int

  /// Measures the items.
  init(_ items: [RuntimeValue]) {
    self.items = items
    var deepest = 0
    var total = 1
    for item in items {
      deepest = max(deepest, item.depth)
      total = RuntimeList.sum(total, item.weight)
    }
    (depth, weight) = (deepest + 1, total)
  }

  /// Weights past any budget stay there instead of overflowing.
  static func sum(_ a: Int, _ b: Int) -> Int { min(a + b, Int.max / 4) }
}

/// `range(…)` without its numbers.
struct RuntimeRange {
  var start: Int
  /// As written, for printing.
  var stop: Int
  var count: Int
  var step: Int

  /// The numbers.
  var values: [RuntimeValue] { (0..<count).map { .integer(start &+ $0 &* step) } }
}

/// What `map`, `select` and their kin give: items that can be taken once.
final class RuntimeGenerator {
  private var items: [RuntimeValue]
  let depth: Int

  /// A fresh generator.
  init(_ items: [RuntimeValue]) {
    let list = RuntimeList(items)
    self.items = items
    depth = list.depth
  }

  /// All items left; none from then on.
  func take() -> [RuntimeValue] {
    defer { items = [] }
    return items
  }

  /// The next item.
  func takeFirst() -> RuntimeValue? { items.isEmpty ? nil : items.removeFirst() }
}

/// A method with the value it belongs to.
final class RuntimeMethod {
  let receiver: RuntimeValue
  let name: String

  /// Binds.
  init(_ receiver: RuntimeValue, _ name: String) {
    self.receiver = receiver
    self.name = name
  }
}

/// A macro with the scope it was defined in.
final class RuntimeMacro {
  let definition: TemplateMacro
  let scope: RuntimeScope

  /// Binds.
  init(_ definition: TemplateMacro, _ scope: RuntimeScope) {
    self.definition = definition
    self.scope = scope
  }
}

/// `namespace(…)`: the one thing a template can change.
final class RuntimeNamespace {
  var members: RuntimeDictionary

  /// With first values.
  init(_ members: RuntimeDictionary) { self.members = members }
}

/// `cycler(…)` or, once only, `joiner(…)`.
final class RuntimeCycler {
  let items: [RuntimeValue]
  let isJoiner: Bool
  var position = 0

  /// At its first item.
  init(_ items: [RuntimeValue], isJoiner: Bool) {
    self.items = items
    self.isJoiner = isJoiner
  }
}

/// The `loop` variable.
final class RuntimeLoop {
  let items: [RuntimeValue]
  let level: Int
  let node: TemplateLoop
  let scope: RuntimeScope
  var index = 0
  var lastChanged: [RuntimeValue]?

  /// Before its first item.
  init(_ items: [RuntimeValue], level: Int, node: TemplateLoop, scope: RuntimeScope) {
    (self.items, self.level, self.node, self.scope) = (items, level, node, scope)
  }
}

/// Names and values; what is not here is looked for outside.
final class RuntimeScope {
  var values: [String: RuntimeValue] = [:]
  let outer: RuntimeScope?

  /// An empty scope.
  init(in outer: RuntimeScope?) { self.outer = outer }

  /// The nearest value of a name.
  func value(_ name: String) -> RuntimeValue? {
    var scope: RuntimeScope? = self
    while let here = scope {
      if let value = here.values[name] { return value }
      scope = here.outer
    }
    return nil
  }
}

extension RuntimeValue {
  /// Values met, or steps' worth of text read, when going through all of it.
  var weight: Int {
    switch self {
    case .string(let text): 1 + text.utf8.count / TemplateLimits.bytesPerStep
    case .list(let list), .tuple(let list), .view(_, let list): list.weight
    case .dictionary(let dictionary): dictionary.weight
    default: 1
    }
  }

  /// Levels of containers in it.
  var depth: Int {
    switch self {
    case .list(let list), .tuple(let list), .view(_, let list): list.depth
    case .dictionary(let dictionary): dictionary.depth
    case .generator(let generator): generator.depth
    case .method(let method): method.receiver.depth + 1
    default: 0
    }
  }

  /// A list.
  static func list(_ items: [RuntimeValue]) -> RuntimeValue { .list(RuntimeList(items)) }
  /// A tuple.
  static func tuple(_ items: [RuntimeValue]) -> RuntimeValue { .tuple(RuntimeList(items)) }
  /// A generator.
  static func generator(_ items: [RuntimeValue]) -> RuntimeValue { .generator(RuntimeGenerator(items)) }

  /// Python's name of the type, for messages.
  var typeName: String {
    switch self {
    case .undefined: "Undefined"
    case .none: "NoneType"
    case .boolean: "bool"
    case .integer: "int"
    case .number: "float"
    case .string: "str"
    case .list: "list"
    case .tuple: "tuple"
    case .view(let name, _): name
    case .dictionary: "dict"
    case .range: "range"
    case .generator: "generator"
    case .method, .function: "function"
    case .macro: "Macro"
    case .namespace: "Namespace"
    case .loop: "LoopContext"
    case .cycler(let cycler): cycler.isJoiner ? "Joiner" : "Cycler"
    }
  }

  /// Python's truth.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .boolean(let value): value
    case .integer(let value): value != 0
    case .number(let value): value != 0
    case .string(let text): !text.utf8.isEmpty
    case .list(let list), .tuple(let list), .view(_, let list): !list.items.isEmpty
    case .dictionary(let dictionary): !dictionary.entries.isEmpty
    case .range(let range): range.count > 0
    default: true
    }
  }

  /// Its integer when it is an int or bool.
  var wholeNumber: Int? {
    switch self {
    case .integer(let value): value
    case .boolean(let value): value ? 1 : 0
    default: nil
    }
  }

  /// Its float when it is any number.
  var real: Double? {
    if case .number(let value) = self { return value }
    return wholeNumber.map(Double.init)
  }

  /// Python's `==`; containers nest at most as deeply as the value bound allows.
  func isEqual(to other: RuntimeValue) -> Bool {
    switch (self, other) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let a), .string(let b)): return a.isSameText(as: b)
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      return a.items.count == b.items.count && zip(a.items, b.items).allSatisfy { $0.isEqual(to: $1) }
    case (.view(let name, let a), .view(let other, let b)) where name == other && name != "dict_values":
      return a.items.count == b.items.count && zip(a.items, b.items).allSatisfy { $0.isEqual(to: $1) }
    case (.dictionary(let a), .dictionary(let b)):
      return a.entries.count == b.entries.count
        && a.entries.allSatisfy { b.value($0.key)?.isEqual(to: $0.value) ?? false }
    case (.range(let a), .range(let b)):
      return a.count == b.count && (a.count == 0 || a.start == b.start && (a.count == 1 || a.step == b.step))
    case (.generator(let a), .generator(let b)): return a === b
    case (.macro(let a), .macro(let b)): return a === b
    case (.namespace(let a), .namespace(let b)): return a === b
    case (.function(let a), .function(let b)): return a == b
    default:
      if let a = wholeNumber, let b = other.wholeNumber { return a == b }
      guard let a = real, let b = other.real else { return false }
      return a == b
    }
  }
}

extension String {
  /// Whether the scalars are the same; `==` would also equate different spellings of one character.
  func isSameText(as other: String) -> Bool {
    utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
  }
}

/// A dictionary in the order of insertion, with any hashable Python value as key.
struct RuntimeDictionary {
  private(set) var entries: [(key: RuntimeValue, value: RuntimeValue)] = []
  private(set) var depth = 1
  private(set) var weight = 1
  /// Positions by key, kept once a search from end to end would be slow.
  private var positions: [RuntimeKey: Int] = [:]
  private static let linearCount = 8

  /// Empty.
  init() {}

  private func position(_ key: RuntimeKey) -> Int? {
    if entries.count > Self.linearCount { return positions[key] }
    return entries.firstIndex { RuntimeKey($0.key) == key }
  }

  /// The value of a key, `nil` when it is not there or cannot be a key.
  func value(_ key: RuntimeValue) -> RuntimeValue? {
    if entries.count <= Self.linearCount, case .string(let wanted) = key {
      for entry in entries {
        if case .string(let name) = entry.key, name.isSameText(as: wanted) { return entry.value }
      }
      return nil
    }
    guard let key = RuntimeKey(key), let found = position(key) else { return nil }
    return entries[found].value
  }

  /// Sets a value; `false` when the key is not hashable.
  mutating func set(_ key: RuntimeValue, _ value: RuntimeValue) -> Bool {
    guard let hashable = RuntimeKey(key) else { return false }
    depth = max(depth, value.depth + 1, key.depth + 1)
    weight = RuntimeList.sum(weight, RuntimeList.sum(key.weight, value.weight))
    if let found = position(hashable) {
      entries[found].value = value
      return true
    }
    entries.append((key, value))
    if entries.count == Self.linearCount + 1 {
      for (index, entry) in entries.enumerated() { RuntimeKey(entry.key).map { positions[$0] = index } }
    } else if entries.count > Self.linearCount {
      positions[hashable] = entries.count - 1
    }
    return true
  }
}

/// What Python hashes: equal numbers of different types are one key.
enum RuntimeKey: Hashable {
  case none
  case integer(Int)
  case number(Double)
  case text([UInt8])
  case tuple([RuntimeKey])

  /// `nil` for a value that cannot be a key.
  init?(_ value: RuntimeValue) {
    switch value {
    case .none: self = .none
    case .boolean, .integer: self = .integer(value.wholeNumber ?? 0)
    case .number(let number): self = Int(exactly: number).map { .integer($0) } ?? .number(number)
    case .string(let text): self = .text(Array(text.utf8))
    case .tuple(let list):
      var keys: [RuntimeKey] = []
      for item in list.items {
        guard let key = RuntimeKey(item) else { return nil }
        keys.append(key)
      }
      self = .tuple(keys)
    default: return nil
    }
  }
}
