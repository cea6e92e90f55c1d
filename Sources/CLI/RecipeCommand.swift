internal import ArgumentParser

/// What may stand in a recipe.
struct RecipeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recipe", abstract: "Explain the keys of training recipes: values, defaults, meaning.",
    discussion: """
        godwit recipe
        godwit recipe model.mixer.hyena
        godwit recipe optimizer.rate
        godwit recipe | grep dropout
        godwit recipe task --json
      The same stands in Documentation/Recipes.md, which `godwit recipe --markdown` writes. `godwit train --set KEY=VALUE` takes these keys.
      """)

  /// How it is printed.
  enum Format: String, EnumerableFlag {
    /// For a terminal.
    case text
    /// A JSON line for each key.
    case json
    /// A page of documentation.
    case markdown

    static func help(for value: Format) -> ArgumentHelp? {
      switch value {
      case .text: "Print text, two lines a key."
      case .json: "Print a JSON line a key."
      case .markdown: "Print the whole as a page of Markdown."
      }
    }
  }

  @Argument(help: "A key with those around it, joined by dots; by default all.")
  var key: String?

  @Flag(help: "How to print it.")
  var format = Format.text

  func validate() throws {
    if format == .markdown, key != nil {
      throw ValidationError("--markdown prints the whole page; leave out the key.")
    }
  }

  func run() throws { Output.write(try text()) }

  /// What is printed.
  func text() throws -> String {
    let reference = RecipeReference()
    if format == .markdown { return reference.page }
    let path = key ?? ""
    let (entries, parts) = (reference.entries(at: path), reference.parts(at: path))
    guard !entries.isEmpty || !parts.isEmpty else { throw unknown(path, reference) }
    if format == .json {
      return try (entries.map { try RecipeReference.line($0) } + parts.map { try RecipeReference.lines($0) })
        .joined()
    }
    return (entries.map { RecipeReference.text($0) } + parts.map { RecipeReference.text($0) })
      .joined(separator: "\n")
  }

  private func unknown(_ path: String, _ reference: RecipeReference) -> CommandFailure {
    let known = reference.paths(like: path)
    guard !known.isEmpty else {
      return CommandFailure("recipes have no key “\(path)”. `godwit recipe` lists all.")
    }
    return CommandFailure(
      "recipes have no key “\(path)”. Near to it: \(known.joined(separator: ", ")). `godwit recipe` lists all."
    )
  }
}
