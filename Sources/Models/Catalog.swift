public import Formats
public import Memory
public import Tiles

/// What Godwit knows by name.
public enum Catalog {
  /// Architectures of GGUF files that are run.
  public static let architectures = ["llama", "mistral", "qwen2"]

  /// `model_type`s of Hugging Face folders that are run.
  public static var modelTypes: [String] { loaders.keys.sorted() }

  /// File in the cache folder of each model that `make setup` can fetch.
  public static let files = ["smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf"]

  /// Names of the models, for help texts.
  public static var names: String { files.keys.sorted().joined(separator: ", ") }

  /// How a loaded network computes.
  public struct Options: Sendable {
    /// Whether weights are widened to float32, whatever the executor prefers.
    public var exact = false
    /// Type of keys and values in the cache: float32, float16 or int8.
    public var cacheType = ElementType.float32
    /// Bytes the cache may take, where they are to decide its type instead: float16 where float32 has not room for one
    /// full context or 8,192 positions or the executor prefers 16 bits, int8 where not even float16 has room for half of that.
    public var cacheBudget: Int?

    /// Integers for block-quantised weights, a float32 cache.
    public init() {}
  }

  /// Opens the network in a GGUF file; its weights stay in the file.
  ///
  /// - Parameter executor: asked for once settings and weights are known to be good.
  /// - Throws: ``ModelError/unknownArchitecture(name:known:)`` and whatever is wrong with settings or tensors.
  public static func load(
    _ file: GGUF, executor: @autoclosure () throws -> any Executor, options: Options = Options()
  ) throws -> any LanguageModel {
    let architecture = try file.metadata.string("general.architecture")
    guard architectures.contains(architecture) else {
      throw ModelError.unknownArchitecture(name: architecture, known: architectures)
    }
    let configuration = try LlamaConfiguration(file)
    let weights = try LlamaWeights(file, configuration)
    let executor = try executor()
    return try Llama(
      configuration, weights: weights, executor: executor, exact: options.exact,
      cacheType: options.cacheType(for: configuration, on: executor))
  }

  /// Opens the network in a Hugging Face folder; its weights stay in the files.
  ///
  /// - Parameter executor: asked for once settings and weights are known to be good.
  /// - Throws: ``ModelError/unknownArchitecture(name:known:)`` and whatever is wrong with settings or tensors.
  public static func load(
    _ directory: ModelDirectory, executor: @autoclosure () throws -> any Executor,
    options: Options = Options()
  ) throws -> any LanguageModel {
    let config = JSONNode(try JSON.read(directory.config), file: directory.config)
    let type = try config.required("model_type").string()
    guard let loader = loaders[type] else {
      throw ModelError.unknownArchitecture(name: type, known: modelTypes)
    }
    return try loader(config, try directory.openWeights(), executor, options)
  }

  private typealias Loader =
    @Sendable (JSONNode, Safetensors, () throws -> any Executor, Options) throws ->
    any LanguageModel

  private static let loaders: [String: Loader] = [
    "gpt2": gpt2, "llama": llama, "mistral": llama, "qwen2": llama,
  ]

  private static let llama: Loader = { config, file, executor, options in
    let configuration = try LlamaConfiguration(config)
    let isTied = try config.optional("tie_word_embeddings")?.bool() ?? false
    let weights = try LlamaWeights(file, configuration, isTied: isTied)
    let executor = try executor()
    return try Llama(
      configuration, weights: weights, executor: executor, exact: options.exact,
      cacheType: options.cacheType(for: configuration, on: executor))
  }

  private static let gpt2: Loader = { config, file, executor, options in
    let configuration = try GPT2Configuration(config)
    let weights = try GPT2Weights(file, configuration)
    let executor = try executor()
    return try GPT2(
      configuration, weights: weights, executor: executor, exact: options.exact,
      cacheType: options.cacheType(
        layers: configuration.layers, kvHeads: configuration.headCount, headSize: configuration.headSize,
        contextLength: configuration.contextLength, on: executor))
  }
}

extension Catalog.Options {
  fileprivate func cacheType(
    for configuration: LlamaConfiguration, on executor: any Executor
  ) -> ElementType {
    cacheType(
      layers: configuration.layers, kvHeads: configuration.kvHeadCount, headSize: configuration.headSize,
      contextLength: configuration.contextLength, on: executor)
  }

  /// The type that was asked for, or that of the budget: fewer bytes a position are worth the rounding where prompts
  /// would not fit otherwise.
  fileprivate func cacheType(
    layers: Int, kvHeads: Int, headSize: Int, contextLength: Int, on executor: any Executor
  ) -> ElementType {
    guard let cacheBudget, !exact else { return cacheType }
    func holds(_ type: ElementType, _ pages: Int) -> Bool {
      let geometry = PagedCache.Geometry(layers: layers, kvHeads: kvHeads, headSize: headSize, type: type)
      return cacheBudget / max(1, geometry.pageBytes) >= pages
    }
    let pages = min((contextLength - 1) / PagedCache.Geometry.pageTokens + 1, 128)
    if !executor.prefersSixteenBit, holds(.float32, pages) { return .float32 }
    return holds(.float16, (pages + 1) / 2) ? .float16 : .int8
  }
}
