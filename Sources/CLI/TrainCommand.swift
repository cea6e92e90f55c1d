internal import ArgumentParser
internal import Formats
internal import Models
internal import Synchronization
internal import Tensors
internal import Tiles
internal import TilesCPU
internal import TilesCUDA
internal import Train

/// Trains a network by a recipe.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Train a sequence model by a recipe.",
    discussion: """
      A recipe is a YAML file: the task, the model, the optimizer. The folder gets a checkpoint after every evaluation,
      metrics.jsonl and report.html. A run that was stopped goes on with --resume, with the same numbers as one that was not.

        godwit train Recipes/induction-h3.yaml
        godwit train Recipes/induction-h3.yaml --seed 1 --out runs/h3-1 --json
        godwit train Recipes/induction-h3.yaml --out runs/h3-1 --resume
        godwit train Recipes/long-recall-hyena.yaml --set task.recall.length=8192 --set batch=16
      """)

  @Argument(help: "The recipe, a YAML file.")
  var recipe: String

  @Option(help: "Folder for checkpoint, metrics and report; by default runs/NAME-seedSEED.")
  var out: String?

  @Option(help: "Seed in place of the recipe's.")
  var seed: UInt64?

  @Option(
    name: .customLong("set"), parsing: .singleValue,
    help: ArgumentHelp(
      "A value in place of the recipe's, any number of times; VALUE is YAML, empty to leave the key out.",
      valueName: "KEY=VALUE"))
  var settings: [String] = []

  @Flag(help: "Go on from the folder's checkpoint.")
  var resume = false

  @Flag(help: "Train anew in a folder that has a checkpoint.")
  var overwrite = false

  @Option(name: .customLong("max-steps"), help: "Stop after this step, with a checkpoint.")
  var maximumSteps: Int?

  @Flag(help: "Print a JSON line for each evaluation and one at the end.")
  var json = false

  @Flag(help: "Print where the time goes, kernel by kernel; a GPU is waited for after each.")
  var profile = false

  @Flag(
    name: .customLong("one-by-one"),
    help: "On a GPU, start the kernels of a step one by one instead of as one: less memory, the same numbers."
  )
  var startsOneByOne = false

  @OptionGroup var options: DeviceOptions

  func validate() throws {
    if resume && overwrite { throw ValidationError("--resume and --overwrite exclude each other.") }
    if let maximumSteps, maximumSteps < 1 { throw ValidationError("--max-steps must be 1 or more.") }
    if let seed, seed > UInt64(Int.max) { throw ValidationError("--seed must be \(Int.max) or less.") }
  }

  func run() throws {
    let recipe = try RecipeFile.read(recipe, seed: seed, settings: settings)
    let name = self.recipe.split(separator: "/").last.map { $0.split(separator: ".")[0] } ?? "run"
    let folder = RunFolder(path: out ?? "runs/\(name)-seed\(recipe.seed)")
    if folder.isUsed, !resume, !overwrite {
      throw CommandFailure(
        "\(folder.path) has a checkpoint. Go on with --resume, or train anew with --overwrite.")
    }
    if resume, !folder.isUsed { throw CommandFailure("\(folder.path) has no checkpoint to resume.") }
    try folder.prepare()
    let executor = try options.executor()
    let kernels = (executor as? CPUExecutor)?.profile ?? (executor as? CUDAExecutor)?.profile
    kernels?.isOn.store(profile, ordering: .relaxed)
    let device = Device(executor, factors: recipe.precision)
    let checkpoint = resume ? try Checkpoint(path: folder.checkpoint) : nil
    let training = try Training(recipe, on: device, from: checkpoint)
    training.startsStepsAsOne = !startsOneByOne
    try folder.forgetMetrics(after: training.step)
    var session = TrainingSession(
      training: training, folder: folder, json: json, last: min(recipe.steps, maximumSteps ?? recipe.steps))
    try session.run(title: String(name))
    if profile { kernels?.report() }
  }
}

/// One call of `godwit train`.
private struct TrainingSession {
  let training: Training
  let folder: RunFolder
  let json: Bool
  /// Step after which it ends.
  let last: Int
  private let start = ContinuousClock.now
  private let firstStep: Int

