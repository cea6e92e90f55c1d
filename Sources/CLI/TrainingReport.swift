internal import Charts
internal import Formats

/// Curves of a run as a page of its own, for people to look at.
struct TrainingReport {
  let title: String
  /// What was measured, step by step.
  let lines: [JSON]

  /// The page.
  ///
  /// - Throws: what charts do not take: nothing was measured.
  func html() throws -> String {
    let charts = [
      try curve("Loss", ["train_loss": "training", "test_loss": "answers"], "nats"),
      try curve("Accuracy", ["accuracy": "answers"], "share of right answers"),
    ]
    return """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><title>\(title.escapedForXML)</title>
      <style>body{font:15px system-ui;margin:2em auto;max-width:860px}svg{width:100%;height:auto}</style></head>
      <body><h1>\(title.escapedForXML)</h1>
      \(charts.joined(separator: "\n"))
      </body></html>

      """
  }

  /// One chart over the steps.
  private func curve(
    _ name: String, _ keys: KeyValuePairs<String, String>, _ unit: String
  ) throws -> String {
    let series = keys.map { key, label in
      Chart.Series(
        name: label,
        points: lines.compactMap { line in
          guard let step = line["step"]?.number, let value = line[key]?.number else { return nil }
          return Chart.Point(x: step, y: value)
        })
    }
    return try Chart(title: name, horizontal: "steps", vertical: unit, series: series, scale: .linear).svg()
  }
}
