internal import Engine
internal import Formats
internal import Memory
internal import Models
internal import Tensors
internal import Tiles
internal import Tokenizers
internal import Train

/// A network of `godwit train` or `godwit export` with its tokenizer.
struct TrainedModel {
  let path: String
  let network: SequenceNetwork
  let tokenizer: Tokenizer
  /// What it runs on, and what that is called.
  let executor: any Executor
  let device: String
  /// Tokens that end a text.
  var stopTokens: Set<Int32> { tokenizer.end.map { [$0] } ?? [] }

  /// Opens a file.
  ///
  /// - Parameters:
  ///   - machine: what it runs on.
  ///   - exact: whether nothing may be rounded to 16 bits, which is for the cores alone.
  /// - Throws: what is wrong with the file; that it was not trained on text.
  init(path: String, exact: Bool, on machine: DeviceOptions) throws {
    let executor = try exact && machine.device == .auto ? machine.cpu() : machine.executor()
    guard executor.sharesHostMemory || !exact else {
      throw CommandFailure("--exact is for the cores where networks were trained here: add --device cpu.")
    }
    try self.init(path: path, on: executor)
  }

  private init(path: String, on executor: any Executor) throws {
    let checkpoint = try Checkpoint(path: path)
    guard let description = checkpoint.tokenizer else {
      throw CommandFailure(
        "\(path) has no tokenizer, so it continues no prompt. Networks of generated tasks are judged with `godwit eval`; a "
          + "published checkpoint gets one by `godwit convert --tokenizer`.")
    }
    guard checkpoint.model["mixer"] != nil else {
      throw CommandFailure(
        "\(path) fills in masked tokens and continues no prompt. Judge it with `godwit eval`.")
    }
    tokenizer = try Tokenizer(description: description, file: path)
    let settings = try SequenceSettings(JSONNode(checkpoint.model, file: path))
    guard tokenizer.vocabularySize <= settings.vocabularySize else {
      throw CommandFailure(
        "\(path): \(tokenizer.vocabularySize) tokens but embeddings for \(settings.vocabularySize).")
    }
    let isOnCores = executor.sharesHostMemory
    (self.path, self.executor) = (path, executor)
    device = isOnCores ? "cpu" : "cuda"
    // Transforms on a GPU take 16-bit rows.
    let numbers = Device(executor, factors: isOnCores ? .float32 : .bfloat16)
    network = try SequenceNetwork(
      settings, ParameterSet(.read { try checkpoint.numbers($0, $1) }, on: numbers))
  }
  /// Has the kernels compiled that a request needs on a GPU, where that was not done before.
  func rehearse(_ request: GenerationRequest, _ options: DeviceOptions) throws {
    // Prompts of the same number of bits differ in few kernels.
    let bits = Int.bitWidth - request.prompt.count.leadingZeroBitCount
    let work = "generate \(try network.settings.json.serialized()) \(bits)"
    KernelRehearsal(options: options, work: work).run(before: executor) { compiling in
      var request = request
      request.maximumTokens = min(request.maximumTokens, 4)
      _ = try SequenceGenerator(TrainedModel(path: path, on: compiling).network).run(request) { _ in true }
    }
  }
}
