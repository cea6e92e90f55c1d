internal import Formats
internal import Memory
internal import Train

/// What one run of `godwit train` reached.
struct RunSummary {
  /// The folder's name without the seed.
  let name: String
  let seed: Int
  /// The recipe but for its seed: runs of the same are seeds of one.
  let recipe: JSON
  let task: String
  let model: String
  let parameters: Int
  /// What was measured, step by step.
  let lines: [JSON]
  let step: Int
  /// Of the last measurement, in nats.
  let loss: Double
  let accuracy: Double
  let bestAccuracy: Double

  /// - Throws: what is wrong with the folder's outline, checkpoint or measurements.
  init(_ folder: RunFolder) throws {
    let path = folder.path.hasSuffix("/") ? String(folder.path.dropLast()) : folder.path
    let folder = RunFolder(path: path)
    let outline = try Self.outline(folder)
    lines = folder.lines()
    guard let last = lines.last, let step = last["step"]?.integer, let loss = last["test_loss"]?.number,
      let accuracy = last["accuracy"]?.number
    else { throw CommandFailure("\(folder.metrics) has no measurement.") }
    guard let seed = outline["seed"]?.integer, let parameters = outline["parameters"]?.integer,
      let recipe = outline["recipe"], recipe.object != nil, let model = outline["model"],
      model.object != nil
    else {
      throw CommandFailure(
        "\(path): run.json or its checkpoint lacks the recipe, the model, the seed or the parameters.")
    }
    let ending = path.split(separator: "/").last.map(String.init) ?? path
    let suffix = "-seed\(seed)"
    name = ending.hasSuffix(suffix) ? String(ending.dropLast(suffix.count)) : ending
    self.recipe = recipe.setting(["seed"], to: .null) ?? recipe
    task = Self.name(recipe["task"])
    // Networks that fill in masked tokens have one mixer only.
    self.model = model["mixer"].map { Self.name($0) } ?? "monarch_mixer"
    (self.seed, self.parameters) = (seed, parameters)
    (self.step, self.loss, self.accuracy) = (step, loss, accuracy)
    bestAccuracy = lines.compactMap { $0["accuracy"]?.number }.max() ?? accuracy
  }

  /// What was trained there; of runs that did not write it down, from the checkpoint.
  private static func outline(_ folder: RunFolder) throws -> JSON {
    if FileKind(path: folder.outline) == .file {
      return try JSON.parse(Files.text(folder.outline), file: folder.outline)
    }
    guard folder.isUsed else {
      throw CommandFailure("\(folder.path) has no run.json and no checkpoint of `godwit train`.")
    }
    let checkpoint = try Checkpoint(path: folder.checkpoint)
    return [
      "recipe": checkpoint.recipe, "model": checkpoint.model,
      "seed": .integer(Int(clamping: checkpoint.seed)),
      "parameters": .integer(checkpoint.parameterCount),
    ]
  }

  /// A name that stands alone or is an object's only key.
  private static func name(_ json: JSON?) -> String {
    switch json {
    case .string(let name): name
    case .object(let object): object.members.first?.key ?? "?"
    default: "?"
    }
  }

  /// A line for people.
  var line: String {
    "\(name) seed \(seed): \(model) on \(task), \(parameters) parameters, step \(step): loss "
      + "\(Output.fixed(loss, 4)) nats, accuracy \(Output.fixed(100 * accuracy, 1)) %\n"
  }
}
