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
    for file in [folder.checkpoint, folder.report] { try Files.write("", to: file) }
    try folder.clear()
    #expect(folder.lines().isEmpty && !folder.isUsed)
    #expect(throws: (any Error).self) { try Files.text(folder.report) }
  }

  /// A network that takes the place of a trained one does not inherit its curves.
  @Test func convertingOverARunTakesItsMeasurementsAway() throws {
    let folder = RunFolder(path: Scratch.path("converted"))
    try folder.prepare()
    try folder.add(line(2))
    for file in [folder.checkpoint, folder.report] { try Files.write("old", to: file) }
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
    let published = "\(tests)/ModelsTests/Golden/published/hyenadna"
    let arguments = [published, "--window-shift", "0", "--out", folder.path]
    #expect(throws: (any Error).self) { try ConvertCommand.parse(arguments).run() }
    #expect(folder.lines() == [line(2)])
    try ConvertCommand.parse(arguments + ["--overwrite"]).run()
    #expect(folder.isUsed && folder.lines().isEmpty)
    #expect(throws: (any Error).self) { try Files.text(folder.report) }
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
    #expect { try RunSummary(folder) } throws: { "\($0)".contains("has no checkpoint") }
  }
}
