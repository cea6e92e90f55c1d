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
  @Option(name: [.short, .long], help: "A GGUF file, or a catalogue name: \(Catalog.names).")
  var model = "smollm2"

  @Option(name: [.short, .long], help: "Threads to use; by default all cores.")
  var threads: Int?

  @Flag(
    help:
      "Widen quantised weights to float32 instead of multiplying integers: slower, nearer to the reference.")
  var exact = false

  @Option(help: "Bytes for keys and values, for example 512MiB.")
  var cache: ByteCount = ByteCount(bytes: 1 << 30)

  @Option(
    name: .customLong("cache-type"),
    help: "auto, float32, float16 or int8; auto takes fewer bytes a position the smaller the budget is.")
  var cacheType = CacheType.auto

  enum CacheType: String, ExpressibleByArgument, CaseIterable { case auto, float32, float16, int8 }

  /// Path of the model file.
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

  /// Opens the file and prepares the network.
  func load() throws -> LoadedModel {
    let file = try GGUF(path: try path())
    let architecture = try file.metadata.string("general.architecture")
    guard Catalog.architectures.contains(architecture) else {
      throw ModelError.unknownArchitecture(name: architecture, known: Catalog.architectures)
    }
    let tokenizer = try Tokenizer(file)
    let executor = try CPUExecutor(threads: threads ?? Machine.cores)
    let configuration = try LlamaConfiguration(file)
    guard configuration.vocabularySize == tokenizer.vocabularySize else {
      throw CommandFailure(
        "\(file.file): \(tokenizer.vocabularySize) tokens but embeddings for \(configuration.vocabularySize)."
      )
    }
    let weights = try LlamaWeights(file, configuration)
    let model = try Llama(
      configuration, weights: weights, executor: executor, exact: exact, cacheType: type(configuration))
    return LoadedModel(
      name: self.model, file: file, tokenizer: tokenizer, model: model, executor: executor,
      cacheBytes: cache.bytes)
  }

  private func type(_ configuration: LlamaConfiguration) -> ElementType {
    switch cacheType {
    case .float32: return .float32
    case .float16: return .float16
    case .int8: return .int8
    case .auto:
      // Room for one full context decides, or for 8,192 positions of it: the widest type that has it, and int8 where
      // not even float16 has half of that.
      let pages = min((configuration.contextLength + 63) / 64, 128)
      func holds(_ type: ElementType, _ wanted: Int) -> Bool {
        let geometry = PagedCache.Geometry(
          layers: configuration.layers, kvHeads: configuration.kvHeadCount, headSize: configuration.headSize,
          type: type)
        return cache.bytes / max(1, geometry.pageBytes) >= wanted
      }
      if exact || holds(.float32, pages) { return .float32 }
      return holds(.float16, (pages + 1) / 2) ? .float16 : .int8
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
  let file: GGUF
  let tokenizer: Tokenizer
  let model: Llama
  let executor: CPUExecutor
  let cacheBytes: Int

  /// A generator with an empty cache.
  func generator(_ change: (inout Generator.Options) -> Void = { _ in }) throws -> Generator {
    var options = Generator.Options()
    options.cacheBytes = cacheBytes
    change(&options)
    return try Generator(model, options: options)
  }

  /// Tokens that end an answer.
  var stopTokens: Set<Int32> { tokenizer.end.map { [$0] } ?? [] }

  /// A user's message as the model's chat template writes it; the bare text where there is none.
  func chatPrompt(_ content: String) throws -> [Int32] {
    guard let source = tokenizer.chatTemplate else { return tokenizer.encode(content) }
    let template = try ChatTemplate(source)
    let text = try template.render([ChatMessage(role: "user", content: content)], addGenerationPrompt: true)
    return tokenizer.encode(text, addsBeginning: false, parsesSpecial: true)
  }
}

/// What this machine is.
enum Machine {
  /// Cores the process may use.
  static var cores: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
}
