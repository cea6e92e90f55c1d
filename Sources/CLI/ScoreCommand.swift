internal import ArgumentParser
internal import Engine
internal import Glibc
internal import Memory
internal import Models
internal import Tokenizers

/// Log-likelihood and perplexity of a text.
struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score", abstract: "Log-likelihood and perplexity of a text.",
    discussion: """
        godwit score --text /usr/share/common-licenses/Apache-2.0 --max-tokens 1024 --json
        godwit score --model ~/models/gpt2 --tokens ids.txt
      """)

  @Option(help: "The text; - for standard input.")
  var text: String?

  @Option(help: "A file with token ids between white space instead of a text; - for standard input.")
  var tokens: String?

  @Option(name: .customLong("max-tokens"), help: "Score only so many tokens from the start.")
  var maximumTokens: Int?

  @Flag(help: "Print a JSON line.")
  var json = false

  @OptionGroup var options: ModelOptions

  func validate() throws {
    guard (text == nil) != (tokens == nil) else { throw ValidationError("Give --text or --tokens.") }
  }

  func run() throws {
    let source = text ?? tokens ?? "-"
    let content = try Files.text(source)
    let loaded = try options.load()
    var tokens = try text == nil ? Self.identifiers(content, source) : loaded.tokenizer.encode(content)
    if let maximumTokens {
      guard maximumTokens >= 2 else { throw ValidationError("--max-tokens must be 2 or more.") }
      tokens = Array(tokens.prefix(maximumTokens))
    }
    guard tokens.count >= 2 else {
      throw CommandFailure("\(source) has \(tokens.count) tokens; 2 are needed.")
    }
    guard tokens.count <= loaded.model.contextLength else {
      throw EngineError.tooLong(prompt: tokens.count, generated: 0, limit: loaded.model.contextLength)
    }
    let start = ContinuousClock.now
    var progress = Progress("tokens", total: tokens.count)
    let mean = try Scorer(loaded.model).meanNegativeLogLikelihood(tokens) { progress.update($0) }
    progress.finish()
    let time = seconds(since: start)
    if json {
      Output.json([
        "tokens": JSONField(tokens.count), "mean_nll": JSONField(mean, decimals: 6),
        "perplexity": JSONField(exp(mean), decimals: 4), "seconds": JSONField(time, decimals: 3),
        "tok_s": JSONField(Double(tokens.count) / time, decimals: 1),
        "device": JSONField(loaded.backEnd.name),
      ])
    } else {
      Output.write("tokens      \(tokens.count)\nmean NLL    \(Output.fixed(mean, 6))\n")
      Output.write("perplexity  \(Output.fixed(exp(mean), 4))\n")
    }
  }

  /// Token ids written between white space.
  private static func identifiers(_ text: String, _ file: String) throws -> [Int32] {
    try text.split(whereSeparator: \.isWhitespace).enumerated().map { number, word in
      guard let token = Int32(word) else {
        throw CommandFailure("\(file): word \(number + 1), \"\(word.prefix(40))\", is no token id.")
      }
      return token
    }
  }
}