  init(training: Training, folder: RunFolder, json: Bool, last: Int) {
    self.training = training
    self.folder = folder
    self.json = json
    self.last = last
    firstStep = training.step
  }

  mutating func run(title: String) throws {
    let recipe = training.recipe
    if !json {
      Output.write(
        "\(title): \(training.network.parameters.count) parameters, \(recipe.steps) steps, seed \(recipe.seed)\n"
      )
    }
    var progress = Progress(title, total: last - firstStep)
    var (sum, count, best) = (0.0, 0, 0.0)
    // A run that ended early had reached its goal and is not taken further.
    var latest = firstStep > 0 ? try training.evaluate() : nil
    while training.step < last, !hasReachedGoal(latest) {
      let next = min(last, (training.step / recipe.evaluationInterval + 1) * recipe.evaluationInterval)
      var latestResult: Training.StepResult?
      try training.advance(through: next) { result in
        latestResult = result
        sum += Double(result.loss)
        count += 1
        progress.update(result.step - firstStep)
      }
      guard let result = latestResult else { continue }
      let found = try training.evaluate()
      latest = found
      best = max(best, found.accuracy)
      try note(result, trainLoss: sum / Double(count), found)
      (sum, count) = (0, 0)
    }
    progress.finish()
    // A run that had reached its goal before may have measured nothing.
    let lines = folder.lines()
    if !lines.isEmpty {
      try Files.write(TrainingReport(title: title, lines: lines).html(), to: folder.report)
    }
    let found = try latest ?? training.evaluate()
    finish(found, best: max(best, found.accuracy))
  }

  private func hasReachedGoal(_ found: Training.Evaluation?) -> Bool {
    guard let goal = training.recipe.stopAccuracy, let found else { return false }
    return found.accuracy >= goal
  }

  private func note(
    _ result: Training.StepResult, trainLoss: Double, _ found: Training.Evaluation
  ) throws {
    // A network that is no number any more must not take the place of the last good one.
    guard found.loss.isFinite else { throw TrainError.diverged(step: result.step, loss: Float(found.loss)) }
    // The line first: a run that is killed in between measures it again, but never lacks it.
    try folder.add([
      "step": .integer(result.step), "epoch": .integer(training.epoch), "train_loss": .number(trainLoss),
      "rate": .number(result.rate), "gradient_norm": .number(Double(result.norm)),
      "test_loss": .number(found.loss), "accuracy": .number(found.accuracy),
    ])
    try training.save(to: folder.checkpoint)
    guard json else {
      return Output.write(
        "step \(result.step)  epoch \(training.epoch)  train \(Output.fixed(trainLoss, 4))  test "
          + "\(Output.fixed(found.loss, 4))  accuracy \(Output.fixed(100 * found.accuracy, 1)) %\n")
    }
    Output.json([
      "step": JSONField(result.step), "epoch": JSONField(training.epoch),
      "train_loss": JSONField(trainLoss, decimals: 6), "test_loss": JSONField(found.loss, decimals: 6),
      "accuracy": JSONField(found.accuracy, decimals: 4),
      "seconds": JSONField(seconds(since: start), decimals: 2),
    ])
  }

  private func finish(_ found: Training.Evaluation, best: Double) {
    let time = seconds(since: start)
    let steps = training.step - firstStep
    if json {
      Output.json([
        "event": "end", "step": JSONField(training.step), "accuracy": JSONField(found.accuracy, decimals: 4),
        "best_accuracy": JSONField(best, decimals: 4), "test_loss": JSONField(found.loss, decimals: 6),
        "seconds": JSONField(time, decimals: 2),
        "ms_step": JSONField(1e3 * time / Double(max(1, steps)), decimals: 3),
        "parameters": JSONField(training.network.parameters.count),
        "steps_as_one": JSONField(training.isReplayed),
        "obstacle": JSONField(training.isReplayed ? "" : training.obstacle ?? ""),
        "checkpoint": JSONField(folder.checkpoint),
      ])
    } else {
      Output.write(
        "accuracy \(Output.fixed(100 * found.accuracy, 1)) % after \(training.step) steps, "
          + "\(Output.fixed(time, 1)) s (\(Output.fixed(1e3 * time / Double(max(1, steps)), 2)) ms a step)\n"
          + "checkpoint \(folder.checkpoint)\nreport     \(folder.report)\n")
    }
  }
}
