internal import ArgumentParser
internal import Formats
internal import Glibc
internal import Tensors
internal import Train

/// Judges a trained network by its task.
struct EvalCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval", abstract: "Judge a trained checkpoint by the task of its recipe.",
    discussion: """
        godwit eval runs/induction-h3-seed0/checkpoint.safetensors
        godwit eval runs/induction-h3-seed0/checkpoint.safetensors --examples 2000 --json
      """)

  @Argument(help: "A checkpoint that `godwit train` wrote.")
  var checkpoint: String

  @Option(
    help: "Judge by so many examples that are in neither of the recipe's sets, instead of its test set.")
  var examples: Int?

  @Flag(help: "Print a JSON line.")
  var json = false

  @OptionGroup var options: DeviceOptions

  func validate() throws {
    if let examples, examples < 1 { throw ValidationError("--examples must be 1 or more.") }
  }

  func run() throws {
    let checkpoint = try Checkpoint(path: checkpoint)
    if checkpoint.recipe["converted"] != nil {
      throw CommandFailure(
        "\(checkpoint.file) was converted from a published file: no recipe, so no task to judge it by.")
    }
    let recipe = try Recipe(checkpoint.recipe, file: checkpoint.file, seed: checkpoint.seed)
    let start = ContinuousClock.now
    let judge = try Judge(recipe, checkpoint, on: Device(try options.executor(), factors: recipe.precision))
    var progress = Progress("examples", total: examples ?? recipe.testCount)
    let found = try judge.evaluate(newExamples: examples) { done, _ in progress.update(done) }
    progress.finish()
    let time = seconds(since: start)
    if json {
      Output.json([
        "step": JSONField(checkpoint.step), "loss": JSONField(found.loss, decimals: 6),
        "perplexity": JSONField(exp(found.loss), decimals: 4),
        "accuracy": JSONField(found.accuracy, decimals: 4),
        "answers": JSONField(found.count), "seconds": JSONField(time, decimals: 2),
      ])
    } else {
      Output.write(
        "step        \(checkpoint.step)\nloss        \(Output.fixed(found.loss, 4)) nats\n"
          + "accuracy    \(Output.fixed(100 * found.accuracy, 1)) % of \(found.count) answers\n")
    }
  }
}
