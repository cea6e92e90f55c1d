extension Chart {
  /// The chart as a file of Scalable Vector Graphics, 600 high and as wide as the legend needs.
  ///
  /// - Throws: ``ChartError/value(series:x:y:)`` for numbers that the axes do not take,
  ///   ``ChartError/nothing(wanted:found:)`` where no line has a point.
  public func svg() throws(ChartError) -> String {
    let points = series.flatMap(\.points)
    guard !points.isEmpty else { throw .nothing(wanted: "a point", found: "\(series.count) lines without") }
    for line in series {
      for point in line.points {
        let fits = scale == .linear || point.x > 0 && point.y > 0
        guard fits, point.x.isFinite, point.y.isFinite else {
          throw .value(series: line.name, x: point.x, y: point.y)
        }
      }
    }
    let picture = Picture(
      across: Axis(points.map(\.x), scale), up: Axis(points.map(\.y), scale),
      longestName: series.map(\.name.count).max() ?? 0)
    let legend = series.indices.map { picture.legend(series[$0], number: $0) }
    let lines = series.indices.map { picture.line(series[$0], number: $0) }
    return ([picture.head(self)] + picture.axes(self) + lines + legend + ["</svg>", ""]).joined(
      separator: "\n")
  }
}

/// Where things lie in the picture.
private struct Picture {
  let across: Axis
  let up: Axis
  private let width: Double
  private let height = 600.0
  private let left = 80.0
  private let right = 700.0
  private let top = 50.0
  private let bottom = 540.0
  /// Colours that differ for colour-blind readers too: Okabe and Ito, 2008.
  private let colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
  /// Broken lines tell apart what has the same colour.
  private let dashes = ["", "8 3", "2 3"]

  init(across: Axis, up: Axis, longestName: Int) {
    self.across = across
    self.up = up
    // Letters are about 7.5 wide.
    width = right + 70 + 7.5 * Double(longestName)
  }

  private func x(_ value: Double) -> String { Self.number(left + (right - left) * across.place(value)) }
  private func y(_ value: Double) -> String { Self.number(bottom - (bottom - top) * up.place(value)) }

  /// With two decimals; far outside of the picture where it is no such number.
  private static func number(_ value: Double) -> String {
    let limited = value.isNaN ? 0 : max(-1e6, min(1e6, value))
    let hundredths = Int((limited * 100).rounded())
    let (whole, rest) = (abs(hundredths) / 100, abs(hundredths) % 100)
    return "\(hundredths < 0 ? "-" : "")\(whole).\(rest < 10 ? "0" : "")\(rest)"
  }

  func head(_ chart: Chart) -> String {
    """
    <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.number(width)) \(Self.number(height))" font-family="sans-serif" font-size="13">
    <title>\(chart.title.escapedForXML)</title>
    <rect width="100%" height="100%" fill="white"/>
    <text x="\(Self.number((left + right) / 2))" y="28.00" text-anchor="middle" font-size="17">\(chart.title.escapedForXML)</text>
    """
  }

  func axes(_ chart: Chart) -> [String] {
    let frame =
      "<rect x=\"\(Self.number(left))\" y=\"\(Self.number(top))\" width=\"\(Self.number(right - left))\" height=\"\(Self.number(bottom - top))\" fill=\"none\" stroke=\"#444\"/>"
    let columns = across.ticks.map { tick in
      let place = x(tick.value)
      return """
        <line x1="\(place)" y1="\(Self.number(top))" x2="\(place)" y2="\(Self.number(bottom + 5))" stroke="#ddd"/>
        <text x="\(place)" y="\(Self.number(bottom + 20))" text-anchor="middle">\(tick.label)</text>
        """
    }
    let rows = up.ticks.map { tick in
      let place = y(tick.value)
      return """
        <line x1="\(Self.number(left - 5))" y1="\(place)" x2="\(Self.number(right))" y2="\(place)" stroke="#ddd"/>
        <text x="\(Self.number(left - 9))" y="\(place)" text-anchor="end" dominant-baseline="middle">\(tick.label)</text>
        """
    }
    let middle = Self.number((top + bottom) / 2)
    let names = """
      <text x="\(Self.number((left + right) / 2))" y="\(Self.number(bottom + 45))" text-anchor="middle">\(chart.horizontal.escapedForXML)</text>
      <text x="20.00" y="\(middle)" text-anchor="middle" transform="rotate(-90 20 \(middle))">\(chart.vertical.escapedForXML)</text>
      """
    return columns + rows + [frame, names]
  }

  private func stroke(_ series: Chart.Series, number: Int) -> String {
    if series.isFloor { return "stroke=\"#888\" stroke-width=\"2\" stroke-dasharray=\"5 4\"" }
    let dash = dashes[number / colours.count % dashes.count]
    let broken = dash.isEmpty ? "" : " stroke-dasharray=\"\(dash)\""
    return "stroke=\"\(colours[number % colours.count])\" stroke-width=\"2\"\(broken)"
  }

  private func mark(_ x: String, _ y: String, number: Int) -> String {
    "<circle cx=\"\(x)\" cy=\"\(y)\" r=\"3.5\" fill=\"\(colours[number % colours.count])\"/>"
  }

  func line(_ series: Chart.Series, number: Int) -> String {
    let places = series.points.map { (x($0.x), y($0.y)) }
    let path = places.map { "\($0.0),\($0.1)" }.joined(separator: " ")
    let line = "<polyline points=\"\(path)\" fill=\"none\" \(stroke(series, number: number))/>"
    return ([line] + (series.isFloor ? [] : places.map { mark($0.0, $0.1, number: number) })).joined(
      separator: "\n")
  }

  func legend(_ series: Chart.Series, number: Int) -> String {
    let (start, place) = (right + 15, Self.number(top + 10 + 22 * Double(number)))
    let sample =
      "<line x1=\"\(Self.number(start))\" y1=\"\(place)\" x2=\"\(Self.number(start + 30))\" y2=\"\(place)\" \(stroke(series, number: number))/>"
    let text =
      "<text x=\"\(Self.number(start + 38))\" y=\"\(place)\" dominant-baseline=\"middle\">\(series.name.escapedForXML)</text>"
    return
      ([sample] + (series.isFloor ? [] : [mark(Self.number(start + 15), place, number: number)]) + [text])
      .joined(separator: "\n")
  }
}

extension String {
  /// As text of XML: marks as entities, characters that XML 1.0 does not allow left out.
  package var escapedForXML: String {
    var result = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      case "\t", "\n", "\r": result += " "
      case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": continue
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
