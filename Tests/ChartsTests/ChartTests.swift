import Testing

@testable import Charts

@Suite struct MeasurementTests {
  @Test func linesBecomeMeasurements() throws {
    let text = """
      {"op": "fftconv", "shape": "B=4 H=64 L=256", "peer": "godwit", "threads": 2, "ms": 0.25, "of_bandwidth": 0.5}\r

      {"op": "fftconv", "shape": "B=4 H=64 L=1024", "peer": "FFTW", "ms": 2, "floor_ms": 0.5}
      """
    let found = try Measurement.lines(of: text, file: "x")
    #expect(
      found == [
        Measurement(
          op: "fftconv", shape: "B=4 H=64 L=256", peer: "godwit", milliseconds: 0.25, floorMilliseconds: 0.125
        ),
        Measurement(
          op: "fftconv", shape: "B=4 H=64 L=1024", peer: "FFTW", milliseconds: 2, floorMilliseconds: 0.5),
      ])
    #expect(found[1].size("L") == 1024 && found[1].size("H") == 64 && found[1].size("N") == nil)
  }

  @Test(arguments: [
    ("{\"op\": \"a\"", "no JSON at byte"), ("[1]", "an array of 1 is no object"),
    ("{\"op\": \"a\", \"shape\": \"L=1\", \"peer\": \"p\"}", "\"ms\" is missing"),
    ("{\"op\": \"a\", \"shape\": 3, \"peer\": \"p\", \"ms\": 1}", "\"shape\" is 3, not text"),
    ("{\"op\": \"a\", \"shape\": \"L=1\", \"ms\": 1}", "\"peer\" is missing"),
    ("{\"op\": \"a\", \"shape\": \"L=1\", \"peer\": \"p\", \"ms\": 0}", "\"ms\" is 0, not a number above 0"),
    ("{\"op\": \"a\", \"shape\": \"L=1\", \"peer\": \"p\", \"ms\": \"2\"}", "not a number above 0"),
  ])
  func badLinesAreNamed(line: String, reason: String) {
    do {
      _ = try Measurement.lines(of: "\n\(line)", file: "bench.jsonl")
      Issue.record("it was taken")
    } catch {
      #expect("\(error)".hasPrefix("bench.jsonl, line 2: ") && "\(error)".contains(reason), "\(error)")
    }
  }
}

@Suite struct ChartTests {
  static func times(_ peer: String, _ pairs: [(String, Double)], floor: Double? = nil) -> [Measurement] {
    pairs.map {
      Measurement(op: "conv", shape: $0.0, peer: peer, milliseconds: $0.1, floorMilliseconds: floor)
    }
  }

  @Test func programsBecomeLines() throws {
    let ours = Self.times("godwit", [("B=2 L=64", 4), ("B=1 L=16", 1), ("B=1 L=16", 0.5)], floor: 0.25)
    let chart = try Chart(ours + Self.times("FFTW", [("B=1 L=16", 2)]))
    #expect(chart.title == "conv" && chart.horizontal == "L")
    #expect(chart.series.map(\.name) == ["godwit", "FFTW", "floor"])
    #expect(chart.series[0].points == [Chart.Point(x: 16, y: 0.5), Chart.Point(x: 64, y: 4)])
    #expect(chart.series[2].isFloor && chart.series[2].points.map(\.y) == [0.25, 0.25])
    var selection = Chart.Selection()
    selection.isPerNumber = true
    #expect(try Chart(ours, selection).series[0].points.map(\.y) == [0.5 / 16, 4.0 / 128])
  }

  @Test func shapesOfOneLengthAreToldApart() throws {
    let lines = Self.times("godwit", [("N=8 full", 1), ("N=8 causal", 2), ("N=16 full", 3)])
    #expect(try Chart(lines).series.map(\.name) == ["godwit full", "godwit causal"])
    let gemm = Measurement(op: "gemm", shape: "M=1 N=2", peer: "godwit", milliseconds: 1)
    #expect(try Chart(lines + [gemm]).series.map(\.name).contains("gemm godwit M=1") == false)
    #expect(try Chart(lines + [gemm]).series.map(\.name).contains("gemm godwit"))
  }

