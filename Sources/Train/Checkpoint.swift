public import Formats
internal import Memory
internal import Models
internal import Tensors

/// A trained network in a file: parameters under their published names, what the optimizer knows, and the recipe.
///
/// A safetensors file that appears only when it is complete. Means of gradients are named `optimizer.mean.…` and
/// `optimizer.variance.…`; the header holds the recipe, the model's settings and the step.
public struct Checkpoint {
  /// Where it was read from.
  public let file: String
  /// Steps done.
  public let step: Int
  /// Seed of the run.
  public let seed: UInt64
  /// The recipe.
  public let recipe: JSON
  /// The model's settings.
  public let model: JSON
  /// `bytes`, or the contents of a `tokenizer.json`; `nil` where tokens are not text.
  public let tokenizer: String?
  /// What the data's file was when it was trained on; `nil` for data that are drawn.
  let dataMark: String?
  private let tensors: Safetensors

  /// Opens a file; its numbers stay there.
  ///
  /// - Throws: ``Formats/FormatError``, ``TrainError/notACheckpoint(file:missing:)``.
  public init(path: String) throws {
    let tensors = try Safetensors(path: path)
    func field(_ name: String) throws -> JSON {
      guard let text = tensors.metadata["godwit.\(name)"] else {
        throw TrainError.notACheckpoint(file: path, missing: "field godwit.\(name) in its header")
      }
      return try JSON.parse(text, file: path)
    }
    self.tensors = tensors
    file = path
    recipe = try field("recipe")
    model = try field("model")
    tokenizer = tensors.metadata["godwit.tokenizer"]
    dataMark = tensors.metadata["godwit.data"]
    step = try JSONNode(field("step"), file: path).integer(in: 0...Int.max)
    seed = UInt64(try JSONNode(field("seed"), file: path).integer(in: 0...Int.max))
  }

  /// Numbers of the network, but for what batch normalisation measured.
  public var parameterCount: Int {
    tensors.tensors.filter { tensor in
      !tensor.name.hasPrefix("optimizer.")
        && !["running_mean", "running_var"].contains { tensor.name.hasSuffix($0) }
    }.reduce(0) { $0 + $1.shape.reduce(1, *) }
  }

  /// Whether that recipe trained it.
  ///
  /// - Throws: ``TrainError/otherRecipe(file:key:)`` where another did, ``TrainError/otherData(file:checkpoint:)``.
  public func require(_ recipe: Recipe) throws {
    for key in [
      "task", "examples", "model", "optimizer", "schedule", "batch", "microbatch", "precision", "epochs",
      "steps",
    ]
    where self.recipe[key] != recipe.source[key] { throw TrainError.otherRecipe(file: file, key: key) }
    guard seed == recipe.seed else { throw TrainError.otherRecipe(file: file, key: "seed") }
    try requireData(of: recipe.task)
  }

  /// - Throws: ``TrainError/otherData(file:checkpoint:)`` where the task's file is not as it was.
  func requireData(of task: TrainingTask) throws {
    guard let dataMark, let mark = try task.dataMark(), mark != dataMark else { return }
    throw TrainError.otherData(file: task.file ?? "", checkpoint: file)
  }

  /// The numbers of a tensor, `nil` where there is none.
  ///
  /// - Throws: ``Models/ModelError/misshapen(tensor:found:expected:)`` for another shape or type.
  public func numbers(_ name: String, _ shape: [Int]) throws -> [Float]? {
    guard tensors.contains(name) else { return nil }
    let tensor = try tensors.tensor(name)
    guard tensor.shape == shape else {
      throw ModelError.misshapen(tensor: name, found: tensor.shape, expected: shape)
    }
    switch tensor.type {
    case .float32: return tensor.withElements(as: Float.self) { span in span.indices.map { span[$0] } }
    case .bfloat16:
      return tensor.withElements(as: BFloat16.self) { span in span.indices.map { Float(span[$0]) } }
    default: throw ModelError.unsupportedType(tensor: name, type: tensor.type.rawValue)
    }
  }

  /// Writes the parameters alone, rounded to bfloat16, into a file that `godwit generate` and `godwit eval` open.
  ///
  /// A sixth of a checkpoint's size where all parameters are trained. The file cannot be resumed.
  ///
  /// - Throws: ``Formats/FormatError/unwritable(file:reason:)``, an error of memory.
  public func export(to path: String) throws {
    var parameters: [(name: String, tensor: Tensor)] = []
    for info in tensors.tensors where !info.name.hasPrefix("optimizer.") {
      guard let numbers = try numbers(info.name, info.shape) else { continue }
      let rounded = try Tensor(zeros: .bfloat16, info.shape)
      rounded.withMutableElements(as: BFloat16.self) { span in
        for place in numbers.indices { span[place] = BFloat16(numbers[place]) }
      }
      parameters.append((info.name, rounded))
    }
    try Self.write(
      parameters, step: step, seed: seed, recipe: recipe, model: model, tokenizer: tokenizer,
      dataMark: dataMark,
      to: path)
  }

  static func write(
    _ tensors: [(name: String, tensor: Tensor)], step: Int, seed: UInt64, recipe: JSON, model: JSON,
    tokenizer: String?, dataMark: String?, to path: String
  ) throws {
    var metadata = [
      "godwit.recipe": try recipe.serialized(), "godwit.model": try model.serialized(),
      "godwit.step": "\(step)", "godwit.seed": "\(seed)", "format": "pt",
    ]
    metadata["godwit.tokenizer"] = tokenizer
    metadata["godwit.data"] = dataMark
    try SafetensorsWriter.write(
      tensors, metadata: metadata, to: path)
  }
}
