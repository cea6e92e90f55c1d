internal import Charts
internal import Formats

/// A page of its own about training runs, for people to look at.
enum RunPage {
  /// The page.
  ///
  /// - Parameter body: HTML under the title.
  static func html(title: String, body: String) -> String {
    """
    <!DOCTYPE html>
    <html lang="en"><head><meta charset="utf-8"><title>\(title.escapedForXML)</title>
    <style>body{font:15px system-ui;margin:2em auto;max-width:960px}svg{width:100%;height:auto}
    table{border-collapse:collapse;width:100%}td,th{padding:.3em .6em;text-align:right;border-bottom:1px solid #ddd}
    td:nth-child(-n+3),th:nth-child(-n+3){text-align:left}</style></head>
    <body><h1>\(title.escapedForXML)</h1>
    \(body)
    </body></html>

    """
  }

  /// A chart over the steps.
  ///
  /// - Parameter series: a name, measurements and the key that is drawn, for each curve.
  /// - Throws: what charts do not take: nothing was measured.
  static func chart(
    _ title: String, _ unit: String, _ series: [(name: String, lines: [JSON], key: String)]
  ) throws -> String {
    let curves = series.map { curve in
      Chart.Series(
        name: curve.name,
        points: curve.lines.compactMap { line in
          guard let step = line["step"]?.number, let value = line[curve.key]?.number else { return nil }
          return Chart.Point(x: step, y: value)
        })
    }
    return try Chart(title: title, horizontal: "steps", vertical: unit, series: curves, scale: .linear).svg()
  }
}
