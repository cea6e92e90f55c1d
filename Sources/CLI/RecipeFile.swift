internal import Formats
internal import Memory
internal import Train
internal import Yams

/// Reads recipes: YAML, of which JSON is a part.
enum RecipeFile {
  /// Longest file.
  private static let mostBytes = 1 << 20
  /// Values of a file; anchors can repeat what is written once.
  private static let mostValues = 100_000

  /// The recipe in a file, with settings as ``recipe(_:file:seed:settings:)`` has them.
  static func read(_ path: String, seed: UInt64?, settings: [String] = []) throws -> Recipe {
    try recipe(contents(of: path), file: path, seed: seed, settings: settings)
  }

  /// What a recipe's file says; a pipe can be read once.
  static func contents(of path: String) throws -> JSON {
    let text = try Files.text(path)
    guard text.utf8.count <= mostBytes else {
      throw CommandFailure("\(path) has \(text.utf8.count) bytes; a recipe has \(mostBytes) at most.")
    }
    guard let recipe = try json(text, path) else {
      throw CommandFailure("\(path) is empty; a recipe has a task, a model and an optimizer.")
    }
    return recipe
  }

  /// A recipe.
  ///
  /// - Parameters:
  ///   - file: for messages.
  ///   - seed: in place of the recipe's own.
  ///   - settings: `KEY=VALUE`, keys of nested objects joined by dots, in place of what the file says.
  static func recipe(_ contents: JSON, file: String, seed: UInt64?, settings: [String]) throws -> Recipe {
    try Recipe(settings.reduce(contents) { try changed($0, by: $1) }, file: file, seed: seed)
  }

  private static func changed(_ recipe: JSON, by setting: String) throws -> JSON {
    let sides = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let keys = sides[0].split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard sides.count == 2, keys.allSatisfy({ !$0.isEmpty }) else {
      throw CommandFailure("--set \(setting): say KEY=VALUE, for example --set task.recall.length=8192.")
    }
    let value = try json(String(sides[1]), "--set \(sides[0])") ?? .null
    guard let result = recipe.setting(keys, to: value) else {
      throw CommandFailure("--set \(setting): a key before the last has a value that is no object.")
    }
    return result
  }

  /// Most aliases of a file: each may double what is written, before anybody counts.
  private static let mostAliases = 12

  /// What a text says; `nil` where it is empty.
  private static func json(_ text: String, _ source: String) throws -> JSON? {
    let aliases = text.matches(of: /(?:^|[\s,:?\[{-])\*[^\s,*]/).count
    guard aliases <= mostAliases else {
      throw CommandFailure("\(source) has \(aliases) aliases (*name); a recipe has \(mostAliases) at most.")
    }
    let root: Node?
    do { root = try compose(yaml: text) } catch { throw CommandFailure("\(source): \(error)") }
    var left = mostValues
    return try root.map { try json($0, source, &left) }
  }

  private static func json(_ node: Node, _ path: String, _ left: inout Int) throws -> JSON {
    left -= 1
    guard left > 0 else { throw CommandFailure("\(path) has more than \(mostValues) values.") }
    switch node {
    case .scalar:
      if node.null != nil { return .null }
      if let value = node.bool { return .bool(value) }
      if let value = node.int { return .integer(value) }
      if let value = node.float {
        guard value.isFinite else { throw CommandFailure("\(path): \(value) is no number to train with.") }
        return .number(value)
      }
      return .string(node.string ?? "")
    case .sequence(let items): return .array(try items.map { try json($0, path, &left) })
    case .mapping(let mapping):
      var members: [JSONObject.Member] = []
      for (key, value) in mapping {
        guard let name = key.string else { throw CommandFailure("\(path): a key is no string.") }
        members.append(JSONObject.Member(key: name, value: try json(value, path, &left)))
      }
      guard let object = JSONObject(members) else { throw CommandFailure("\(path): a key stands twice.") }
      return .object(object)
    case .alias: throw CommandFailure("\(path): an alias to nothing.")
    }
  }
}