  @Test func whatIsNotThereIsNamed() {
    var selection = Chart.Selection()
    selection.ops = ["attention"]
    let lines = Self.times("godwit", [("L=8", 1)])
    #expect(throws: ChartError.nothing(wanted: "the op attention", found: "the ops conv")) {
      try Chart(lines, selection)
    }
    #expect(throws: ChartError.nothing(wanted: "a line", found: "none at all")) { try Chart([]) }
    selection.ops = []
    selection.axis = "Q"
    #expect(throws: ChartError.nothing(wanted: "a number Q=", found: "the shapes L=8")) {
      try Chart(lines, selection)
    }
    let line = Chart.Series(name: "a", points: [Chart.Point(x: 0, y: 1)])
    #expect(throws: ChartError.value(series: "a", x: 0, y: 1)) {
      try Chart(title: "", horizontal: "", vertical: "", series: [line]).svg()
    }
    #expect(throws: ChartError.self) {
      try Chart(title: "", horizontal: "", vertical: "", series: []).svg()
    }
  }

  @Test func thePictureHasEveryPointAndNoLooseMarks() throws {
    let ours = Self.times(
      "<godwit> & \"co\"\u{1}", [("L=256", 0.01), ("L=1024", 0.1), ("L=65536", 10)], floor: 0.002)
    let svg = try Chart(ours + Self.times("FFTW", [("L=256", 0.02)]), title: "a < b").svg()
    #expect(svg.hasPrefix("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.hasSuffix("</svg>\n"))
    #expect(svg.contains("<title>a &lt; b</title>"))
    #expect(svg.contains("&lt;godwit&gt; &amp; &quot;co&quot;</text>"))
    #expect(svg.split(separator: "<polyline").count - 1 == 3)
    // A mark a point and one in the legend for each line that is no floor.
    #expect(svg.split(separator: "<circle").count - 1 == 3 + 1 + 2)
    #expect(svg.split(separator: "stroke-dasharray").count - 1 == 2)
    for label in ["256", "1K", "64K", "0.01", "0.1", "10"] {
      #expect(svg.contains(">\(label)</text>"), "\(label)")
    }
    // The first point of the first line lies at the left edge of the frame, 256 times further right the last.
    #expect(svg.contains("<polyline points=\"80.00,"))
    #expect(svg.contains(" 700.00,"))
  }

  @Test func axesNameWhatTheySpan() {
    #expect(
      LogAxis([30_000, 3_000_000]).ticks.map(\.label)
        == ["20,000", "50,000", "100,000", "200,000", "500,000", "1,000,000", "2,000,000", "5,000,000"])
    #expect(
      LogAxis([3, 700]).ticks.map(\.label) == ["2", "5", "10", "20", "50", "100", "200", "500", "1,000"])
    #expect(LogAxis([1e-8, 1]).ticks.first?.label == "1e-8")
    #expect(LogAxis([1, 1]).ticks.map(\.label) == ["1", "2"])
    #expect(
      LogAxis([1, 8_388_608]).ticks.map(\.label) == ["1", "8", "64", "512", "4K", "32K", "256K", "2M"])
    let axis = LogAxis([10, 1000])
    #expect(abs(axis.place(100) - 0.5) < 1e-12)
    for values in [[0.3, 0.3], [1e-9, 1e9], [5, 5.1], [1000, 1001]] {
      let axis = LogAxis(values)
      #expect(axis.range.contains(values[0]) && axis.range.contains(values[1]))
      #expect((2...LogAxis.most + 1).contains(axis.ticks.count), "\(values)")
    }
  }

  @Test func linearAxesBeginAtZero() {
    #expect(LinearAxis([0.2, 2.9]).ticks.map(\.label) == ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"])
    #expect(LinearAxis([1570, 62_800]).ticks.map(\.label).last == "70000")
    #expect(LinearAxis([0.004]).ticks.map(\.label).prefix(3) == ["0.0000", "0.0005", "0.0010"])
    #expect(LinearAxis([-3, 5]).range == -3...5)
    #expect(
      LinearAxis([0, 0]).range == 0...1 && LinearAxis([1e300]).ticks.count > 2
        && LinearAxis([1e-30]).ticks.count > 2)
    let axis = LinearAxis([10])
    #expect(axis.place(0) == 0 && axis.place(5) == 0.5 && axis.place(10) == 1)
  }

  @Test func linearChartsTakeZero() throws {
    let line = Chart.Series(name: "loss", points: [Chart.Point(x: 0, y: 0), Chart.Point(x: 10, y: 1)])
    let chart = Chart(title: "a", horizontal: "b", vertical: "c", series: [line], scale: .linear)
    #expect(try chart.svg().contains("<polyline points=\"80.00,540.00 700.00,50.00\""))
    let odd = Chart.Series(name: "loss", points: [Chart.Point(x: 0, y: .nan)])
    #expect(throws: ChartError.self) {
      try Chart(title: "", horizontal: "", vertical: "", series: [odd], scale: .linear).svg()
    }
  }
}
