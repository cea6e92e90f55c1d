internal import Formats

extension RecipeReference {
  /// The reference as Markdown.
  var page: String { Self.introduction + parts.map(section).joined() }

  /// The shortest recipe.
  static let example = """
    task: induction
    model: {mixer: h3, width: 32, layers: 2}
    optimizer: {rate: 5e-4}
    epochs: 400
    """

  private static let introduction = """
    # Recipes

    <!-- Written by `godwit recipe --markdown`, from the descriptions beside the code that reads the keys. -->

    `godwit train` reads a recipe: a YAML file, of which JSON is a part. The shortest has four keys:

    ```yaml
    \(example)
    ```

    A path is a key within objects: `model.mixer.hyena.order` is 3 in `model: {mixer: {hyena: {order: 3}}}`. Where a name may stand,
    `mixer: hyena` is hyena with its defaults.

    `Recipes/` has those of published results. `--set KEY=VALUE` puts a value in place of a recipe's, for example
    `--set task.induction.tokens=60`. A key that nobody reads is an error that lists those that may stand there.

    `godwit recipe` prints this page in a terminal, `godwit recipe model.mixer.hyena` a part of it, and `--json` a line for each key.
    Integers that only have a least value go to 2147483647, seeds to 9223372036854775807.

    """

  private func section(_ part: Part) -> String {
    switch part.content {
    case .keys(let keys):
      if keys.isEmpty { return "" }
      let rows = keys.map { key in
        let standard = if case .value = key.standard { "`\(key.standardText)`" } else { key.standardText }
        return "| \(link(part.path(of: key.name))) | \(key.values) | \(standard) | \(key.meaning) |\n"
      }
      return start(of: part) + "| Key | Values | Default | Meaning |\n|---|---|---|---|\n" + rows.joined()
    case .forms(let forms):
      let rows = forms.map { "| \(link(part.path(of: $0.name), as: $0.name)) | \($0.meaning) |\n" }
      return start(of: part) + "One of these names, or an object of one with its keys:\n\n"
        + "| Name | Meaning |\n|---|---|\n" + rows.joined()
    case .kinds(let forms):
      let rows = forms.map { "- [\($0.name)](#\(Self.anchor(part.path, $0.name))): \($0.meaning)\n" }
      return start(of: part) + rows.joined()
    }
  }

  /// Heading and what it is about.
  private func start(of part: Part) -> String {
    let depth = min(4, 2 + part.path.count { $0 == "." })
    let name = part.path.isEmpty ? "The recipe" : "`\(part.path)`"
    // Kinds of a network have the same path.
    let kind = parts.count { $0.path == part.path } > 1 ? part.networks.map { ", \($0)" }.joined() : ""
    let heading = "\n\(String(repeating: "#", count: depth)) \(name)\(kind)\n\n"
    return part.path.isEmpty ? heading : "\(heading)\(part.meaning)\n\n"
  }

  /// A path, which leads to its keys where it has any.
  private func link(_ path: String, as name: String? = nil) -> String {
    let code = "`\(name ?? path)`"
    let hasPart = parts.contains { $0.path == path && $0.content != .keys([]) }
    return hasPart ? "[\(code)](#\(Self.anchor(path, nil)))" : code
  }

  /// What leads to a heading.
  private static func anchor(_ path: String, _ kind: String?) -> String {
    path.filter { $0 != "." } + (kind.map { "-\($0)" } ?? "")
  }
}
