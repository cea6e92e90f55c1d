internal import Formats

/// Curves of a run as a page of its own, for people to look at.
struct TrainingReport {
  let title: String
  /// What was measured, step by step.
  let lines: [JSON]

  /// The page.
  func html() -> String {
    let charts = [
      curve("Loss", ["train_loss": "training", "test_loss": "answers"]),
      curve("Accuracy", ["accuracy": "answers"]),
    ]
    return """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><title>\(title)</title>
      <style>body{font:15px system-ui;margin:2em auto;max-width:760px}svg{width:100%;height:auto}</style></head>
      <body><h1>\(title)</h1>
      \(charts.joined(separator: "\n"))
      </body></html>

      """
  }

  private static let colours = ["#1f6fb4", "#c8501e"]

  /// One chart over the steps.
  private func curve(_ name: String, _ keys: KeyValuePairs<String, String>) -> String {
    let (width, height, left, bottom) = (720.0, 300.0, 60.0, 40.0)
    let points = keys.map { key, _ in
      lines.compactMap { line in
        line["step"]?.number.flatMap { step in line[key]?.number.map { (step, $0) } }
      }
    }
    let steps = max(1, points.joined().map(\.0).max() ?? 1)
    let top = max(1e-9, points.joined().map(\.1).max() ?? 1)
    func x(_ step: Double) -> String { Output.fixed(left + step / steps * (width - left - 10), 1) }
    func y(_ value: Double) -> String { Output.fixed(10 + (1 - value / top) * (height - bottom - 10), 1) }
    var parts = ["<h2>\(name)</h2><svg viewBox=\"0 0 \(Int(width)) \(Int(height))\" role=\"img\">"]
    for tick in 0...4 {
      let (value, step) = (top * Double(tick) / 4, steps * Double(tick) / 4)
      parts.append(
        "<line x1=\"\(left)\" x2=\"\(width - 10)\" y1=\"\(y(value))\" y2=\"\(y(value))\" stroke=\"#ddd\"/>")
      parts.append(
        "<text x=\"\(left - 6)\" y=\"\(y(value))\" text-anchor=\"end\" font-size=\"11\">\(Output.fixed(value, 2))</text>"
      )
      parts.append(
        "<text x=\"\(x(step))\" y=\"\(height - 20)\" text-anchor=\"middle\" font-size=\"11\">\(Int(step))</text>"
      )
    }
    for (place, entry) in keys.enumerated() {
      let path = points[place].map { "\(x($0.0)),\(y($0.1))" }.joined(separator: " ")
      let colour = Self.colours[place]
      parts.append("<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"1.5\"/>")
      parts.append(
        "<text x=\"\(width - 12)\" y=\"\(24 + 16 * place)\" text-anchor=\"end\" fill=\"\(colour)\" font-size=\"12\">\(entry.value)</text>"
      )
    }
    return parts.joined(separator: "\n") + "</svg>"
  }
}
