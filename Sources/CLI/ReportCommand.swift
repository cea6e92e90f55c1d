internal import ArgumentParser
internal import Formats
internal import Memory

/// Several runs beside each other.
struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report", abstract: "Write a page that compares training runs.",
    discussion: """
      A table of what each run reached, means over seeds of the same recipe, and the curves of all. What has no measurement is passed over
      with a note, as are folders that stand twice. Of a folder run.json and metrics.jsonl are enough, such as those of a rented machine.

        godwit report runs/* --out comparison.html
        godwit report runs/code-hyena-seed0 runs/code-attention-seed0 --json
      """)

  @Argument(help: "Folders of `godwit train`.")
  var runs: [String]

  @Option(help: "The page to write.")
  var out = "report.html"

  @Option(help: "What the page is called.")
  var title = "Training runs"

  @Flag(help: "Print one JSON line a run.")
  var json = false

  private func summaries() throws -> [RunSummary] {
    var known: Set<String> = []
    var summaries: [RunSummary] = []
    var failures: [any Error] = []
    for path in runs {
      if FileKind(path: path) == .directory, !known.insert(try resolvedPath(path)).inserted {
        Output.note("\(path) stands twice.\n")
        continue
      }
      do { summaries.append(try RunSummary(RunFolder(path: path))) } catch { failures.append(error) }
    }
    if summaries.isEmpty, let failure = failures.first { throw failure }
    for failure in failures { Output.note("\(failure)\n") }
    return summaries
  }

  func run() throws {
    let summaries = try summaries()
    let page = RunComparison(title: title, runs: summaries)
    try Files.write(page.html(), to: out)
    guard json else {
      for run in summaries { Output.write(run.line) }
      Output.write("report     \(out)\n")
      return
    }
    for run in summaries {
      Output.json([
        "run": JSONField(run.name), "seed": JSONField(run.seed), "task": JSONField(run.task),
        "model": JSONField(run.model), "parameters": JSONField(run.parameters), "step": JSONField(run.step),
        "test_loss": JSONField(run.loss, decimals: 6), "accuracy": JSONField(run.accuracy, decimals: 4),
        "best_accuracy": JSONField(run.bestAccuracy, decimals: 4),
      ])
    }
  }
}
