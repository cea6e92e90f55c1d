import Formats
import Foundation
import TestSupport
import Testing

@Suite struct ModelDirectoryTests {
  private static let shard = safetensorsBytes("{\(SafetensorsTests.one)}       ", data: 16)
  private static let other = safetensorsBytes(
    #"{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"extra":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
    data: 2)

  private func index(_ folder: TemporaryFolder, _ map: String) throws -> String {
    try folder.write("model.safetensors.index.json", "{\"metadata\":{},\"weight_map\":\(map)}")
  }

  @Test func shards() throws {
    let folder = TemporaryFolder()
    _ = try folder.write("one.safetensors", Self.shard)
    _ = try folder.write("two.safetensors", Self.other)
    let path = try index(folder, #"{"b":"two.safetensors","a":"one.safetensors"}"#)
    let model = try Safetensors(index: path)
    #expect(model.tensors.map(\.name) == ["b", "a"])
    #expect(try model.tensor("a").shape == [2, 2])
    #expect(!model.contains("extra"))
    _ = try index(folder, #"{"a":"one.safetensors","c":"two.safetensors"}"#)
    #expect(message { _ = try Safetensors(index: path) }.contains("there is no tensor \"c\""))
    _ = try index(folder, #"{"a":"three.safetensors"}"#)
    #expect(message { _ = try Safetensors(index: path) }.contains("three.safetensors is missing"))
    _ = try index(folder, "{}")
    #expect(message { _ = try Safetensors(index: path) }.contains("at least one tensor"))
  }

  /// T-19: an index cannot name a file elsewhere.
  @Test(arguments: ["../one.safetensors", "/etc/passwd", "..", ".", "", "sub/one.safetensors", #"a\u0000b"#])
  func unsafeNames(_ name: String) throws {
    let folder = TemporaryFolder()
    let path = try index(folder, "{\"a\":\"\(name)\"}")
    #expect(message { _ = try Safetensors(index: path) }.contains("no plain name"))
  }

  @Test func links() throws {
    let folder = TemporaryFolder()
    let files = FileManager.default
    _ = try folder.write("elsewhere/one.safetensors", Self.shard)
    _ = try folder.write("models--x/blobs/0123", Self.shard)
    let path = try folder.write(
      "models--x/snapshots/abc/model.safetensors.index.json", #"{"weight_map":{"a":"one.safetensors"}}"#)
    let link = "\(folder.path)/models--x/snapshots/abc/one.safetensors"
    try files.createSymbolicLink(atPath: link, withDestinationPath: "../../blobs/0123")
    #expect(try Safetensors(index: path).contains("a"))
    try files.removeItem(atPath: link)
    try files.createSymbolicLink(atPath: link, withDestinationPath: "../../../elsewhere/one.safetensors")
    #expect(message { _ = try Safetensors(index: path) }.contains("a link out of the model's folder"))
  }

  @Test func tellsWhatAPathIs() throws {
    let folder = TemporaryFolder()
    let gguf = try folder.write("m.bin", GGUFBytes.good.bytes)
    guard case .gguf = try ModelSource(path: gguf) else { return #expect(Bool(false)) }
    let tensors = try folder.write("m.safetensors", Self.shard)
    guard case .safetensors = try ModelSource(path: tensors) else { return #expect(Bool(false)) }
    let pickle = try folder.write("m.pt", [0x50, 0x4B, 3, 4])
    #expect(message { _ = try ModelSource(path: pickle) }.contains("pickle"))
    let text = try folder.write("m.txt", "hello world")
    #expect(message { _ = try ModelSource(path: text) }.contains("bytes 68 65 6c 6c"))
    #expect(message { _ = try ModelSource(path: "\(folder.path)/none") }.contains("No such file"))
    #expect(message { _ = try ModelSource(path: folder.path) }.contains("config.json is missing"))
    _ = try folder.write("config.json", "{}")
    #expect(message { _ = try ModelSource(path: folder.path) }.contains("Download the weights too"))
    _ = try folder.write("pytorch_model.bin", "x")
    #expect(message { _ = try ModelSource(path: folder.path) }.contains("convert it to safetensors"))
    _ = try folder.write("model.safetensors", Self.shard)
    guard case .directory(let directory) = try ModelSource(path: folder.path + "/") else {
      return #expect(Bool(false))
    }
    #expect(directory.weights == .single(path: "\(folder.path)/model.safetensors"))
    #expect(try directory.openWeights().contains("a"))
    #expect(directory.file("tokenizer.json") == nil)
    #expect(
      message { _ = try directory.requiredFile("tokenizer.json") }.contains("tokenizer.json is missing"))
  }

  @Test func textFiles() throws {
    let folder = TemporaryFolder()
    let path = try folder.write("t.txt", "héllo")
    #expect(try TextFile.read(path) == "héllo")
    #expect(message { _ = try TextFile.read(path, limit: 5) }.contains("size in bytes is 6, the limit is 5"))
    let bad = try folder.write("b.txt", [0xFF])
    #expect(message { _ = try TextFile.read(bad) }.contains("not valid UTF-8"))
    let json = try folder.write("c.json", "{\"a\": [1, 2}")
    #expect(
      message { _ = try JSON.read(json) }
        == "\(json): line 1, column 12: a comma or \"]\" must stand here, not \"}\".")
  }
}
