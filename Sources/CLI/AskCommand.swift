internal import ArgumentParser
internal import Engine
internal import Glibc
internal import Tokenizers

/// Many questions about one document, answered in a batch.
struct AskCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ask", abstract: "Answer a file of questions about one document.",
    discussion: """
      The document is read once; every question continues from it, and its keys and values are attended to once a \
      step for all questions.

        godwit ask --document LICENSE --questions Demo/questions.txt
        godwit ask --document report.txt --question "Who signed it?" --json
        godwit ask --document report.txt --questions more.txt --prefix-state report.state
      """)

  @Option(name: [.short, .long], help: "The text that the questions are about; - for standard input.")
  var document: String

  @Option(name: [.customShort("f"), .long], help: "A file with a question a line.")
  var questions: String?

  @Option(name: [.customShort("q"), .long], help: "A question; may be given several times.")
  var question: [String] = []

  @Option(name: [.customShort("n"), .customLong("max-tokens")], help: "Longest answer, in tokens.")
  var maximumTokens = 48

  @Flag(help: "Answer again with each question attending to the document on its own, and print both times.")
  var compare = false

  @Option(
    name: .customLong("prefix-state"),
    help: "A file with the document's keys and values: read if it is there, else computed and written.")
  var prefixState: String?

  @Flag(help: "Print JSON lines.")
  var json = false

  @OptionGroup var options: ModelOptions

  func run() throws {
    var asked = question
    if let questions {
      asked += try Files.lines(Files.text(questions)).filter { !$0.allSatisfy(\.isWhitespace) }
    }
    guard !asked.isEmpty else { throw ValidationError("Give --questions FILE or --question TEXT.") }
    let text = try Files.text(document)
    let loaded = try options.load()
    let prompts = try asked.map {
      try loaded.chatPrompt("\(text)\n\nAnswer briefly from the text above. \($0)")
    }
    let generator = try loaded.generator()
    let start = ContinuousClock.now
    if let prefixState {
      // What prompts with any question have in common.
      let plain = try loaded.chatPrompt("\(text)\n\nAnswer briefly from the text above. ")
      let common = prompts.reduce(plain) { zip($0, $1).prefix { $0 == $1 }.map(\.0) }
      try prepare(generator, common, prefixState)
    }
    let preparation = seconds(since: start)
    let shared = try answer(loaded, prompts, generator, "answers")
    for (index, question) in asked.enumerated() {
      let answer = shared.answers[index]
      let failure = shared.failures[index]
      let reuse = shared.reuses[index]
      if json {
        Output.json([
          "question": JSONField(question), "answer": JSONField(answer),
          "error": failure.map { JSONField("\($0)") },
          "prompt_tokens": JSONField(prompts[index].count),
          "prompt_tokens_reused": reuse.map { JSONField($0.reusedTokens) },
          "prompt_reuse_end": reuse.map { JSONField("\($0.end)") },
        ])
      } else {
        Output.write("Q: \(question)\nA: \(answer)\(failure.map { "\nerror: \($0)" } ?? "")\n\n")
      }
    }
    let alone =
      compare
      ? try answer(loaded, prompts, loaded.generator { $0.sharing = .never }, "answers without sharing") : nil
    report(
      shared, alone, prompts, preparation: prefixState == nil ? nil : preparation,
      device: loaded.backEnd.name)
  }

  private struct Outcome {
    var answers: [String]
    /// Why an answer ended early, by question.
    var failures: [Int: EngineError]
    /// What each question found in the cache.
    var reuses: [Int: PrefixReuse]
    var seconds: Double
    /// Tokens of all answers.
    var generated: Int
    var statistics: GenerationStatistics
  }

  /// Loads the state of the document's beginning, or computes and saves it.
  private func prepare(_ generator: Generator, _ beginning: [Int32], _ path: String) throws {
    if unsafe access(path, F_OK) == 0 {
      let tokens = try generator.loadPrefix(from: path)
      guard beginning.starts(with: tokens) else {
        let place = zip(tokens, beginning).prefix { $0 == $1 }.count
        throw CommandFailure(
          "\(path): saved for another document or model: it differs from token \(place) on. "
            + "Give another file, or delete this one.")
      }
      return
    }
    _ = try generator.submit(GenerationRequest(prompt: beginning, maximumTokens: 1))
    var reading = ReadingProgress("prefix state", [beginning], by: generator)
    while !generator.isIdle {
      for case .failed(_, let error) in try generator.step() { throw error }
      _ = reading.update(generator)
    }
    let count = try generator.savePrefix(beginning, to: path)
    Output.note("saved the state of \(count) tokens to \(path)\n")
  }

  private func answer(
    _ loaded: LoadedModel, _ prompts: [[Int32]], _ generator: Generator, _ label: String
  ) throws -> Outcome {
    var numbers: [Int: Int] = [:]
    for (index, prompt) in prompts.enumerated() {
      var request = GenerationRequest(prompt: prompt, maximumTokens: maximumTokens)
      request.stopTokens = loaded.stopTokens
      numbers[try generator.submit(request)] = index
    }
    var tokens = [[Int32]](repeating: [], count: prompts.count)
    var failures: [Int: EngineError] = [:]
    var reuses: [Int: PrefixReuse] = [:]
    var done = 0
    var progress = Progress(label, total: prompts.count)
    var reading = ReadingProgress(label, prompts, by: generator)
    let start = ContinuousClock.now
    while !generator.isIdle {
      let events = try generator.step()
      let isReading = reading.update(generator)
      for event in events {
        switch event {
        case .token(let request, let choice): tokens[numbers[request] ?? 0].append(choice.token)
        case .started(let request, let reuse): reuses[numbers[request] ?? 0] = reuse
        case .failed(let request, let error):
          failures[numbers[request] ?? 0] = error
          done += 1
        case .finished: done += 1
        }
      }
      if !isReading { progress.update(done) }
    }
    progress.finish()
    let tokenizer = try loaded.tokenizer
    return Outcome(
      answers: tokens.map { tokenizer.decode($0) }, failures: failures, reuses: reuses,
      seconds: seconds(since: start),
      generated: tokens.reduce(0) { $0 + $1.count },
      statistics: generator.statistics)
  }

  private func report(
    _ shared: Outcome, _ alone: Outcome?, _ prompts: [[Int32]], preparation: Double?, device: String
  ) {
    let statistics = shared.statistics
    let total = prompts.reduce(0) { $0 + $1.count }
    let rate = Double(shared.generated) / shared.seconds
    if json {
      Output.json([
        "questions": JSONField(prompts.count), "prompt_tokens": JSONField(total),
        "prompt_tokens_computed": JSONField(statistics.promptTokensComputed),
        "prompt_tokens_reused": JSONField(statistics.promptTokensReused),
        "generated_tokens": JSONField(shared.generated),
        "seconds": JSONField(shared.seconds, decimals: 3), "tok_s": JSONField(rate, decimals: 1),
        "seconds_prefix_state": preparation.map { JSONField($0, decimals: 3) },
        "seconds_without_sharing": alone.map { JSONField($0.seconds, decimals: 3) },
        "shared_runs": JSONField(statistics.sharedRuns), "page_visits": JSONField(statistics.pageVisits),
        "page_visits_unshared": JSONField(statistics.pageVisitsUnshared),
        "evicted_pages": JSONField(statistics.evictedPages), "preemptions": JSONField(statistics.preemptions),
        "peak_memory": JSONField(Files.peakMemory), "device": JSONField(device),
      ])
      return
    }
    var lines = [
      ("questions", "\(prompts.count)"),
      (
        "prompt tokens",
        "\(total): \(statistics.promptTokensComputed) computed, \(statistics.promptTokensReused) reused"
      ),
      ("generated tokens", "\(shared.generated)"),
      ("time", "\(Output.fixed(shared.seconds, 2)) s, \(Output.fixed(rate, 1)) generated tokens/s in all"),
      ("page visits", "\(statistics.pageVisits), without sharing \(statistics.pageVisitsUnshared)"),
      ("peak memory", "\(Files.peakMemory >> 20) MiB"),
    ]
    if let alone {
      lines.insert(
        (
          "attending alone",
          "\(Output.fixed(alone.seconds, 2)) s, \(Output.fixed(alone.seconds / shared.seconds, 1)) times as long; "
            + "answers \(alone.answers == shared.answers ? "identical" : "differ")"
        ), at: 4)
    }
    for (name, value) in lines {
      Output.write(name + String(repeating: " ", count: 18 - name.count) + value + "\n")
    }
  }
}
