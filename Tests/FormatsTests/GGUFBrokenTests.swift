import Formats
import Memory
import TestSupport
import Testing

/// A file that must be refused, and words that the message must hold.
struct Broken: CustomTestStringConvertible, Sendable {
  var name: String
  var bytes: [UInt8]
  var words: String
  var testDescription: String { name }

  init(_ name: String, _ words: String, _ bytes: [UInt8]) {
    self.name = name
    self.words = words
    self.bytes = bytes
  }
  init(_ name: String, _ words: String, _ change: (inout GGUFBytes) -> Void) {
    self.init(name, words, GGUFBytes.good.changed(change))
  }
}

@Suite struct GGUFBrokenTests {
  static let header: [Broken] = [
    Broken("T-07 empty", "the magic", []),
    Broken("T-07 three bytes", "the magic", Array("GGU".utf8)),
    Broken("T-07 bad magic", "not GGUF") { $0.magic = Array("GGML".utf8) },
    Broken("T-07 version 0", "version 0 is not supported") { $0.version = 0 },
    Broken("T-07 version 1", "version 1 is not supported") { $0.version = 1 },
    Broken("T-07 version of the future", "version 4 is not supported") { $0.version = 4 },
    Broken("T-07 big-endian", "big-endian") { $0.version = 3 << 24 },
    Broken("T-07 magic only", "the version", Array("GGUF".utf8)),
    Broken("T-07 no counts", "number of tensors", Array(GGUFBytes.good.bytes.prefix(8))),
    Broken("T-01 tensors 2⁶⁴−1", "the number of tensors is 18446744073709551615") { $0.tensorCount = .max },
    Broken("T-01 tensors 2⁶³", "the number of tensors") { $0.tensorCount = 1 << 63 },
    Broken("T-01 tensors beyond file", "a list of 1000000 tensors needs 24000000") {
      $0.tensorCount = 1_000_000
    },
    Broken("T-07 one tensor too many", "its name is empty") { $0.tensorCount = 2 },
    Broken("T-01 keys 2⁶⁴−1", "the number of metadata keys") { $0.keyCount = .max },
    Broken("T-01 keys beyond file", "a list of 60000 metadata keys") { $0.keyCount = 60_000 },
    Broken("T-07 one key too many", "the limit is 1024") { $0.keyCount = 3 },
  ]

  static let keys: [Broken] = [
    Broken("T-07 empty key", "its name is empty") { $0.scalar("", 4, UInt32(1)) },
    Broken("T-07 key of 65,536 bytes", "the limit is 65535") {
      $0.scalar(String(repeating: "k", count: 65_536), 4, UInt32(1))
    },
    Broken("T-01 key length 2⁶⁴−1", "the length of the name of key 0") { file in
      file = GGUFBytes(keyCount: 1, values: [], data: [UInt8](repeating: 0xFF, count: 64))
      file.alignment = 1
    },
    Broken("T-07 key not UTF-8", "not valid UTF-8", brokenKey([0xC3, 0x28])),
    Broken("T-07 key with NUL", "holds a NUL", brokenKey([0x61, 0])),
    Broken("T-07 duplicate key", "key \"llama.block_count\" occurs twice") {
      $0.scalar("llama.block_count", 4, UInt32(3))
    },
    Broken("T-07 value type 13", "value type 13") { $0.scalar("x", 13, UInt32(1)) },
    Broken("T-07 value type −1", "value type 4294967295") { $0.scalar("x", .max, UInt32(1)) },
    Broken("T-07 element type 99", "value type 99") { $0.array("x", 99, count: 1, [0, 0, 0, 0]) },
    Broken("T-07 nested array", "arrays of arrays") { $0.array("x", 9, count: 1, [0, 0, 0, 0]) },
    Broken("T-01 string of 1 GiB", "needs 1073741824 bytes") {
      $0.values.append(.init(key: "x", type: 8, payload: [0, 0, 0, 0x40, 0, 0, 0, 0]))
    },
    Broken("T-01 string of 2⁶⁴−1", "needs 18446744073709551615 bytes") {
      $0.values.append(.init(key: "x", type: 8, payload: [UInt8](repeating: 0xFF, count: 8)))
    },
    Broken("T-01 array of 2³⁰", "the array x of 1073741824") { $0.array("x", 4, count: 1 << 30, []) },
    Broken("T-03 array size wraps", "the array x of") { $0.array("x", 12, count: 1 << 61, []) },
    Broken("T-01 2⁵⁹ strings", "the array x of") { $0.array("x", 8, count: 1 << 59, []) },
    Broken("T-01 long string in array", "needs 4294967295 bytes") {
      $0.array("x", 8, count: 1, [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0])
    },
    Broken("T-04 alignment 0", "a power of two") { $0.scalar("general.alignment", 4, UInt32(0)) },
    Broken("T-04 alignment 3", "a power of two") { $0.scalar("general.alignment", 4, UInt32(3)) },
    Broken("T-04 alignment 2³¹", "a power of two") { $0.scalar("general.alignment", 4, UInt32(1) << 31) },
    Broken("T-04 alignment as uint64", "expected a uint32, found uint64") {
      $0.scalar("general.alignment", 10, UInt64(32))
    },
    Broken("T-04 alignment as string", "expected a uint32") { $0.string("general.alignment", "32") },
    Broken("T-04 alignment as array", "expected a uint32") {
      $0.array("general.alignment", 4, count: 1, [32, 0, 0, 0])
    },
    Broken("T-07 inconsistent alignment", "not a multiple of the alignment 64") {
      $0.scalar("general.alignment", 4, UInt32(64))
      $0.alignment = 64
      $0.tensors.append(.init(name: "second", dimensions: [8], offset: 32))
      $0.data += $0.data
    },
  ]

