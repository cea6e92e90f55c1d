internal import ArgumentParser
internal import Formats
internal import Memory
internal import Tokenizers
internal import Train

/// Turns text into the tokens that language models are trained on.
struct CorpusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "corpus", abstract: "Turn text into a file of tokens to train language models on.",
    discussion: """
      A file is a document; in .jsonl each line's "text" is one, in .fa, .fna and .fasta each record's letters. Of the
      documents a share, the same whenever it is done, is kept for judging; of a single one its end.

        godwit corpus book.txt notes/*.md --out text.safetensors
        godwit corpus articles.jsonl --tokenizer gpt2/tokenizer.json --out articles.safetensors
      """)

  @Argument(help: "Text, .jsonl or FASTA files.")
  var files: [String]

  @Option(help: "Where the tokens go, a safetensors file.")
  var out: String

  @Option(help: "bytes, or a tokenizer.json.")
  var tokenizer = "bytes"

  @Option(name: .customLong("test-share"), help: "Share of the tokens that networks are judged by.")
  var testShare = 0.01

  @Flag(help: "Print one JSON line.")
  var json = false

  func validate() throws {
    guard testShare > 0, testShare < 1 else {
      throw ValidationError("--test-share must be above 0 and below 1.")
    }
  }

  func run() throws {
    let start = ContinuousClock.now
    try Files.requireOther(out, than: files + [tokenizer])
    let description = tokenizer == "bytes" ? tokenizer : try Files.text(tokenizer)
    let tokens = try Tokenizer(description: description, file: tokenizer)
    var split = TextSplit(share: testShare)
    var progress = Progress("corpus", total: files.count)
    var bytes = 0
    for (number, file) in files.enumerated() {
      try TextDocuments.forEach(in: file) { text in
        bytes += text.utf8.count
        split.add(tokens.encode(text, addsBeginning: false), end: tokens.end)
      }
      progress.update(number + 1)
    }
    progress.finish()
    let parts = split.finished()
    guard parts.train.count > 1, parts.test.count > 1 else {
      throw CommandFailure(
        "\(bytes) bytes of text give \(parts.train.count) tokens to train on and \(parts.test.count) to judge by. "
          + "Give more text or another --test-share.")
    }
    try Corpus.write(
      train: parts.train, test: parts.test, vocabularySize: tokens.vocabularySize, tokenizer: description,
      to: out)
    let time = seconds(since: start)
    if json {
      Output.json([
        "documents": JSONField(split.documents), "bytes": JSONField(bytes),
        "train_tokens": JSONField(parts.train.count), "test_tokens": JSONField(parts.test.count),
        "vocabulary": JSONField(tokens.vocabularySize), "seconds": JSONField(time, decimals: 2),
        "out": JSONField(out),
      ])
    } else {
      Output.write(
        "\(split.documents) documents, \(bytes) bytes: \(parts.train.count) tokens to train on, "
          + "\(parts.test.count) to judge by, in \(out)\n")
    }
  }
}

/// Documents' tokens, dealt out to training and judging.
private struct TextSplit {
  let share: Double
  private(set) var documents = 0
  private var train: [Int32] = []
  private var test: [Int32] = []
  private var choice = SeededNumbers(seed: 0)

  init(share: Double) { self.share = share }

  mutating func add(_ tokens: [Int32], end: Int32?) {
    guard !tokens.isEmpty else { return }
    documents += 1
    let isTest = Double(choice.next() >> 11) * 0x1p-53 < share
    let document = tokens + (end.map { [$0] } ?? [])
    if isTest { test += document } else { train += document }
  }

  /// Both parts; where of few documents one part got none or little, the last tokens judge.
  mutating func finished() -> (train: [Int32], test: [Int32]) {
    let wanted = Int(Double(train.count + test.count) * share)
    if train.isEmpty { swap(&train, &test) }
    if test.count < wanted / 4 {
      let missing = min(train.count, wanted - test.count)
      test = train.suffix(missing) + test
      train.removeLast(missing)
    }
    return (train, test)
  }
}
