internal import ArgumentParser
internal import Engine
internal import Formats
internal import Glibc
internal import Memory
internal import Models
internal import Tiles
internal import TilesCPU
internal import Tokenizers

/// Options that choose a model and the machine it runs on.
struct ModelOptions: ParsableArguments {
  @Option(
    name: [.short, .long],
    help:
      "A GGUF file, a Hugging Face folder, or a catalogue name: \(Catalog.names). For generate and batch also a file of `godwit train`."
  )
  var model = "smollm2"

  @OptionGroup var machine: DeviceOptions

  @Flag(help: "Say on standard error what runs the model, and why no GPU does.")
  var verbose = false

  @Flag(
    help:
      "Widen weights to float32 instead of multiplying integers or 16-bit numbers: slower, nearer to the reference."
  )
  var exact = false

  @Option(help: "Bytes for keys and values, for example 512MiB; 1GiB by default.")
  var cache: ByteCount?

  private var cacheBytes: Int { cache?.bytes ?? 1 << 30 }

  @Option(
    name: .customLong("cache-type"),
    help: "auto, float32, float16 or int8; auto takes fewer bytes a position the smaller the budget is.")
  var cacheType = CacheType.auto

  @Option(
    help:
      "Whether prompts with a common beginning attend to it together: auto times this machine and decides.")
  var attention = Attention.auto

  enum Attention: String, ExpressibleByArgument, CaseIterable {
    case auto, shared, separate

    var mode: SharingMode {
      switch self {
      case .auto: .automatic
      case .shared: .always
      case .separate: .never
      }
    }
  }

  enum CacheType: String, ExpressibleByArgument, CaseIterable { case auto, float32, float16, int8 }

  /// Path of the model file or folder.
  func path() throws -> String {
    guard let file = Catalog.files[model] else {
      if unsafe access(model, F_OK) == 0 { return model }
      throw CommandFailure(
        "no file \(model), and no catalogue model of that name. Known are: \(Catalog.names).")
    }
    let path = Files.cacheFolder + "/" + file
    guard unsafe access(path, R_OK) == 0 else {
      throw CommandFailure("\(path) is missing. Fetch it with `make setup`.")
    }
    return path
  }

  /// Path of a network of `godwit train`, where the model is one.
  ///
  /// - Throws: ``CommandFailure`` for options that such networks have no use for.
  private func trainedFile() throws -> String? {
    guard case .safetensors(let file) = try ModelSource(path: try path()),
      try Safetensors(path: file).metadata["godwit.model"] != nil
    else { return nil }
    guard cache == nil, cacheType == .auto, attention == .auto else {
      throw CommandFailure(
        "\(file) is a network without pages of keys: leave --cache, --cache-type and --attention out.")
    }
    return file
  }

  /// The network of `godwit train`, where the model is one.
  func trained() throws -> TrainedModel? {
    guard let path = try trainedFile() else { return nil }
    let model = try TrainedModel(path: path, exact: exact, on: machine)
    if verbose { Output.note("device: \(model.device)\n") }
    return model
  }

  /// Opens the file or folder and prepares the network.
  func load() throws -> LoadedModel {
    let source = try source()
    switch machine.device {
    case .cuda: return try load(source) { .gpu(try machine.gpu()) }
    case .cpu: return try load(source, reason: nil)
    case .auto:
      let needed = Sizes.sum([source.weightBytes(exact: exact), cacheBytes])
      do { return try load(source) { try .gpu(machine.gpu(), needed: needed) } } catch {
        // What is wrong with the files is wrong here too, and is thrown then.
        return try load(source, reason: "\(error)")
      }
    }
  }

  /// The network on cores.
  ///
  /// - Parameter reason: why it is not on a GPU, where that was tried.
  private func load(_ source: Source, reason: String?) throws -> LoadedModel {
    try load(source, reason: reason) { .cores(try machine.cpu()) }
  }

  private func load(
    _ source: Source, reason: String? = nil, on start: () throws -> BackEnd
  ) throws -> LoadedModel {
    var started: BackEnd?
    func executor() throws -> any Executor {
      let backEnd = try start()
      started = backEnd
      return backEnd.executor
    }
    var settings = Catalog.Options()
    settings.exact = exact
    switch cacheType {
    case .float32: settings.cacheType = .float32
    case .float16: settings.cacheType = .float16
    case .int8: settings.cacheType = .int8
    case .auto: settings.cacheBudget = cacheBytes
    }
    let model: any LanguageModel
    switch source {
    case .gguf(let file): model = try Catalog.load(file, executor: executor(), options: settings)
    case .directory(let folder): model = try Catalog.load(folder, executor: executor(), options: settings)
    }
    let tokenizer = Result { try source.tokenizer(vocabularySize: model.vocabularySize) }
    let backEnd = try started ?? start()
    if verbose {
      Output.note("device: \(backEnd.name)\(reason.map { "\nno GPU: \($0)" } ?? "")\n")
    }
    return LoadedModel(
      name: self.model, model: model, backEnd: backEnd, cacheBytes: cacheBytes, sharing: attention.mode,
      text: tokenizer)
  }

  /// The tokenizer alone.
  func tokenizer() throws -> Tokenizer { try source().tokenizer(vocabularySize: nil) }