  static let tensors: [Broken] = [
    Broken("T-07 empty name", "its name is empty") { $0.tensors[0].name = "" },
    Broken("T-07 name too long", "the limit is 1024") {
      $0.tensors[0].name = String(repeating: "n", count: 1025)
    },
    Broken("T-07 duplicate name", "tensor \"weight\" occurs twice") {
      $0.tensors.append($0.tensors[0])
      $0.tensors[1].offset = 32
      $0.data += $0.data
    },
    Broken("T-07 5 dimensions", "the limit is 4") { $0.tensors[0].dimensions = [4, 2, 1, 1, 1] },
    Broken("T-07 2³²−1 dimensions", "the limit is 4") { $0.tensors[0].axes = .max },
    Broken("T-07 zero dimension", "a dimension is 0") { $0.tensors[0].dimensions = [4, 0] },
    Broken("T-07 negative dimension", "a dimension is -1") { $0.tensors[0].dimensions = [-1, 2] },
    Broken("T-03 product of dimensions", "overflows") { $0.tensors[0].dimensions = [1 << 32, 1 << 32] },
    Broken("T-03 product wraps to a small one", "overflows") {
      $0.tensors[0].dimensions = [1 << 32, 1 << 31, 3, 1 << 33]
    },
    Broken("T-03 size in bytes", "overflows") { $0.tensors[0].dimensions = [1 << 62] },
    Broken("T-03 blocked size in bytes", "overflows") {
      $0.tensors[0].type = 27
      $0.tensors[0].dimensions = [1 << 61]
    },
    Broken("T-03 end wraps", "tensor \"weight\" of") {
      $0.tensors[0].dimensions = [1 << 60]
      $0.tensors[0].offset = UInt64.max - 31
    },
    Broken("T-07 number type 10,000", "number type 10000 does not exist") { $0.tensors[0].type = 10_000 },
    Broken("T-07 partial block", "not whole blocks of 32") { $0.tensors[0].type = 3 },
    Broken("T-07 offset unaligned", "not a multiple of the alignment 32") { $0.tensors[0].offset = 16 },
    Broken("T-07 offset beyond file", "are left") { $0.tensors[0].offset = 32 },
    Broken("T-07 offset 2⁶⁴−32", "are left") { $0.tensors[0].offset = .max - 31 },
    Broken("T-07 truncated data", "32 bytes, 31 are left") { $0.data.removeLast() },
    Broken("T-07 no data", "are left") { $0.data = [] },
    Broken("T-07 no padding", "are left") {
      $0.data = []
      $0.alignment = 1
    },
    Broken("T-07 overlap", "inside tensor \"weight\"") {
      $0.tensors.append(.init(name: "second", dimensions: [8], offset: 0))
    },
  ]

  @Test(arguments: header + keys + tensors)
  func isRefused(_ broken: Broken) throws {
    let storage = try storage(broken.bytes)
    let message = message { _ = try GGUF(storage, name: "broken.gguf") }
    #expect(message.hasPrefix("broken.gguf: "))
    #expect(message.contains(broken.words), "\(message)")
  }

  /// T-09: whatever is cut off, the answer is an error, not half a model.
  @Test func everyPrefixIsRefused() throws {
    let bytes = GGUFBytes.good.bytes
    for length in 0..<bytes.count {
      let storage = try storage(Array(bytes[..<length]))
      #expect(throws: FormatError.self) { try GGUF(storage, name: "cut") }
    }
  }

  /// T-08: whatever byte is damaged, the answer is a model or an error, and its parts can be asked for.
  @Test func everyDamagedByteIsSurvived() throws {
    let bytes = GGUFBytes.good.changed { $0.strings("tokens", ["a", "b"]) }
    for position in bytes.indices {
      for value: UInt8 in [0, 1, 0x7F, 0x80, 0xFF] {
        var damaged = bytes
        damaged[position] = value
        guard let file = try? GGUF(try storage(damaged), name: "damaged") else { continue }
        for key in file.metadata.keys {
          _ = try? file.metadata.summary(key)
          _ = try? file.metadata.strings(key)
          _ = try? file.metadata.integers(key)
        }
        for info in file.tensors { _ = try? file.tensor(info.name) }
      }
    }
  }

  /// T-02: a claim costs nothing until the file backs it.
  @Test(arguments: ["string", "array", "strings", "tensors"])
  func claimsAllocateNothing(_ claim: String) async {
    await #expect(processExitsWith: .success) { [claim] in try GGUFBrokenTests.readClaim(claim) }
  }

  private static func readClaim(_ claim: String) throws {
    var file = GGUFBytes()
    file.string("general.architecture", "llama")
    switch claim {
    case "string": file.values.append(.init(key: "x", type: 8, payload: [0, 0, 0, 0x40, 0, 0, 0, 0]))
    case "array": file.array("x", 0, count: 1 << 30, [])
    case "strings": file.array("x", 8, count: 1 << 27, [])
    default: file.tensorCount = 1 << 20
    }
    file.alignment = 1
    file.data = [UInt8](repeating: 0, count: max(0, 160 - file.bytes.count))
    #expect(file.bytes.count == 160)
    let storage = try storage(file.bytes)
    let before = residentBytes()
    #expect(throws: FormatError.self) { try GGUF(storage, name: "claim") }
    #expect(peakResidentBytes() - before < 16 << 20)
  }

  private static func brokenKey(_ key: [UInt8]) -> [UInt8] {
    var file = FileBytes(bytes: Array("GGUF".utf8))
    file.put(UInt32(3))
    file.put(UInt64(0))
    file.put(UInt64(1))
    file.put(UInt64(key.count))
    file.bytes += key
    file.put(UInt32(0))
    file.put(UInt8(1))
    return file.bytes
  }
}
