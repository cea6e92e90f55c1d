import Foundation
import Memory
import Testing

@Suite struct FileReplacementTests {
  private func write(_ text: String, to path: String) throws {
    let file = try FileReplacement(path: path)
    try file.write(text.utf8Span.span)
    try file.commit()
  }

  @Test func filesAppearWhenTheyAreWhole() throws {
    let folder = NSTemporaryDirectory() + "godwit-replaced-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/file"
    try write("one", to: path)
    do {
      let dropped = try FileReplacement(path: path)
      try dropped.write("two".utf8Span.span)
    }
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "one")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["file"])
    // Through a link to it; the link stays.
    let link = folder + "/link"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "file")
    try write("three", to: link)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "three")
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "file")
    #expect(throws: MemoryError.cannotOpen(path: folder, reason: "it is a directory")) {
      try write("x", to: folder)
    }
  }

  @Test func whatIsNoFileIsWrittenTo() throws {
    let path = NSTemporaryDirectory() + "godwit-pipe-\(UUID().uuidString)"
    defer { unlink(path) }
    #expect(mkfifo(path, 0o600) == 0)
    let reader = open(path, O_RDONLY | O_NONBLOCK)
    defer { close(reader) }
    try write("through", to: path)
    var bytes = [UInt8](repeating: 0, count: 16)
    #expect(read(reader, &bytes, 16) == 7 && String(decoding: bytes.prefix(7), as: UTF8.self) == "through")
    #expect(FileKind(path: path) == .other)
  }
}
