import ArgumentParser
import TestSupport
import Testing

@testable import CLI

@Suite struct VerbTests {
  private static func verbs(of command: any ParsableCommand.Type, _ path: [String] = []) -> [[String]] {
    command.configuration.subcommands.flatMap { verb -> [[String]] in
      let own = path + [verb.configuration.commandName ?? verb._commandName]
      return [own] + verbs(of: verb, own)
    }
  }

  /// Every verb says what it is for, and its help shows how it is called where it has arguments to explain.
  @Test func verbsExplainThemselves() throws {
    let verbs = Self.verbs(of: Godwit.self)
    #expect(verbs.count > 16 && Set(verbs).count == verbs.count)
    for verb in verbs {
      let help = Self.answer(verb + ["--help"])
      #expect(help.code == 0 && help.text.contains("USAGE: godwit \(verb.joined(separator: " "))"), "\(verb)")
      #expect(help.text.hasPrefix("OVERVIEW: "), "\(verb)")
    }
  }

  /// What the program would print, and its exit code, for arguments that are no work.
  private static func answer(_ arguments: [String]) -> (text: String, code: Int32) {
    do {
      var command = try Godwit.parseAsRoot(arguments)
      // Help is a command.
      if arguments.last == "--help" { try command.run() }
      return ("", -1)
    } catch { return (Godwit.fullMessage(for: error), Godwit.exitCode(for: error).rawValue) }
  }

  @Test(arguments: [
    ["fly"], ["train"], ["train", "a.yaml", "--seed", "x"], ["train", "a.yaml", "--device", "tpu"],
    ["generate", "--max-tokens", "many"], ["kernels", "compile", "--target", "sm_1"],
    ["bench", "--repeats", "-1x"],
    ["train", "a.yaml", "--gpu-memory", "16 bananas"], ["ask", "--threads"],
    ["train", "a.yaml", "--compile-only", "--device", "cpu"],
    ["train", "a.yaml", "--compile-only", "--out", "b"],
    ["train", "a.yaml", "-t", "0"],
    ["train", "a.yaml", "--compile-only", "-t", "2"],
    ["generate", "--device", "cpu", "--gpu-memory", "1GiB"],
    ["eval", "a", "--device", "cpu", "--nvrtc", "b"],
    ["train", "a.yaml", "--seed", "1", "--seed", "1"], ["train", "a.yaml", "--resume", "--overwrite"],
  ])
  func argumentsThatCannotBeAreRefused(arguments: [String]) {
    let answer = Self.answer(arguments)
    #expect(answer.code == 64 && answer.text.contains("Error: "), "\(answer)")
  }

  /// Swift's own arguments have replacement characters where bytes are no text.
  @Test func argumentsThatAreNoTextAreRefused() throws {
    try Godwit.requireText([])
    try Godwit.requireText(["generate", "--prompt", "größe 𝔸", ""].map { Array($0.utf8) })
    let broken = [Array("-p".utf8), Array("ab".utf8) + [0xFF, 0xFE]]
    #expect(message { try Godwit.requireText(broken) }.contains("argument 2 is not UTF-8: its byte 2 is 255"))
  }

  @Test func theVersionNamesItsCommit() {
    let answer = Self.answer(["--version"])
    #expect(answer.code == 0 && answer.text.contains("("))
  }
}
