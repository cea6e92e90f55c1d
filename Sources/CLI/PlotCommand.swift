internal import ArgumentParser
internal import Charts
internal import Memory

/// A chart of measurements, ours and other programs'.
struct PlotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plot", abstract: "Draw the lines of `godwit bench --json` as a chart (SVG).",
    discussion: """
        godwit bench attention --device cuda --json > ours.jsonl
        godwit plot ours.jsonl peers.jsonl --op attention --output attention.svg
      Time against length, both logarithmic, a line for each program; where lines say how near the time is to what the \
      machine allows (floor_ms or of_bandwidth), that limit is a broken line. Where several times are for one program and \
      length, the fastest counts.
      """)

  @Argument(help: "Files with a JSON object a line: op, shape, peer, ms; - for standard input.")
  var files: [String]

  @Option(name: [.short, .long], help: "Where the chart goes; - for standard output.")
  var output: String

  @Option(help: "Only this operation; may be given several times.")
  var op: [String] = []

  @Option(
    help: "Part of the shape along the horizontal axis; by default the first of L, N, M and K that varies.")
  var axis: String?

  @Option(help: "What stands above the chart; by default the operations.")
  var title: String?

  @Flag(help: "Divide times by the numbers B and H and the length, where the shape has them.")
  var perNumber = false

  func run() throws {
    var measurements: [Measurement] = []
    for file in files { measurements += try Measurement.lines(of: Files.text(file), file: file) }
    var selection = Chart.Selection()
    selection.ops = op
    selection.axis = axis
    selection.isPerNumber = perNumber
    let picture = try Chart(measurements, selection, title: title).svg()
    if output == "-" { return Output.write(picture) }
    try Files.write(picture, to: output)
  }
}
