// Text and ids: Scripts/golden/compare_huggingface.py, too large to keep here.
import Foundation
import Testing
import Tokenizers

/// Where that script wrote, if it did.
private let comparison = ProcessInfo.processInfo.environment["GODWIT_TOKENIZER_COMPARISON"]

@Suite struct TokenizerComparisonTests {
  @Test(.enabled(if: comparison != nil)) func agreesOnLongText() throws {
    let folder = try #require(comparison)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    #expect(!names.isEmpty)
    for name in names {
      let path = "\(folder)/\(name)"
      let tokenizer = try Tokenizer(huggingFace: path)
      let text = String(
        decoding: try Data(contentsOf: URL(fileURLWithPath: path + "/text.txt")), as: UTF8.self)
      let data = try Data(contentsOf: URL(fileURLWithPath: path + "/ids.bin"))
      let expected = data.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
      let start = ContinuousClock.now
      let found = tokenizer.encode(text, parsesSpecial: true)
      let time = (ContinuousClock.now - start) / .seconds(1)
      let first = zip(expected, found).enumerated().first { $0.element.0 != $0.element.1 }?.offset
      print(
        "\(name): \(text.utf8.count) bytes, \(expected.count) tokens, ours \(found.count),",
        "\(first.map { "first difference at \($0)" } ?? "no difference"), \(Double(text.utf8.count) / time / 1e6) MB/s"
      )
      #expect(found.elementsEqual(expected), "\(name) differs at \(first ?? -1)")
    }
  }
}
