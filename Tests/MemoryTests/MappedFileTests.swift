import Foundation
import Memory
import Testing

@Suite struct MappedFileTests {
  @Test func mapsAndAdvises() throws {
    let path = NSTemporaryDirectory() + "godwit-mapped-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let file = try MappedFile(path: path)
    #expect(file.byteCount == 10_000 && file.bytes.count == 10_000 && file.path == path)
    #expect(file.bytes[9_999] == bytes[9_999])
    for advice in [MappedFile.Advice.sequential, .willNeed, .dontNeed, .random, .normal] {
      file.advise(advice)
      file.advise(advice, 5_000..<9_000)
    }
    #expect(file.bytes[5_000] == bytes[5_000])
    // Bytes appended later are not seen.
    let handle = try #require(FileHandle(forWritingAtPath: path))
    handle.seekToEndOfFile()
    handle.write(Data([1, 2, 3]))
    #expect(file.bytes.count == 10_000)
    let tensor = try Tensor(file, byteOffset: 4, type: .uint8, shape: [2, 2])
    #expect(tensor.withElements(as: UInt8.self) { $0[3] } == 7)
  }

  @Test func refusals() throws {
    let folder = NSTemporaryDirectory() + "godwit-refused-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let empty = "\(folder)/empty"
    try Data().write(to: URL(fileURLWithPath: empty))
    let pipe = "\(folder)/pipe"
    #expect(mkfifo(pipe, 0o600) == 0)
    for (path, reason) in [
      (folder, "it is a directory"), (empty, "it is empty (0 bytes)"),
      ("\(folder)/none", "No such file or directory"),
      (pipe, "it is no regular file"), ("", "the path is empty"), ("a\0b", "the path holds a NUL"),
    ] {
      #expect(throws: MemoryError.cannotOpen(path: path, reason: reason)) { try MappedFile(path: path) }
    }
    let locked = "\(folder)/locked"
    try Data([1]).write(to: URL(fileURLWithPath: locked))
    #expect(chmod(locked, 0) == 0)
    if getuid() != 0 {
      #expect(throws: MemoryError.cannotOpen(path: locked, reason: "Permission denied")) {
        try MappedFile(path: locked)
      }
    }
  }
}
