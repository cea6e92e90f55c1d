internal import ArgumentParser
internal import Engine
internal import Formats
internal import Glibc
internal import Memory
internal import Tokenizers

/// Prompts from a JSON Lines file, answers to another.
struct BatchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "batch", abstract: "Answer the prompts of a JSON Lines file.",
    discussion: """
      Each input line is {"prompt": "…"} or {"chat": "a user's message"}, with optional
      "id", "max_tokens", "temperature", "top_p", "seed", "logprobs" and "top_logprobs". Log-probabilities come in
      OpenAI's shapes: that of chat completions for "logprobs": true, beside which alone "top_logprobs" may stand, that of
      completions for a number. Each output line carries the input's number and id. A line that cannot be served becomes
      one record with "error". A second run goes on where the first stopped, and tries again what has an error. Where no
      line could be served the exit code is 1.

        godwit batch --input in.jsonl --output out.jsonl
        godwit batch --model runs/code-hyena.safetensors --input in.jsonl --output out.jsonl
      """)

  @Option(name: [.short, .long], help: "JSON Lines with prompts.")
  var input: String

  @Option(name: [.short, .long], help: "JSON Lines with answers; appended to. - is standard output.")
  var output: String

  @Option(
    name: [.customShort("n"), .customLong("max-tokens")], help: "Longest answer where a line does not say.")
  var maximumTokens = 128

  @OptionGroup var options: ModelOptions

  func run() throws {
    try Files.requireOther(output, than: [input])
    let lines = Files.lines(try Files.text(input), omittingEmptySubsequences: false)
    let done = try finishedLines()
    let waiting = lines.enumerated().filter {
      !done.contains($0.offset) && !$0.element.allSatisfy(\.isWhitespace)
    }
    let failed: Int
    // Models first: what cannot be answered leaves no file.
    if let model = try options.trained() {
      failed = try writing { try answer(waiting, with: model, $0) }
    } else {
      let model = try options.load()
      failed = try writing { try answer(waiting, with: model, $0) }
    }
    guard failed > 0 else { return }
    let message = "\(failed) of \(waiting.count) lines have a record with an error."
    if failed == waiting.count { throw CommandFailure(message) }
    Output.note(message + "\n")
  }

  /// What `body` does with the opened output.
  private func writing<Result>(_ body: (Int32) throws -> Result) throws -> Result {
    if output == "-" { return try body(STDOUT_FILENO) }
    let descriptor = unsafe open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw CommandFailure("\(output): \(unsafe String(cString: strerror(errno))).")
    }
    defer { close(descriptor) }
    // After a record that was cut short, the next one starts on a line of its own.
    if FileKind(path: output) == .file, let last = try Files.bytes(output).last, last != 0x0A {
      unsafe _ = Glibc.write(descriptor, "\n", 1)
    }
    return try body(descriptor)
  }

  private typealias Lines = [(offset: Int, element: String)]

  /// - Returns: lines that got a record with an error, as does the other.
  private func answer(_ lines: Lines, with loaded: LoadedModel, _ descriptor: Int32) throws -> Int {
    // Without one every line would fail for the same reason.
    let reading = Reading(
      tokenizer: try loaded.tokenizer, stopTokens: loaded.stopTokens, chatPrompt: loaded.chatPrompt)
    let generator = try loaded.generator()
    var answers = Answers(tokenizer: reading.tokenizer, descriptor: descriptor)
    answers.failed = try submit(lines, reading, descriptor) { answers.records[try generator.submit($0)] = $1 }
    answers.begin()
    while !generator.isIdle {
      for event in try generator.step() { try receive(event, &answers) }
    }
    answers.progress.finish()
    return answers.failed
  }

  /// All lines first, since prompts of one length are computed together.
  private func answer(_ lines: Lines, with trained: TrainedModel, _ descriptor: Int32) throws -> Int {
    let reading = Reading(
      tokenizer: trained.tokenizer, stopTokens: trained.stopTokens,
      chatPrompt: { _ in
        throw CommandFailure("the network has no chat template. Say prompt in place of chat.")
      })
    let generator = SequenceGenerator(trained.network)
    var requests: [GenerationRequest] = []
    var answers = Answers(tokenizer: reading.tokenizer, descriptor: descriptor)
    answers.failed = try submit(lines, reading, descriptor) { request, record in
      try generator.check(request)
      answers.records[requests.count] = record
      requests.append(request)
    }
    answers.begin()
    try generator.run(requests) { event in
      try receive(event, &answers)
      return true
    }
    answers.progress.finish()
    return answers.failed
  }

  /// Hands on the requests of lines; one that cannot be served becomes a record with the reason.
  ///
  /// - Returns: how many of those there are.
  private func submit(
    _ lines: Lines, _ reading: Reading, _ descriptor: Int32,
    _ take: (GenerationRequest, Record) throws -> Void
  ) throws -> Int {
    var failed = 0
    for (number, line) in lines {
      do {
        let (request, record) = try parse(line, number, reading)
        try take(request, record)
      } catch {
        failed += 1
        let id = (try? JSON.parse(line, file: input))?["id"] ?? .null
        try append(["line": .integer(number), "id": id, "error": .string("\(error)")], to: descriptor)
      }
    }
    return failed
  }

  /// What lines are read with.
  private struct Reading {
    let tokenizer: Tokenizer
    let stopTokens: Set<Int32>
    let chatPrompt: (String) throws -> [Int32]
  }

  /// Requests without an answer so far, by number.
  private struct Answers {
    let tokenizer: Tokenizer
    let descriptor: Int32
    var records: [Int: Record] = [:]
    /// Records with an error.
    var failed = 0
    var progress = Progress("answers", total: 0)
    private var total = 0

    init(tokenizer: Tokenizer, descriptor: Int32) {
      (self.tokenizer, self.descriptor) = (tokenizer, descriptor)
    }

    /// Says how many there are.
    mutating func begin() {
      total = records.count
      progress = Progress("answers", total: total)
    }

    /// Takes out a request that has ended.
    mutating func end(_ request: Int) -> Record? {
      let record = records.removeValue(forKey: request)
      progress.update(total - records.count)
      return record
    }
  }

  /// A request under way.
  private struct Record {
    var number: Int
    var id: JSON
    var prompt: Int
    /// Shape of the log-probabilities, where they are wanted.
    var probabilities: LogProbabilities.Shape?
    var reuse: PrefixReuse?
    var choices: [Sampling.Choice] = []
  }

  private func receive(_ event: GenerationEvent, _ answers: inout Answers) throws {
    switch event {
    case .started(let request, let reuse): answers.records[request]?.reuse = reuse
    case .token(let request, let choice): answers.records[request]?.choices.append(choice)
    case .finished(let request, let reason):
      guard let record = answers.end(request) else { return }
      try append(answer(record, reason, answers.tokenizer), to: answers.descriptor)
    case .failed(let request, let error):
      guard let record = answers.end(request) else { return }
      answers.failed += 1
      try append(
        ["line": .integer(record.number), "id": record.id, "error": .string("\(error)")],
        to: answers.descriptor)
    }
  }

  private func answer(_ record: Record, _ reason: FinishReason, _ tokenizer: Tokenizer) -> JSON {
    var members: [JSONObject.Member] = []
    func add(_ key: String, _ value: JSON) { members.append(JSONObject.Member(key: key, value: value)) }
    add("line", .integer(record.number))
    add("id", record.id)
    add("text", .string(tokenizer.decode(record.choices.map(\.token))))
    add("finish_reason", .string(reason.rawValue))
    if let shape = record.probabilities {
      add("logprobs", LogProbabilities(tokenizer: tokenizer, shape: shape).json(record.choices))
    }
    add("prompt_tokens", .integer(record.prompt))
    add("completion_tokens", .integer(record.choices.count))
    if let reuse = record.reuse {
      add("prompt_tokens_reused", .integer(reuse.reusedTokens))
      add("prompt_reuse_end", .string("\(reuse.end)"))
    }
    return .object(JSONObject(members) ?? JSONObject())
  }

  /// Reads `logprobs` and `top_logprobs`: the shape wanted, and how many alternatives.
  static func probabilities(_ node: JSONNode) throws -> (shape: LogProbabilities.Shape, count: Int)? {
    let range = 0...LogProbabilities.maximumAlternatives
    let top = try node.optional("top_logprobs")
    let count = try top?.integer(in: range)
    guard let wanted = try node.optional("logprobs") else {
      guard top == nil else {
        throw FormatError.missingKey(file: node.file, key: "logprobs: true (for top_logprobs)")
      }
      return nil
    }
    if wanted.json == true { return (.chat, count ?? 0) }
    if let top { throw top.wrong("no such key beside logprobs: \(wanted.json.summary), only beside true") }
    return wanted.json == false ? nil : (.completion, try wanted.integer(in: range))
  }

  private func parse(
    _ line: String, _ number: Int, _ reading: Reading
  ) throws -> (GenerationRequest, Record) {
    let name = "\(input), line \(number + 1)"
    let node = JSONNode(try JSON.parse(line, file: name), file: name)
    try node.requireKeys([
      "prompt", "chat", "id", "max_tokens", "temperature", "top_p", "seed", "logprobs", "top_logprobs",
    ])
    let prompt: [Int32]
    switch (try node.optional("prompt"), try node.optional("chat")) {
    case (let text?, nil): prompt = reading.tokenizer.encode(try text.string())
    case (nil, let text?): prompt = try reading.chatPrompt(text.string())
    case (_?, let other?): throw other.wrong("no such key beside prompt")
    case (nil, nil): throw FormatError.missingKey(file: name, key: "prompt (or chat)")
    }
    var request = GenerationRequest(prompt: prompt, maximumTokens: maximumTokens)
    if let value = try node.optional("max_tokens") { request.maximumTokens = try value.positiveInteger() }
    if let value = try node.optional("temperature") { request.sampling.temperature = try value.number() }
    if let value = try node.optional("top_p") { request.sampling.topP = try value.number() }
    if let value = try node.optional("seed") {
      request.sampling.seed = UInt64(try value.integer(in: 0...Int.max))
    }
    request.stopTokens = reading.stopTokens
    var record = Record(number: number, id: try node.optional("id")?.json ?? .null, prompt: prompt.count)
    if let (shape, count) = try Self.probabilities(node) {
      record.probabilities = shape
      request.alternatives = count
    }
    return (request, record)
  }

  /// Numbers of input lines that the output has answers for.
  private func finishedLines() throws -> Set<Int> {
    guard output != "-", FileKind(path: output) == .file else { return [] }
    // A record that a kill cut short is not one: its line is answered again.
    let records = Files.lines(try Files.text(output)).compactMap { try? JSON.parse($0, file: output) }
    return Set(records.compactMap { $0["error"] == nil ? $0["line"]?.integer : nil })
  }

  private func append(_ members: JSON, to descriptor: Int32) throws {
    let bytes = Array((try members.serialized() + "\n").utf8)
    guard unsafe Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
      throw CommandFailure("\(output): \(unsafe String(cString: strerror(errno))).")
    }
  }
}
