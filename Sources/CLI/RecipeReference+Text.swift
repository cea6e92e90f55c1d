internal import Formats

extension RecipeReference {
  /// A part as a terminal shows it: a line that says what it is, and two for each key, the path first so that they can be searched.
  static func text(_ part: Part) -> String {
    let place = part.path.isEmpty ? "" : "\(part.path)\(networks(part)): "
    switch part.content {
    case .keys(let keys):
      guard !keys.isEmpty else { return "\(place)\(plain(part.meaning)) It has no keys.\n" }
      return "\(place)\(plain(part.meaning))\n" + keys.map { text(Entry(part: part, key: $0)) }.joined()
    case .forms(let forms):
      let width = forms.map(\.name.count).max() ?? 0
      let lines = forms.map { form in
        let space = String(repeating: " ", count: width - form.name.count)
        return "  \(form.name)\(space)  \(plain(form.meaning))\n"
      }
      return "\(place)\(plain(part.meaning)) One of these names, or an object of one:\n" + lines.joined()
    case .kinds: return "\(place)\(plain(part.meaning))\n"
    }
  }

  /// A key as a terminal shows it.
  static func text(_ entry: Entry) -> String {
    // Where the same key of another network may differ.
    let networks = entry.part.networks.count == 1 ? networks(entry.part) : ""
    let standard =
      switch entry.key.standard {
      case .required: "required"
      case .value: "default \(entry.key.standardText)"
      case .words: "default: \(plain(entry.key.standardText))"
      }
    return "  \(entry.path)\(networks)  (\(plain(entry.key.values.description)); \(standard))\n"
      + "      \(plain(entry.key.meaning))\n"
  }

  /// Which networks have it, where that has to be said.
  private static func networks(_ part: Part) -> String {
    part.networks.isEmpty ? "" : " (\(part.networks.joined(separator: ", ")))"
  }

  /// Without the marks of code.
  private static func plain(_ text: String) -> String { text.replacing("`", with: "") }
}
