import Formats
import Foundation
import Memory
import TestSupport
import Testing

@Suite struct SafetensorsTests {
  static let one = #""a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}"#

  static let broken: [Broken] = [
    Broken("T-10 empty", "the header's length needs 8 bytes, 0 are left", []),
    Broken("T-10 seven bytes", "the header's length", [2, 0, 0, 0, 0, 0, 0]),
    Broken(
      "T-10 header > 100 MB", "the limit is 100000000",
      safetensorsBytes("{}", data: 0, headerBytes: 100_000_001)),
    Broken("T-10 header 2⁶⁴−1", "18446744073709551615", safetensorsBytes("{}", data: 0, headerBytes: .max)),
    Broken(
      "T-10 header beyond file", "needs 99999999 bytes, 2 are left",
      safetensorsBytes("{}", data: 0, headerBytes: 99_999_999)),
    Broken("T-10 empty header", "an empty header", safetensorsBytes("", data: 0)),
    Broken("T-10 no brace", "not \"{\"", safetensorsBytes("[]", data: 0)),
    Broken("T-10 space first", "not \"{\"", safetensorsBytes(" {}", data: 0)),
    Broken(
      "T-10 not UTF-8", "not valid UTF-8",
      safetensorsBytes("{\"?\":1}", data: 0).map { $0 == 0x3F ? 0xFF : $0 }),
    Broken("T-10 cut JSON", "ends inside", safetensorsBytes("{\(one)", data: 16)),
    Broken("T-10 text behind JSON", "follows the end", safetensorsBytes("{\(one)}x", data: 16)),
    Broken("T-10 duplicate tensor", "key \"a\" occurs twice", safetensorsBytes("{\(one),\(one)}", data: 16)),
    Broken(
      "T-10 duplicate field", "occurs twice",
      safetensorsBytes(#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, data: 1)),
    Broken(
      "T-10 deep", "deeper than the limit of 64",
      safetensorsBytes("{\"a\":" + String(repeating: "[", count: 10_000), data: 0)),
    Broken("T-10 unknown dtype", "dtype \"F33\" does not exist", tensor("F33", "[4]", "[0,16]")),
    Broken(
      "T-10 dtype no string", "dtype: expected a string",
      safetensorsBytes(#"{"a":{"dtype":1,"shape":[4],"data_offsets":[0,16]}}"#, data: 16)),
    Broken(
      "T-10 no dtype", "dtype is missing",
      safetensorsBytes(#"{"a":{"shape":[4],"data_offsets":[0,16]}}"#, data: 16)),
    Broken(
      "T-10 no shape", "shape is missing",
      safetensorsBytes(#"{"a":{"dtype":"U8","data_offsets":[0,16]}}"#, data: 16)),
    Broken(
      "T-10 no offsets", "data_offsets is missing",
      safetensorsBytes(#"{"a":{"dtype":"U8","shape":[16]}}"#, data: 16)),
    Broken("T-10 tensor no object", "expected an object", safetensorsBytes(#"{"a":7}"#, data: 0)),
    Broken("T-10 negative extent", "shape[0]: expected an integer", tensor("F32", "[-4]", "[0,16]")),
    Broken("T-10 fractional extent", "shape[0]: expected an integer", tensor("F32", "[4.0]", "[0,16]")),
    Broken("T-10 three offsets", "two integers", tensor("F32", "[4]", "[0,8,16]")),
    Broken("T-10 offsets backwards", "data_offsets[1]", tensor("F32", "[4]", "[16,0]")),
    Broken("T-10 shape too small", "is 12 bytes, data_offsets say 16", tensor("F32", "[3]", "[0,16]")),
    Broken("T-10 shape too large", "is 20 bytes", tensor("F32", "[5]", "[0,16]")),
    Broken("T-03 shape overflows", "overflows", tensor("F32", "[4294967296,4294967296]", "[0,16]")),
    Broken("T-03 shape overflows before 0", "overflows", tensor("F32", "[9223372036854775807,8,0]", "[0,0]")),
    Broken("T-10 offset beyond file", "needs 16 bytes, 15 are left", safetensorsBytes("{\(one)}", data: 15)),
    Broken(
      "T-03 offset overflows", "its offset 9223372036854775807 overflows",
      tensor("U8", "[0]", "[9223372036854775807,9223372036854775807]")),
    Broken(
      "T-10 trailing bytes", "1 bytes at the end belong to no tensor", safetensorsBytes("{\(one)}", data: 17)),
    Broken("T-10 data without tensors", "4 bytes at the end", safetensorsBytes("{}", data: 4)),
    Broken("T-10 hole at start", "leaves a hole", tensor("U8", "[12]", "[4,16]")),
    Broken("T-10 hole between", "leaves a hole", two("[0,8]", "[9,16]", 8, 7)),
    Broken("T-10 overlap", "overlaps", two("[0,8]", "[7,16]", 8, 9)),
    Broken("T-10 same bytes twice", "overlaps", two("[0,16]", "[0,16]", 16, 16)),
    Broken("T-10 sub-byte", "12 bits, not whole bytes", tensor("F4", "[3]", "[0,2]")),
    Broken(
      "T-10 metadata no string", "__metadata__.n: expected a string",
      safetensorsBytes(#"{"__metadata__":{"n":1}}"#, data: 0)),
    Broken(
      "T-10 metadata no object", "expected an object", safetensorsBytes(#"{"__metadata__":[]}"#, data: 0)),
  ]

  static func tensor(_ type: String, _ shape: String, _ offsets: String) -> [UInt8] {
    safetensorsBytes(#"{"a":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}}"#, data: 16)
  }
  static func two(_ first: String, _ second: String, _ a: Int, _ b: Int) -> [UInt8] {
    safetensorsBytes(
      #"{"a":{"dtype":"U8","shape":[\#(a)],"data_offsets":\#(first)},"b":{"dtype":"U8","shape":[\#(b)],"data_offsets":\#(second)}}"#,
      data: 16)
  }

  @Test(arguments: broken)
  func isRefused(_ broken: Broken) throws {
    let storage = try storage(broken.bytes)
    let message = message { _ = try Safetensors(storage, name: "b.safetensors") }
    #expect(message.hasPrefix("b.safetensors") && message.contains(broken.words), "\(message)")
  }

  @Test func readsScalarsEmptyOnesAndPadding() throws {
    let header =
      #"{"__metadata__":{"format":"pt"},"s":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"#
      + #""e":{"dtype":"F32","shape":[0,3],"data_offsets":[1,1]},"t":{"dtype":"I8","shape":[3],"data_offsets":[1,4],"x":0}}  "#
    let file = try Safetensors(try storage(safetensorsBytes(header, data: 4)), name: "f")
    #expect(file.metadata == ["format": "pt"])
    #expect(file.tensors.map(\.name) == ["s", "e", "t"])
    #expect(try file.tensor("s").shape == [])
    #expect(try file.tensor("t").withElements(as: Int8.self) { [$0[0], $0[2]] } == [1, 3])
    #expect(file.info("e")?.byteCount == 0)
    _ = try Safetensors(try storage(safetensorsBytes("{}", data: 0)), name: "nothing")
  }

  @Test func misalignedAndUnsupported() throws {
    let odd =
      #"{"p":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}"#
    let file = try Safetensors(try storage(safetensorsBytes(odd, data: 5)), name: "f")
    #expect(message { _ = try file.tensor("a") }.contains("not a multiple of 4"))
    let eight = #"{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}"#
    let other = try Safetensors(try storage(safetensorsBytes(eight, data: 1)), name: "f")
    #expect(message { _ = try other.tensor("a") }.contains("is of type F8_E4M3, which is not supported"))
    #expect(message { _ = try other.tensor("b") } == "f: there is no tensor \"b\".")
  }

  @Test func everyPrefixIsRefused() throws {
    let bytes = safetensorsBytes("{\(Self.one)}", data: 16)
    for length in 0..<bytes.count {
      let storage = try storage(Array(bytes[..<length]))
      #expect(throws: FormatError.self) { try Safetensors(storage, name: "cut") }
    }
  }

  @Test func writesWhatItReads() throws {
    let folder = TemporaryFolder()
    let bytes = try Tensor(zeros: .uint8, [3])
    let floats = try Tensor(zeros: .float32, [2, 3])
    let halves = try Tensor(zeros: .bfloat16, [5])
    let none = try Tensor(zeros: .int64, [0, 4])
    bytes.withMutableElements(as: UInt8.self) { for index in $0.indices { $0[index] = UInt8(index + 1) } }
    floats.withMutableElements(as: Float.self) { for index in $0.indices { $0[index] = Float(index) / 3 } }
    let path = "\(folder.path)/state.safetensors"
    for _ in 0..<2 {
      try SafetensorsWriter.write(
        [("bytes", bytes), ("a \"quoted\" 名", floats), ("halves", halves), ("none", none)],
        metadata: ["format": "godwit", "n": "1"], to: path)
    }
    let file = try Safetensors(path: path)
    #expect(file.metadata == ["format": "godwit", "n": "1"])
    #expect(try file.tensor("bytes").withElements(as: UInt8.self) { [$0[0], $0[1], $0[2]] } == [1, 2, 3])
    #expect(try file.tensor("a \"quoted\" 名").withElements(as: Float.self) { $0[5] } == 5 / 3)
    #expect(try file.tensor("halves").shape == [5] && file.tensor("none").shape == [0, 4])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["state.safetensors"])
  }

  @Test func writerRefuses() throws {
    let folder = TemporaryFolder()
    let path = "\(folder.path)/w.safetensors"
    let tensor = try Tensor(zeros: .float32, [2, 2])
    let blocks = try Tensor(zeros: .q8_0, [32])
    #expect(throws: FormatError.self) { try SafetensorsWriter.write([("a", blocks)], to: path) }
    #expect(throws: FormatError.self) {
      try SafetensorsWriter.write([("a", tensor.permuted([1, 0]))], to: path)
    }
    #expect(throws: FormatError.self) { try SafetensorsWriter.write([("__metadata__", tensor)], to: path) }
    #expect(throws: FormatError.duplicate(file: path, item: "tensor", name: "a")) {
      try SafetensorsWriter.write([("a", tensor), ("a", tensor)], to: path)
    }
    #expect(
      message { try SafetensorsWriter.write([("a", tensor)], to: "\(folder.path)/no/w") }.contains(
        "cannot be written"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
  }
}
