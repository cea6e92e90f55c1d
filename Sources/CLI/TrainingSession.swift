internal import Formats
internal import Models
internal import Train

/// One run of `godwit train`.
struct TrainingSession {
  let training: Training
  let folder: RunFolder
  let json: Bool
  /// Step after which it ends.
  let last: Int
  private let start = ContinuousClock.now
  /// Seconds that steps took, without judging and writing.
  private var stepping = 0.0
  private let firstStep: Int
  private let progress: RunProgress
  /// What lines for people begin with.
  private let label: String

  init(
    training: Training, folder: RunFolder, json: Bool, last: Int, progress: RunProgress, isOneOfSeveral: Bool
  ) {
    self.training = training
    self.folder = folder
    self.json = json
    self.last = last
    firstStep = training.step
    self.progress = progress
    label = isOneOfSeveral ? "seed \(training.recipe.seed)  " : ""
  }

  mutating func run(title: String) throws {
    let recipe = training.recipe
    if !json {
      progress.write(
        "\(title): \(training.network.parameters.count) parameters, \(recipe.steps) steps, seed \(recipe.seed)\n"
      )
    }
    try Files.write(training.outline.serialized() + "\n", to: folder.outline)
    progress.expect(last - firstStep)
    var (sum, count) = (0.0, 0)
    var best = folder.lines().compactMap { $0["accuracy"]?.number }.max() ?? 0
    // A run that ended early had reached its goal and is not taken further.
    var latest = firstStep > 0 && recipe.stopAccuracy != nil ? try evaluate() : nil
    while training.step < last, !hasReachedGoal(latest) {
      let next = min(last, (training.step / recipe.evaluationInterval + 1) * recipe.evaluationInterval)
      var latestResult: Training.StepResult?
      let begin = ContinuousClock.now
      try training.advance(through: next) { result in
        latestResult = result
        sum += Double(result.loss)
        count += 1
        progress.update(result.step - firstStep)
      }
      stepping += seconds(since: begin)
      guard let result = latestResult else { continue }
      let found = try evaluate()
      latest = found
      best = max(best, found.accuracy)
      try note(result, trainLoss: sum / Double(count), found)
      (sum, count) = (0, 0)
    }
    // A run that had reached its goal before may have measured nothing.
    let lines = folder.lines()
    if !lines.isEmpty {
      try Files.write(TrainingReport(title: title, lines: lines).html(), to: folder.report)
    }
    let found = try latest ?? evaluate()
    finish(found, best: max(best, found.accuracy))
  }

  /// Judges; where that takes long the progress line says how far it is.
  private func evaluate() throws -> Training.Evaluation {
    let begin = ContinuousClock.now
    return try training.evaluate { done, all in
      if seconds(since: begin) > 1 { progress.hint("\(done) of \(all) examples are judged") }
    }
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
      return progress.write(
        "\(label)step \(result.step)  epoch \(training.epoch)  train \(Output.fixed(trainLoss, 4))  test "
          + "\(Output.fixed(found.loss, 4))  accuracy \(Output.fixed(100 * found.accuracy, 1)) %\n")
    }
    progress.write(
      Output.line([
        "seed": JSONField(Int(training.recipe.seed)), "step": JSONField(result.step),
        "epoch": JSONField(training.epoch),
        "train_loss": JSONField(trainLoss, decimals: 6), "test_loss": JSONField(found.loss, decimals: 6),
        "accuracy": JSONField(found.accuracy, decimals: 4),
        "seconds": JSONField(seconds(since: start), decimals: 2),
      ]))
  }

  private func finish(_ found: Training.Evaluation, best: Double) {
    let time = seconds(since: start)
    let steps = training.step - firstStep
    let each = steps > 0 ? 1e3 * stepping / Double(steps) : nil
    if json {
      let line = Output.line([
        "event": "end", "seed": JSONField(Int(training.recipe.seed)), "step": JSONField(training.step),
        "accuracy": JSONField(found.accuracy, decimals: 4),
        "best_accuracy": JSONField(best, decimals: 4), "test_loss": JSONField(found.loss, decimals: 6),
        "seconds": JSONField(time, decimals: 2),
        "ms_step": each.map { JSONField($0, decimals: 3) },
        "parameters": JSONField(training.network.parameters.count),
        "steps_as_one": JSONField(training.isReplayed),
        "obstacle": JSONField(training.isReplayed ? "" : training.obstacle ?? ""),
        "checkpoint": JSONField(folder.checkpoint),
      ])
      progress.write(line)
    } else {
      let rate = each.map { " (\(Output.fixed($0, 2)) ms a step)" } ?? ""
      progress.write(
        "\(label)accuracy \(Output.fixed(100 * found.accuracy, 1)) % after \(training.step) steps, "
          + "\(Output.fixed(time, 1)) s\(rate)\n"
          + "\(label)checkpoint \(folder.checkpoint)\n\(label)report     \(folder.report)\n")
    }
  }
}
