import Formats
import Glibc
import TestSupport
import Testing

@testable import CLI
@testable import Train

@Suite struct RecipeFileTests {
  private let text = """
    # A recipe.
    task: induction
    examples: {train: 40, test: 10}
    model: {mixer: h3, width: 8, layers: 1}
    optimizer: {rate: 0.001}
    batch: 4
    epochs: 2
    """

  private func read(_ text: String, seed: UInt64? = nil, settings: [String] = []) throws -> Recipe {
    let path = Scratch.path("recipe.yaml")
    try Files.write(text, to: path)
    return try RecipeFile.read(path, seed: seed, settings: settings)
  }

  /// What reading it says is wrong.
  private func complaint(_ text: String, settings: [String] = []) -> String {
    do {
      _ = try read(text, settings: settings)
      return ""
    } catch { return "\(error)" }
  }

  /// Each line doubles what is hashed and compared before a value is counted.
  @Test func aliasesThatMultiplyAreRefused() {
    let bomb = (1...24).map { "k\($0): &k\($0) {? [*k\($0 - 1), *k\($0 - 1)] : 1}" }
    #expect(complaint("k0: &k0 {x: 1}\n" + bomb.joined(separator: "\n")).contains("48 aliases"))
    #expect(complaint(text + "\n# 2 * 3 is no alias, *this* neither\n").isEmpty)
  }

  @Test func settingsReplaceWhatTheFileSays() throws {
    let recipe = try read(text, seed: 7)
    #expect((recipe.batch, recipe.trainCount, recipe.seed) == (4, 40, 7))
    let changed = try read(
      text,
      settings: [
        "batch=8", "examples.train=20", "task={recall: {vocabulary: 10}}", "task.recall.tokens=12",
        "optimizer={rate: 0.5}",
      ])
    #expect((changed.batch, changed.trainCount, changed.testCount) == (8, 20, 10))
    #expect(changed.source["optimizer"]?["rate"]?.number == 0.5)
    #expect(changed.source["task"] == ["recall": ["vocabulary": 10, "tokens": 12]])
    // The last of several counts, and JSON is YAML.
    #expect(try read(text, settings: ["batch=1", "batch=2"]).batch == 2)
    #expect(
      try read(
        #"{"task": "induction", "model": {"mixer": "h3", "width": 8, "layers": 1}, "optimizer": {"rate": 1e-3}, "epochs": 1}"#
      ).seed == 0)
  }

  @Test func whatIsWrongIsSaid() {
    #expect(complaint("").contains("is empty"))
    #expect(complaint(text, settings: ["batch"]).contains("say KEY=VALUE"))
    #expect(complaint(text, settings: ["a..b=1"]).contains("say KEY=VALUE"))
    #expect(complaint(text, settings: ["batch.size=1"]).contains("no object"))
    #expect(complaint(text, settings: ["batch=[1"]).contains("--set batch"))
    #expect(complaint(text + "\nwarmth: 3").contains("warmth"))
    #expect(complaint(text + "\nseed: .nan").contains("no number to train with"))
    #expect(complaint(text + "\n? [1, 2]\n: 3").contains("a key is no string"))
    #expect(complaint("task: [").contains("recipe.yaml"))
    #expect(complaint(text.replacing("batch: 4", with: "batch: -4")).contains("batch"))
    #expect(complaint("task: *nowhere") != "")
  }

  /// Eleven times ten thousand values.
  @Test func aliasesCannotFillTheMemory() {
    let values = [String](repeating: "1", count: 10_000).joined(separator: ", ")
    let aliases = [String](repeating: "*a", count: 10).joined(separator: ", ")
    #expect(complaint("a: &a [\(values)]\nb: [\(aliases)]\n").contains("more than 100000 values"))
    let long = "task: " + String(repeating: "x", count: 1 << 20)
    #expect(complaint(long).contains("1048576 at most"))
  }
}
