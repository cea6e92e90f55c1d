internal import Charts
internal import Formats
internal import Glibc

/// Runs beside each other on a page of its own: a table, means over seeds, curves.
struct RunComparison {
  let title: String
  let runs: [RunSummary]

  /// Runs of the same name and recipe, in the order in which the first of each came.
  private var groups: [(name: String, runs: [RunSummary])] {
    var groups: [(name: String, runs: [RunSummary])] = []
    for run in runs {
      if let place = groups.firstIndex(where: { $0.name == run.name && $0.runs[0].recipe == run.recipe }) {
        groups[place].runs.append(run)
      } else {
        groups.append((run.name, [run]))
      }
    }
    return groups
  }

  /// The page.
  ///
  /// - Throws: what charts do not take.
  func html() throws -> String {
    let charts = try Self.tasks(runs).flatMap { task in
      let own = runs.filter { $0.task == task }
      return [
        try curve("\(task): loss of what was not trained on", "nats", own, "test_loss"),
        try curve("\(task): accuracy", "share of right answers", own, "accuracy"),
      ]
    }
    return RunPage.html(
      title: title,
      body: """
        <table><tr><th>run</th><th>task</th><th>network</th><th>parameters</th><th>steps</th><th>loss, nats</th>
        <th>perplexity</th><th>accuracy, %</th><th>seeds</th></tr>
        \(groups.map { row($0.name, $0.runs) }.joined(separator: "\n"))
        </table>
        \(charts.joined(separator: "\n"))
        """)
  }

  private static func tasks(_ runs: [RunSummary]) -> [String] {
    runs.reduce(into: []) { if !$0.contains($1.task) { $0.append($1.task) } }
  }

  /// A recipe's line; of several seeds the means, and each seed's accuracy.
  private func row(_ name: String, _ runs: [RunSummary]) -> String {
    func mean(_ value: (RunSummary) -> Double) -> Double {
      runs.reduce(0) { $0 + value($1) } / Double(runs.count)
    }
    let each = runs.map { Output.fixed(100 * $0.accuracy, 1) }.joined(separator: ", ")
    let loss = mean(\.loss)
    let cells = [
      name.escapedForXML, runs[0].task.escapedForXML, runs[0].model.escapedForXML, "\(runs[0].parameters)",
      runs.map { "\($0.step)" }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }.joined(
        separator: ", "),
      Output.fixed(loss, 4), Output.fixed(exp(loss), 3),
      Output.fixed(100 * mean(\.accuracy), 1) + (runs.count > 1 ? " (\(each))" : ""),
      runs.map { "\($0.seed)" }.joined(separator: ", "),
    ]
    return "<tr>" + cells.map { "<td>\($0)</td>" }.joined() + "</tr>"
  }

  private func curve(_ name: String, _ unit: String, _ runs: [RunSummary], _ key: String) throws -> String {
    try RunPage.chart(
      name, unit,
      runs.map { run in
        let isAlone = runs.filter { $0.name == run.name }.count == 1
        return (isAlone ? run.name : "\(run.name), seed \(run.seed)", run.lines, key)
      })
  }
}
