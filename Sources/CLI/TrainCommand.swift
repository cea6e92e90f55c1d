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
      A recipe is a YAML file: the task, the model, the optimizer. Its keys are explained by `godwit recipe` and in Documentation/Recipes.md. \
      The folder gets run.json, a checkpoint and a line of metrics.jsonl after every evaluation, and report.html in the end. A run that was \
      stopped goes on with --resume, with the same numbers as one that was not.

        godwit train Recipes/induction-h3.yaml
        godwit train Recipes/induction-h3.yaml --seed 1 --out runs/h3-1 --json
        godwit train Recipes/induction-h3.yaml --out runs/h3-1 --resume
        godwit train Recipes/long-recall-hyena.yaml --set task.recall.length=8192 --set batch=16
        godwit train Recipes/induction-h3.yaml --seed 1 --seed 2 --seed 3

      Several seeds are trained beside each other, each in a folder of its own: small networks leave most of a machine idle.

      The first run on a GPU compiles its kernels, on all cores. To have that done beforehand and on any machine, such as for an image
      that starts on rented GPUs (GODWIT_CACHE names the folder that has to come along):

        GODWIT_CACHE=kernels godwit train Recipes/code-hyena.yaml --compile-only
      """)

  @Argument(help: "The recipe, a YAML file.")
  var recipe: String

  @Option(
    help:
      "Folder for checkpoint, metrics and report; by default runs/NAME-seedSEED. With several seeds, -seedSEED is added."
  )
  var out: String?

  @Option(
    name: .customLong("seed"),
    help: ArgumentHelp(
      "Seed in place of the recipe's; given several times, runs beside each other, dealt out to the GPUs there are, or to shares of the "
        + "threads.", valueName: "seed"))
  var seeds: [UInt64] = []

  @Option(
    name: .customLong("set"), parsing: .singleValue,
    help: ArgumentHelp(
      "A value in place of the recipe's, any number of times; VALUE is YAML, empty to leave the key out.",
      valueName: "KEY=VALUE"))
  var settings: [String] = []

  @Flag(
    help:
      "Go on from the folder's checkpoint. Of several, those that have none begin anew; none begins where one has a checkpoint that is not its own."
  )
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

  @Flag(
    name: .customLong("compile-only"),
    help:
      "Compile the run's kernels for the GPU there is, or for an H100 where there is none, and train nothing. Needs CUDA's run-time compiler."
  )
  var compilesOnly = false

  @OptionGroup var options: DeviceOptions

  func validate() throws {
    if resume && overwrite { throw ValidationError("--resume and --overwrite exclude each other.") }
    if let maximumSteps, maximumSteps < 1 { throw ValidationError("--max-steps must be 1 or more.") }
    for seed in seeds where seed > UInt64(Int.max) {
      throw ValidationError("--seed must be \(Int.max) or less.")
    }
    if Set(seeds).count < seeds.count { throw ValidationError("--seed names one twice.") }
    if profile, isOfSeveral {
      throw ValidationError("--profile times the kernels of one run. Give one --seed.")
    }
    if compilesOnly, options.device == .cpu {
      throw ValidationError("--compile-only is for GPUs; cores need no compiler.")
    }
    if compilesOnly, options.threads != nil {
      throw ValidationError("--compile-only compiles on all cores; leave --threads out.")
    }
    if compilesOnly, profile || resume || overwrite || out != nil || maximumSteps != nil {
      throw ValidationError("--compile-only trains nothing: it has no folder, no steps and no profile.")
    }
  }

  /// The recipe's file name without its last extension.
  var runName: String {
    guard let file = recipe.split(separator: "/").last, file.contains(where: { $0 != "." }) else {
      return "run"
    }
    guard let dot = file.lastIndex(of: "."), dot > file.startIndex else { return String(file) }
    return String(file[..<dot])
  }

  /// Whether runs are beside each other.
  private var isOfSeveral: Bool { seeds.count > 1 }

  func run() throws {
    let name = runName
    let contents = try RecipeFile.contents(of: recipe)
    let recipes = try (seeds.isEmpty ? [nil] : seeds.map { $0 }).map { seed in
      try RecipeFile.recipe(contents, file: recipe, seed: seed, settings: settings)
    }
    if compilesOnly { return try compile(for: recipes[0], contents) }
    let folders = recipes.map { recipe in
      let suffix = out == nil || isOfSeveral ? "-seed\(recipe.seed)" : ""
      var path = out ?? "runs/\(name)"
      while path.count > 1, path.hasSuffix("/") { path.removeLast() }
      return RunFolder(path: path + suffix)
    }
    try prepare(folders)
    try check(folders, recipes)
    let executors = try options.executors(recipes.count)
    let work = "train \(try recipes[0].source.serialized())"
    KernelRehearsal(options: options, work: work).run(before: executors[0]) {
      try rehearse(recipes[0], contents, on: $0)
    }
    let examples = try examples(of: recipes[0])
    let board = ProgressBoard(name, runs: recipes.count)
    // A GPU is the executor's; what trains on it belongs to one thread.
    let failures = Beside.run(recipes.count) { number in
      let progress = RunProgress(board, run: number)
      defer { progress.end() }
      try train(recipes[number], folders[number], on: executors[number], examples, progress, name)
    }
    board.finish()
    guard let first = failures.compactMap({ $0 }).first else { return }
    if failures.count == 1 { throw first }
    for (recipe, failure) in zip(recipes, failures) {
      if let failure { Output.note("seed \(recipe.seed): \(failure)\n") }
    }
    throw CommandFailure("\(failures.compactMap { $0 }.count) of \(failures.count) runs failed.")
  }

  /// Has the kernels of a step, of an epoch's last step and of an evaluation compiled.
  private func compile(for whole: Recipe, _ contents: JSON) throws {
    let start = ContinuousClock.now
    Output.hint("kernels are compiled")
    let executor = try options.compilingExecutor()
    try rehearse(whole, contents, on: executor)
    let (compiled, found) = try executor.finish()
    Output.hint("")
    let (time, notes) = (seconds(since: start), executor.notes)
    guard json else {
      for note in notes { Output.write(note + "\n") }
      return Output.write(
        "\(compiled) kernels compiled for \(executor.target.rawValue) with \(executor.cores) multiprocessors, \(found) were there, "
          + "\(Output.fixed(time, 1)) s; kept in \(Files.moduleFolder)\n")
    }
    Output.json([
      "event": "compiled", "compiled": JSONField(compiled), "found": JSONField(found),
      "target": JSONField(executor.target.rawValue), "multiprocessors": JSONField(executor.cores),
      "seconds": JSONField(time, decimals: 2), "folder": JSONField(Files.moduleFolder),
      "notes": try JSONField(.array(notes.map { .string($0) })),
    ])
  }

  /// A step, an epoch's last step and an evaluation, where nothing runs.
  private func rehearse(_ whole: Recipe, _ contents: JSON, on executor: CompilingExecutor) throws {
    let fewest = whole.fewestExamples
    let recipe = try RecipeFile.recipe(
      contents, file: recipe, seed: whole.seed,
      settings: settings + ["examples.train=\(fewest.train)", "examples.test=\(fewest.test)"])
    let training = try Training(recipe, on: Device(executor, factors: recipe.precision), from: nil)
    try training.advance(through: min(recipe.steps, recipe.stepsPerEpoch)) { _ in }
    _ = try training.evaluate()
  }

  /// Makes the folders, unless there is something in one that is to be kept, or nothing to go on from.
  private func prepare(_ folders: [RunFolder]) throws {
    if let used = folders.first(where: \.isUsed), !resume, !overwrite {
      throw CommandFailure(
        "\(used.path) has a checkpoint. Go on with --resume, or train anew with --overwrite.")
    }
    if let other = folders.first(where: \.holdsForeignMeasurements), !overwrite {
      throw CommandFailure(
        "\(other.path) has measurements of a run whose checkpoint is not there. Name another folder with --out, or train anew with --overwrite."
      )
    }
    if resume, !folders.contains(where: \.isUsed) {
      let paths = folders.map(\.path).joined(separator: ", ")
      throw CommandFailure("\(paths): no checkpoint to resume.")
    }
    for folder in folders { try folder.prepare() }
  }

  /// What all seeds are trained on.
  private func examples(of recipe: Recipe) throws -> RecipeExamples {
    Output.hint("\(recipe.trainCount + recipe.testCount) examples are prepared")
    defer { Output.hint("") }
    return try recipe.examples()
  }

  /// Whether checkpoints that are gone on from are of their recipes, before examples are prepared, which may take minutes.
  private func check(_ folders: [RunFolder], _ recipes: [Recipe]) throws {
    for (folder, recipe) in zip(folders, recipes) where resume && folder.isUsed {
      try Checkpoint(path: folder.checkpoint).require(recipe)
    }
  }

  private func train(
    _ recipe: Recipe, _ folder: RunFolder, on executor: any Executor, _ examples: RecipeExamples,
    _ progress: RunProgress, _ name: String
  ) throws {
    let kernels = (executor as? CPUExecutor)?.profile ?? (executor as? CUDAExecutor)?.profile
    kernels?.isOn.store(profile, ordering: .relaxed)
    let device = Device(executor, factors: recipe.precision)
    let checkpoint = resume && folder.isUsed ? try Checkpoint(path: folder.checkpoint) : nil
    let training = try Training(recipe, on: device, from: checkpoint, examples: examples)
    training.startsStepsAsOne = !startsOneByOne
    if overwrite { try folder.clear() }
    try folder.forgetMetrics(after: training.step)
    var session = TrainingSession(
      training: training, folder: folder, json: json, last: min(recipe.steps, maximumSteps ?? recipe.steps),
      progress: progress, isOneOfSeveral: isOfSeveral)
    try session.run(title: name)
    if profile { kernels?.report() }
  }
}
