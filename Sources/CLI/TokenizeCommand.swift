internal import ArgumentParser
internal import Tokenizers

/// A text's token ids.
struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize", abstract: "Token ids of a text.",
    discussion: "  godwit tokenize --text \"Hello, world\"\n  godwit tokenize --file README.md --count")

  @Option(help: "The text itself.")
  var text: String?

  @Option(help: "A file with the text; - for standard input.")
  var file: String?

  @Flag(help: "Print only how many there are, and the speed.")
  var count = false

  @Flag(help: "Recognise special tokens written in the text.")
  var special = false

  @OptionGroup var options: ModelOptions

  func validate() throws {
    guard (text == nil) != (file == nil) else { throw ValidationError("Give --text or --file.") }
  }

  func run() throws {
    let content = try text ?? Files.text(file ?? "-")
    let tokenizer = try options.tokenizer()
    let start = ContinuousClock.now
    let ids = tokenizer.encode(content, parsesSpecial: special)
    let time = seconds(since: start)
    if count {
      Output.json([
        "tokens": JSONField(ids.count), "bytes": JSONField(content.utf8.count),
        "mb_s": JSONField(Double(content.utf8.count) / time / 1e6, decimals: 2),
      ])
    } else {
      Output.write(ids.map { "\($0)" }.joined(separator: " ") + "\n")
    }
  }
}
