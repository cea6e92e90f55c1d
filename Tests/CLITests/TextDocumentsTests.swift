import TestSupport
import Testing

@testable import CLI

@Suite struct TextDocumentsTests {
  private func documents(_ name: String, _ text: String) throws -> [String] {
    let path = Scratch.path(name)
    try Files.write(text, to: path)
    var found: [String] = []
    try TextDocuments.forEach(in: path) { found.append($0) }
    return found
  }

  private func complaint(_ name: String, _ text: String) -> String {
    do {
      _ = try documents(name, text)
      return ""
    } catch { return "\(error)" }
  }

  @Test func aFileIsADocumentUnlessItsNameSaysMore() throws {
    #expect(try documents("notes.txt", ">a\nb\n") == [">a\nb\n"])
    #expect(try documents("empty.md", "") == [""])
    let lines = #"{"text": "one\ntwo", "id": 1}"# + "\n\n" + #"{"text": ""}"# + "\n"
    #expect(try documents("many.JSONL", lines) == ["one\ntwo", ""])
    #expect(try documents("many.ndjson", #"{"text": "x"}"#) == ["x"])
  }

  @Test func sequencesAreRecords() throws {
    #expect(try documents("a.fa", ">one\nacgT\r\nN N\n>none\n>two\nAC-*\n\n") == ["ACGTNN", "AC-*"])
    #expect(try documents("a.fasta", "") == [])
    #expect(complaint("a.fna", "ACGT\n").contains("line 1: a sequence before the first line with >"))
    #expect(complaint("a.fna", ">a\nACGT\nAC7\n").contains("line 3: byte 55 is no letter of a sequence"))
  }

  @Test func aBrokenLineIsNamed() {
    let missing = complaint("a.jsonl", #"{"text": "x"}"# + "\n" + #"{"txt": "y"}"# + "\n")
    #expect(missing.contains("2") && missing.contains("text"), "\(missing)")
    #expect(complaint("a.jsonl", #"{"text": 5}"#).contains("text"))
    #expect(complaint("a.jsonl", "{").contains("1"))
    #expect(throws: CommandFailure.self) { try TextDocuments.forEach(in: "/nowhere/a.txt") { _ in } }
  }
}
