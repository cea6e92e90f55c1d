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

    `Recipes/` has those of published results. `--set KEY=VALUE` puts a value in place of a recipe's, for example
    `--set task.induction.tokens=60`. A key that nobody reads is an error that lists those that may stand there.

    `godwit recipe` prints this page in a terminal, `godwit recipe model.mixer.hyena` a part of it, and `--json` a line for each key.
    Integers that only have a least value go to 2147483647, seeds to 9223372036854775807.

    """

  private func section(_ part: Part) -> String {
    let name = part.path.isEmpty ? "The recipe" : "`\(part.path)`"
    let networks = part.networks.isEmpty ? "" : " of networks: " + part.networks.joined(separator: ", ")
    let depth = min(4, 2 + part.path.count { $0 == "." })
    let start = "\n\(String(repeating: "#", count: depth)) \(name)\(networks)\n\n"
    switch part.content {
    case .keys(let keys):
      if keys.isEmpty { return "" }
      let rows = keys.map { key in
        let standard = if case .value = key.standard { "`\(key.standardText)`" } else { key.standardText }
        return "| `\(part.path(of: key.name))` | \(key.values) | \(standard) | \(key.meaning) |\n"
      }
      let meaning = part.path.isEmpty ? "" : "\(part.meaning)\n\n"
      return start + meaning + "| Key | Values | Default | Meaning |\n|---|---|---|---|\n" + rows.joined()
    case .forms(let forms):
      let rows = forms.map { "| `\($0.name)` | \($0.meaning) |\n" }
      return start + "\(part.meaning) One of these names, or an object of one with keys of its own:\n\n"
        + "| Name | Meaning |\n|---|---|\n" + rows.joined()
    case .kinds: return start + "\(part.meaning)\n"
    }
  }
}