  /// What the path leads to, opened as far as both network and tokenizer need it.
  private enum Source {
    case gguf(GGUF)
    case directory(ModelDirectory)

    /// Bytes that weights take on a GPU at most: as in the file, and rounded to 16 bits unless `exact`.
    func weightBytes(exact: Bool) -> Int {
      func bytes(_ shape: [Int], stored: Int) -> Int {
        exact ? stored : max(Sizes.product([2] + shape), stored)
      }
      switch self {
      case .gguf(let file):
        // Tensors of unknown types are never loaded: their shapes are claims that nothing in the file bounds.
        return Sizes.sum(
          file.tensors.lazy.compactMap { tensor in
            tensor.byteCount.map { bytes(tensor.shape, stored: $0) }
          })
      case .directory(let folder):
        let tensors = (try? folder.openWeights())?.tensors ?? []
        return Sizes.sum(tensors.lazy.map { bytes($0.shape, stored: $0.byteCount) })
      }
    }

    /// - Parameter vocabularySize: rows of the network's embeddings, where they are known.
    func tokenizer(vocabularySize: Int?) throws -> Tokenizer {
      switch self {
      case .gguf(let file):
        let tokenizer = try Tokenizer(file)
        guard vocabularySize == nil || vocabularySize == tokenizer.vocabularySize else {
          throw CommandFailure(
            "\(file.file): \(tokenizer.vocabularySize) tokens but embeddings for \(vocabularySize ?? 0).")
        }
        return tokenizer
      case .directory(let folder):
        let tokenizer = try Tokenizer(huggingFace: folder.path)
        // Embeddings are often padded to a round number of rows that no token uses.
        guard vocabularySize.map({ tokenizer.vocabularySize <= $0 }) ?? true else {
          throw CommandFailure(
            "\(folder.path): \(tokenizer.vocabularySize) tokens but embeddings for \(vocabularySize ?? 0).")
        }
        return tokenizer
      }
    }
  }

  private func source() throws -> Source {
    switch try ModelSource(path: try path()) {
    case .gguf(let path): return .gguf(try GGUF(path: path))
    case .directory(let folder): return .directory(folder)
    case .safetensors(let path):
      throw CommandFailure(
        "\(path): a safetensors file alone has no settings, or is a network of `godwit train`, which generates and is "
          + "judged but does nothing else. Otherwise give the folder with its config.json.")
    }
  }
}

/// A number of bytes with an optional unit.
struct ByteCount: ExpressibleByArgument, CustomStringConvertible {
  let bytes: Int

  init(bytes: Int) { self.bytes = bytes }

  init?(argument: String) {
    let units: [(String, Int)] = [
      ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30),
    ]
    let unit = units.first { argument.hasSuffix($0.0) }
    let digits = unit.map { argument.dropLast($0.0.count) } ?? argument[...]
    guard let value = Int(digits), value > 0 else { return nil }
    let (bytes, overflow) = value.multipliedReportingOverflow(by: unit?.1 ?? 1)
    guard !overflow else { return nil }
    self.bytes = bytes
  }

  var description: String { bytes % (1 << 20) == 0 ? "\(bytes >> 20)MiB" : "\(bytes)" }
}

/// A network with its tokenizer, ready to run.
struct LoadedModel {
  let name: String
  let model: any LanguageModel
  let backEnd: BackEnd
  let cacheBytes: Int
  let sharing: SharingMode
  private let costs = MeasuredCosts()
  /// The tokenizer, or why there is none: ids alone need none.
  private let text: Result<Tokenizer, any Error>

  init(
    name: String, model: any LanguageModel, backEnd: BackEnd, cacheBytes: Int, sharing: SharingMode,
    text: Result<Tokenizer, any Error>
  ) {
    self.name = name
    self.model = model
    self.backEnd = backEnd
    self.cacheBytes = cacheBytes
    self.sharing = sharing
    self.text = text
  }

  /// The tokenizer.
  var tokenizer: Tokenizer { get throws { try text.get() } }

  /// A generator with an empty cache.
  func generator(_ change: (inout Generator.Options) -> Void = { _ in }) throws -> Generator {
    var options = Generator.Options()
    options.cacheBytes = cacheBytes
    options.sharing = sharing
    change(&options)
    if options.sharing == .automatic { options.costs = try costs.value(model) }
    return try Generator(model, options: options)
  }

  /// Tokens that end an answer.
  var stopTokens: Set<Int32> { (try? text.get())?.end.map { [$0] } ?? [] }

  /// A user's message as the model's chat template writes it; the bare text where there is none.
  func chatPrompt(_ content: String) throws -> [Int32] {
    let tokenizer = try tokenizer
    guard let source = tokenizer.chatTemplate else { return tokenizer.encode(content) }
    let template = try ChatTemplate(source)
    let text = try template.render([ChatMessage(role: "user", content: content)], addGenerationPrompt: true)
    return tokenizer.encode(text, addsBeginning: false, parsesSpecial: true)
  }
}

/// Costs of attention, timed when first needed: a single sequence shares with nobody and need not wait for it.
private final class MeasuredCosts {
  private var known: AttentionCosts?

  func value(_ model: any LanguageModel) throws -> AttentionCosts {
    if let known { return known }
    let measured = try AttentionCosts.measured(for: model, executor: model.executor)
    known = measured
    return measured
  }
}
