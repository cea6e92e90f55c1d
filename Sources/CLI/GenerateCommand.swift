internal import ArgumentParser
internal import Engine
internal import Tokenizers

/// Options of sampling, as other programs name them.
struct SamplingOptions: ParsableArguments {
  @Option(name: [.long, .customLong("temp")], help: "0 takes the most likely token.")
  var temperature = 0.0

  @Option(name: .customLong("top-k"), help: "Only so many of the likeliest tokens; 0 for all.")
  var topK = 0

  @Option(name: .customLong("top-p"), help: "Only the likeliest tokens that reach this probability together.")
  var topP = 1.0

  @Option(name: .customLong("min-p"), help: "Only tokens this likely relative to the likeliest.")
  var minP = 0.0

  @Option(name: .customLong("repetition-penalty"), help: "Above 1 makes tokens seen before less likely.")
  var repetitionPenalty = 1.0

  @Option(name: [.customShort("s"), .long], help: "Seed of the random numbers.")
  var seed: UInt64 = 0

  var sampling: Sampling {
    var sampling = Sampling()
    sampling.temperature = temperature
    sampling.topK = topK
    sampling.topP = topP
    sampling.minP = minP
    sampling.repetitionPenalty = repetitionPenalty
    sampling.seed = seed
    return sampling
  }
}

/// A prompt continued, printed as it comes.
struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Continue a prompt, printing the text as it comes.",
    discussion: """
        godwit generate --prompt "The longest flight of a bird" --max-tokens 64
        godwit generate --model runs/code-hyena-seed0/checkpoint.safetensors --prompt "def mean(values):"
        echo "Write a haiku about the sea." | godwit generate --chat --temperature 0.8 --top-p 0.95 --seed 7
      """, aliases: ["run"])

  @Option(name: [.short, .long], help: "The text to continue; by default standard input.")
  var prompt: String?

  @Option(name: [.customShort("n"), .customLong("max-tokens")], help: "Most tokens to generate.")
  var maximumTokens = 128

  @Option(help: "Text that ends the answer; may be given several times.")
  var stop: [String] = []

  @Flag(help: "Put the prompt through the model's chat template.")
  var chat = false

  @Flag(help: "Print one JSON line with the text and the measurements.")
  var json = false

  @Option(
    help: "With --json: log-probabilities of the tokens, and of so many of the likeliest at each place.")
  var logprobs: Int?

  @OptionGroup var sampling: SamplingOptions
  @OptionGroup var options: ModelOptions

  func validate() throws {
    guard let logprobs else { return }
    guard (0...LogProbabilities.maximumAlternatives).contains(logprobs) else {
      throw ValidationError("--logprobs must be 0 to \(LogProbabilities.maximumAlternatives).")
    }
    guard json else { throw ValidationError("--logprobs needs --json.") }
  }

  func run() throws {
    let start = ContinuousClock.now
    let text = try prompt ?? Files.text("-")
    var run = GenerationRun(stops: StopMatcher(stop), isJSON: json, start: start)
    if let trained = try options.trained() {
      try generate(text, from: trained, &run)
    } else {
      try generate(text, from: options.load(), &run)
    }
  }

  private func generate(_ text: String, from trained: TrainedModel, _ run: inout GenerationRun) throws {
    if chat { throw CommandFailure("\(options.model) has no chat template. Leave --chat out.") }
    run.begin(trained.tokenizer)
    let tokens = trained.tokenizer.encode(text)
    let request = request(tokens, stopTokens: trained.stopTokens)
    try trained.rehearse(request, options.machine)
    var statistics = GenerationStatistics()
    let reason = try SequenceGenerator(trained.network).run(request) { choice in
      statistics.tokensGenerated += 1
      return run.receive(choice)
    }
    run.finish(reason)
    try report(statistics, tokens.count, run, trained.tokenizer, trained.device)
  }

  private func generate(_ text: String, from loaded: LoadedModel, _ run: inout GenerationRun) throws {
    let tokenizer = try loaded.tokenizer
    run.begin(tokenizer)
    let tokens = chat ? try loaded.chatPrompt(text) : tokenizer.encode(text)
    let generator = try loaded.generator { $0.sharing = .never }
    let number = try generator.submit(request(tokens, stopTokens: loaded.stopTokens))
    while !generator.isIdle {
      for event in try generator.step() {
        switch event {
        case .started: break
        case .failed(_, let error): throw error
        case .token(_, let choice): if !run.receive(choice) { generator.cancel(number) }
        case .finished(_, let why): run.finish(why)
        }
      }
    }
    run.finish(.length)
    try report(generator.statistics, tokens.count, run, tokenizer, loaded.backEnd.name)
  }

  private func request(_ tokens: [Int32], stopTokens: Set<Int32>) -> GenerationRequest {
    var request = GenerationRequest(prompt: tokens, maximumTokens: maximumTokens)
    request.stopTokens = stopTokens
    request.sampling = sampling.sampling
    request.alternatives = logprobs ?? 0
    return request
  }

  private func report(
    _ statistics: GenerationStatistics, _ prompt: Int, _ run: GenerationRun, _ tokenizer: Tokenizer,
    _ device: String
  ) throws {
    let (firstToken, total) = (run.firstToken ?? 0, seconds(since: run.start))
    let rate = Double(max(0, statistics.tokensGenerated - 1)) / max(total - firstToken, 1e-9)
    if json {
      Output.json([
        "text": JSONField(run.output), "finish_reason": JSONField(run.reason.rawValue),
        "logprobs": try logprobs.map { _ in
          try JSONField(LogProbabilities(tokenizer: tokenizer, shape: .chat).json(run.choices))
        },
        "prompt_tokens": JSONField(prompt), "completion_tokens": JSONField(statistics.tokensGenerated),
        "ttft_s": JSONField(firstToken, decimals: 4), "seconds": JSONField(total, decimals: 4),
        "tok_s": JSONField(rate, decimals: 1), "peak_memory": JSONField(Files.peakMemory),
        "device": JSONField(device),
      ])
    } else {
      Output.write("\n")
      Output.note(
        "prompt: \(prompt) tokens | generated: \(statistics.tokensGenerated), \(Output.fixed(rate, 1)) tok/s | "
          + "first token after \(Output.fixed(firstToken, 3)) s | peak \(Files.peakMemory >> 20) MiB\n")
    }
  }
}
