internal import Formats
internal import Train

/// All keys of recipes, object by object.
struct RecipeReference {
  /// An object's keys, or the forms of which one stands at a key.
  struct Part: Equatable {
    /// Keys from the outermost inwards, joined by dots; empty for the recipe itself.
    let path: String
    /// Kinds of networks that have it, where not all have.
    var networks: [String]
    /// What it is: a sentence.
    let meaning: String
    /// What it is made of.
    let content: Content

    /// The path of a key or form within.
    func path(of name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
  }

  /// What a part is made of.
  enum Content: Equatable {
    /// An object's keys.
    case keys([SettingKey])
    /// What may stand there, as a name or as an object of one.
    case forms([SettingForm])
    /// Objects of which one may stand there.
    case kinds([SettingForm])
  }

  /// A key with its part.
  struct Entry {
    let part: Part
    let key: SettingKey
    var path: String { part.path(of: key.name) }
  }

  /// The recipe first, each other part behind the one in which it stands.
  private(set) var parts: [Part] = []

  /// What ``Train/Recipe`` takes.
  init() { add(Part(path: "", networks: [], meaning: "A recipe.", content: .keys(Recipe.keys))) }

  private mutating func add(_ part: Part) {
    if let known = parts.firstIndex(where: { $0.path == part.path && $0.content == part.content }) {
      parts[known].networks += part.networks.filter { !parts[known].networks.contains($0) }
    } else {
      parts.append(part)
    }
    switch part.content {
    case .keys(let keys): for key in keys { add(key, of: part) }
    case .forms(let forms):
      for form in forms {
        add(
          Part(
            path: part.path(of: form.name), networks: part.networks, meaning: form.meaning,
            content: .keys(form.keys)))
      }
    case .kinds(let forms):
      for form in forms {
        add(Part(path: part.path, networks: [form.name], meaning: form.meaning, content: .keys(form.keys)))
      }
    }
  }

  private mutating func add(_ key: SettingKey, of part: Part) {
    let content: Content
    switch key.values {
    case .object(let keys): content = .keys(keys)
    case .named(let forms): content = .forms(forms)
    case .oneOf(let forms): content = .kinds(forms)
    case .integer, .number, .truth, .text, .choice, .words: return
    }
    add(Part(path: part.path(of: key.name), networks: part.networks, meaning: key.meaning, content: content))
  }

  /// The parts at a path and below; all for an empty path.
  func parts(at path: String) -> [Part] {
    parts.filter { path.isEmpty || $0.path == path || $0.path.hasPrefix(path + ".") }
  }

  /// The keys at a path, one for each kind of network that has it.
  func entries(at path: String) -> [Entry] { entries.filter { $0.path == path } }

  /// All keys.
  var entries: [Entry] {
    parts.flatMap { part -> [Entry] in
      guard case .keys(let keys) = part.content else { return [] }
      return keys.map { Entry(part: part, key: $0) }
    }
  }

  /// All paths, of keys and of forms.
  var paths: [String] {
    var known: Set<String> = []
    return (parts.map(\.path) + entries.map(\.path)).filter { !$0.isEmpty && known.insert($0).inserted }
  }

  /// Known paths like one that is not, five at most: those whose last keys differ from it least, if little, whatever letters are capital.
  func paths(like path: String) -> [String] {
    let names = path.lowercased().split(whereSeparator: { $0 == "." || $0.isWhitespace })
    guard !names.isEmpty else { return [] }
    let wanted = names.joined(separator: ".")
    let ranked = paths.map { known in
      let end = known.split(separator: ".").suffix(names.count).joined(separator: ".")
      return (path: known, distance: changes(from: wanted, to: end))
    }
    let least = ranked.map(\.distance).min() ?? 0
    guard least <= max(2, wanted.count / 4) else { return [] }
    return Array(ranked.filter { $0.distance == least }.map(\.path).prefix(5))
  }

  /// Characters that have to be inserted, deleted or replaced.
  private func changes(from a: String, to b: String) -> Int {
    var row = Array(0...b.count)
    for (line, character) in a.enumerated() {
      var diagonal = row[0]
      row[0] = line + 1
      for (column, other) in b.enumerated() {
        let kept = diagonal + (character == other ? 0 : 1)
        diagonal = row[column + 1]
        row[column + 1] = min(kept, row[column] + 1, row[column + 1] + 1)
      }
    }
    return row[b.count]
  }
}

extension SettingKey {
  /// What holds where it is left out.
  var standardText: String {
    switch standard {
    case .required: "required"
    case .value(.string(let name)): name
    case .value(let value): (try? value.serialized()) ?? "\(value)"
    case .words(let words): words
    }
  }
}
