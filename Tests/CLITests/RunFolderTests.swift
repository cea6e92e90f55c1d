import Formats
import Foundation
import TestSupport
import Testing

@testable import CLI

@Suite struct RunFolderTests {
  private func line(_ step: Int) -> JSON { ["step": .integer(step), "test_loss": 1.5] }

  @Test func whatIsMeasuredAgainIsForgotten() throws {
    let folder = RunFolder(path: Scratch.path("deep") + "/run")
    #expect(folder.lines().isEmpty && !folder.isUsed)
    try folder.forgetMetrics(after: 3)
    try folder.prepare()
    for step in [2, 4, 6] { try folder.add(line(step)) }
    #expect(folder.lines() == [2, 4, 6].map(line))
    try Files.write(Files.text(folder.metrics).replacing("\n", with: "\r\n"), to: folder.metrics)
    #expect(folder.lines() == [2, 4, 6].map(line))
    // The program ended while it was writing.
    let text = try Files.text(folder.metrics)
    try Files.write(text + #"{"step": 8, "te"#, to: folder.metrics)
    #expect(folder.lines() == [2, 4, 6].map(line))
    try folder.forgetMetrics(after: 4)
    #expect(folder.lines() == [2, 4].map(line))
    try folder.add(line(6))
    #expect(try Files.lines(Files.text(folder.metrics)).count == 3)
  }

  @Test func nothingIsLeftOfARunThatIsOverwritten() throws {
    let folder = RunFolder(path: Scratch.path("again"))
    try folder.clear()
    try folder.prepare()
    try folder.add(line(2))
    for file in [folder.checkpoint, folder.report, folder.outline] { try Files.write("", to: file) }
    try folder.clear()
    #expect(folder.lines().isEmpty && !folder.isUsed)
    #expect(throws: (any Error).self) { try Files.text(folder.outline) }
    #expect(throws: (any Error).self) { try Files.text(folder.report) }
  }

  /// What a rented machine's runs are compared by, without what they learned.
  @Test func runsAreComparedWithoutTheirCheckpoints() throws {
    let out = Scratch.path("compared")
    let arguments = [
      "\(Self.root)/Recipes/induction-small.yaml", "--device", "cpu", "--seed", "0", "--seed", "1",
      "--max-steps", "4", "--set",
      "examples.test=20", "--set", "evaluate.every=1", "--set", "examples.train=64", "--json", "--out", out,
    ]
    try TrainCommand.parse(arguments).run()
    let folders = (0..<2).map { RunFolder(path: "\(out)-seed\($0)") }
    let known = try folders.map { try RunSummary($0) }
    for folder in folders {
      let outline = try Files.text(folder.outline)
      // As of a run that did not write it down.
      try FileManager.default.removeItem(atPath: folder.outline)
      let old = try RunSummary(folder)
      try Files.write(outline, to: folder.outline)
      try FileManager.default.removeItem(atPath: folder.checkpoint)
      let alone = try RunSummary(folder)
      for other in [old, alone] {
        let first = try #require(known.first { $0.seed == other.seed })
        #expect(other.line == first.line && other.recipe == first.recipe && other.lines == first.lines)
      }
    }
    #expect(known.map(\.seed) == [0, 1] && known[0].recipe == known[1].recipe && known[0].parameters > 1000)
    // What was measured elsewhere is not lost to a run of the same name.
    for more in [[], ["--resume"]] {
      #expect { try TrainCommand.parse(arguments + more).run() } throws: {
        "\($0)".contains("measurements of a run whose checkpoint is not there")
      }
    }
    #expect(folders[0].lines() == known[0].lines)
    for text in [
      "{", "[]", #"{"seed": 0, "recipe": {}, "model": {}}"#,
      #"{"seed": 0, "recipe": {}, "model": "x", "parameters": 3}"#,
    ] {
      try Files.write(text, to: folders[0].outline)
      #expect { try RunSummary(folders[0]) } throws: { "\($0)".contains("run.json") }
    }
  }

  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  /// A network that takes the place of a trained one does not inherit its curves.
  @Test func convertingOverARunTakesItsMeasurementsAway() throws {
    let folder = RunFolder(path: Scratch.path("converted"))
    try folder.prepare()
    try folder.add(line(2))
    for file in [folder.checkpoint, folder.report, folder.outline] { try Files.write("old", to: file) }
    let published = "\(Self.root)/Tests/ModelsTests/Golden/published/hyenadna"
    let arguments = [published, "--window-shift", "0", "--out", folder.path]
    #expect(throws: (any Error).self) { try ConvertCommand.parse(arguments).run() }
    #expect(folder.lines() == [line(2)])
    try ConvertCommand.parse(arguments + ["--overwrite"]).run()
    #expect(folder.isUsed && folder.lines().isEmpty)
    for file in [folder.report, folder.outline] { #expect(throws: (any Error).self) { try Files.text(file) } }
  }

  @Test(arguments: [
    ("Recipes/lr-0.1.yaml", "lr-0.1"), ("a.yaml", "a"), ("..", "run"), ("x/.", "run"), ("plain", "plain"),
    (".hidden", ".hidden"),
  ])
  func runsAreNamedAfterRecipes(recipe: String, name: String) throws {
    let command = try TrainCommand.parse([recipe])
    #expect(command.runName == name)
  }

  @Test func aFolderThatCannotBeIsNamed() throws {
    let file = Scratch.path("file")
    try Files.write("", to: file)
    let folder = RunFolder(path: file + "/run")
    #expect { try folder.prepare() } throws: { "\($0)".contains("file/run cannot be made") }
    #expect { try RunSummary(folder) } throws: { "\($0)".contains("no checkpoint") }
  }
}
