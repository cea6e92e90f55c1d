import Formats
import Foundation
import Memory
import TestSupport
import Testing

/// Archives and pickles that break one rule each.
@Suite struct PyTorchBrokenTests {
  typealias P = PickleBytes
  static let sixteen = [UInt8](0..<16)
  /// Four numbers in one tensor.
  static let good = ArchiveBytes(
    pickle: P.whole(P.dictionary([("a", P.tensor(count: 4, [2, 2], [2, 1]))])), storages: ["0": sixteen])

  static func archive(_ change: (inout ArchiveBytes) -> Void) -> [UInt8] { good.changed(change) }
  static func pickle(_ value: [UInt8]) -> [UInt8] {
    ArchiveBytes(pickle: P.whole(value), storages: ["0": sixteen]).bytes
  }
  static func tensor(_ count: Int, offset: Int = 0, _ shape: [Int], _ strides: [Int]) -> [UInt8] {
    pickle(P.dictionary([("a", P.tensor(count: count, offset: offset, shape, strides))]))
  }

  static let archives: [Broken] = [
    Broken("no end record", "has no directory at its end", Array(good.bytes.dropLast())),
    Broken("bytes behind the end", "has no directory at its end", good.bytes + [0]),
    Broken("compressed", "is compressed (method 8)", archive { $0.entries[0].method = 8 }),
    Broken(
      "compressed otherwise", "is compressed (method 0)",
      archive { ($0.entries[2].isWide, $0.entries[2].wideStored) = (true, 8) }),
    Broken("encrypted", "is encrypted", archive { $0.entries[0].flags = 1 }),
    Broken("two names", "its own header says", archive { $0.entries[0].localName = "archive/data.plk" }),
    Broken("entry twice", "occurs twice", archive { $0.entries[2].name = "archive/version" }),
    Broken(
      "offset past the file", "entry \"archive/version\" at byte 4294967294",
      archive { $0.entries[1].offset = .max - 1 }),
    Broken("offset into another", "inside another entry", archive { $0.entries[1].offset = 5 }),
    Broken("offset of no entry", "does not begin an entry", archive { $0.entries[0].offset = 1 }),
    Broken("size past the file", "needs 4294967294 bytes", archive { $0.entries[2].size = .max - 1 }),
    Broken("size into the directory", "reach into the directory", archive { $0.entries[2].size = 60 }),
    Broken("fewer entries", "follow its 2 entries", archive { $0.entryCount = 2 }),
    Broken(
      "more entries", "does not begin as one",
      archive { ($0.entryCount, $0.behindDirectory) = (4, [UInt8](repeating: 0, count: 60)) }),
    Broken("far more entries", "cannot hold 65534 entries", archive { $0.entryCount = .max - 1 }),
    Broken(
      "directory past the file", "the archive's directory at byte 4294967294",
      archive { $0.directoryOffset = .max - 1 }),
    Broken("directory of no size", "cannot hold 3 entries", archive { $0.directorySize = 0 }),
    Broken("directory cut", "leaves the directory", archive { $0.directorySize = UInt32(46 * 3 + 20) }),
    Broken(
      "zip64 record past the file", "the zip64 record at byte",
      archive { ($0.isWide, $0.recordOffset) = (true, .max) }),
    Broken(
      "zip64 record elsewhere", "does not begin one", archive { ($0.isWide, $0.recordOffset) = (true, 3) }),
    Broken(
      "zip64 of many entries", "the limit is 1048576", archive { ($0.isWide, $0.wideCount) = (true, 1 << 40) }
    ),
    Broken(
      "zip64 directory far away", "at byte 18446744073709551615",
      archive { ($0.isWide, $0.wideOffset) = (true, .max) }),
    Broken(
      "zip64 says otherwise", "it says 2 where the zip64 record says 3",
      archive { ($0.isWide, $0.entryCount) = (true, 2) }),
    Broken(
      "zip64 entry far away", "at byte 18446744073709551615",
      archive { ($0.entries[1].isWide, $0.entries[1].wideOffset) = (true, .max) }),
    Broken(
      "zip64 entry too large", "needs 9223372036854775807 bytes",
      archive { ($0.entries[2].isWide, $0.entries[2].wideSize) = (true, UInt64(Int.max)) }),
    Broken(
      "no pickle", "it has 0 entries", archive { ($0.entries[0].name, $0.entries[0].localName) = ("x", "x") }),
    Broken(
      "two pickles", "it has 2 entries",
      archive { $0.entries.append(.init(name: "other/data.pkl", data: [])) }),
    Broken(
      "no version", "no entry archive/version", ArchiveBytes(pickle: P.whole(P.code("N")), version: nil).bytes
    ),
    Broken(
      "version 1", "version 1 is not supported",
      ArchiveBytes(pickle: P.whole(P.code("N")), version: "1\n").bytes),
    Broken(
      "version 4", "version 4 is not supported",
      ArchiveBytes(pickle: P.whole(P.code("N")), version: "4").bytes),
    Broken(
      "big-endian", "it is \"big\"",
      archive { $0.entries.append(.init(name: "archive/byteorder", data: Array("big".utf8))) }),
    Broken(
      "script", "TorchScript", archive { $0.entries.append(.init(name: "archive/constants.pkl", data: [])) }),
  ]

  static let pickles: [Broken] = [
    Broken("empty", "the pickle needs 1 bytes", ArchiveBytes(pickle: []).bytes),
    Broken("no stop", "the pickle needs 1 bytes", ArchiveBytes(pickle: [0x80, 2, 0x4E]).bytes),
    Broken("protocol 6", "version 6 is not supported", ArchiveBytes(pickle: [0x80, 6, 0x4E, 0x2E]).bytes),
    Broken("nothing", "0 values are left", pickle([])),
    Broken("two values", "2 values are left", pickle(P.code("NN"))),
    Broken("open mark", "are left at the end", pickle(P.code("(N"))),
    Broken("no mark", "there is no mark", pickle(P.code("Nt"))),
    Broken("pop below a mark", "the stack is too short", pickle(P.code("N(") + [0x85])),
    Broken("POP", "instruction POP (0x30) at byte 3", pickle(P.code("N0"))),
    Broken("INST", "instruction INST (0x69)", pickle(P.code("(ios\nsystem\n"))),
    Broken("EXT1", "instruction EXT1 (0x82)", pickle([0x82, 1])),
    Broken("unknown", "instruction 0xff", pickle([0xFF])),
    Broken(
      "os.system", "asks for os.system of Python",
      pickle(P.global("os", "system") + P.tuple([P.text("true")]) + P.code("R"))),
    Broken("eval", "asks for builtins.eval", pickle(P.text("builtins") + P.text("eval") + [0x93])),
    Broken("getattr", "asks for builtins.getattr", pickle(P.global("builtins", "getattr"))),
    Broken(
      "near to a known name", "asks for torch._utils._rebuild_tensor",
      pickle(P.global("torch._utils", "_rebuild_tensor"))),
    Broken("torch.load", "asks for torch.load", pickle(P.global("torch", "load"))),
    Broken("long name", "longer than 256 bytes", pickle(P.global(String(repeating: "m", count: 300), "x"))),
    Broken("name of numbers", "is no text", pickle(P.integer(1) + P.integer(2) + [0x93])),
    Broken("type called", "a type is called", pickle(P.global("torch", "FloatStorage") + P.code(")R"))),
    Broken("text called", "is no function", pickle(P.text("x") + P.code(")R"))),
    Broken("arguments no tuple", "are no tuple", pickle(P.global("torch", "Size") + P.code("NR"))),
    Broken(
      "object of a known class", "is no function",
      pickle(P.global("collections", "OrderedDict") + P.code(")") + [0x81])),
    Broken(
      "dictionary with arguments", "OrderedDict has arguments",
      pickle(P.global("collections", "OrderedDict") + P.code("(Nt") + P.code("R"))),
    Broken("state of a number", "no dictionary", pickle(P.integer(1) + P.code("}b"))),
    Broken("item of a number", "no list or dictionary", pickle(P.integer(1) + P.code("Na"))),
    Broken("key without value", "a key has no value", pickle(P.code("}(Nu"))),
    Broken("memo of nothing", "memo 9 holds nothing", pickle(P.code("h\t"))),
    Broken("text past the file", "a text of the pickle needs 1000", pickle([0x58, 0xE8, 3, 0, 0])),
    Broken("T-02 text of 1 GiB", "the limit is 1048576", pickle([0x58, 0, 0, 0, 0x40])),
    Broken("text of 2⁶⁴", "the limit is 1048576", pickle([0x8D] + [UInt8](repeating: 0xFF, count: 8))),
    Broken("text not UTF-8", "not valid UTF-8", pickle([0x58, 1, 0, 0, 0, 0xFF])),
    Broken("long integer", "an integer's length in bytes is 9", pickle([0x8A, 9])),
    Broken("deep marks", "the limit is 1000", pickle(P.code(String(repeating: "(", count: 1001)))),
    Broken(
      "deep lists", "the limit is 63",
      pickle(P.code(String(repeating: "]", count: 100) + String(repeating: "a", count: 99)))),
    Broken("list in itself", "the limit is 63", pickle(P.code("]q\u{0}h\u{0}a"))),
    Broken("key of a list", "neither a text nor a whole number", pickle(P.code("}]Ns"))),
    Broken("key twice", "occurs twice", pickle(P.dictionary([("a", P.integer(1)), ("a", P.integer(2))]))),
    Broken(
      "name twice", "tensor \"a.b\" occurs twice",
      pickle(
        P.dictionary([
          ("a.b", P.tensor(count: 4, [1], [1])), ("a", P.dictionary([("b", P.tensor(count: 4, [1], [1]))])),
        ]))),
    Broken(
      "long key", "the limit is 1024",
      pickle(P.dictionary([(String(repeating: "k", count: 1025), P.code("N"))]))),
    Broken(
      "no storage", "no such entry", pickle(P.dictionary([("a", P.tensor(key: "1", count: 4, [1], [1]))]))),
    Broken("storage elsewhere", "no such entry", pickle(P.tensor(key: "../version", count: 1, [1], [1]))),
    Broken(
      "storage of two kinds", "described in two ways",
      pickle(
        P.dictionary([
          ("a", P.tensor(count: 4, [1], [1])), ("b", P.tensor("HalfStorage", count: 4, [1], [1])),
        ]))),
    Broken("storage without id", "what stands for a storage", pickle(P.code("NQ"))),
    Broken("storage below 0", "what stands for a storage", pickle(P.tensor(count: -1, [1], [1]))),
    Broken("storage too large", "needs 20 bytes, 16 are left", tensor(5, [1], [1])),
    Broken("T-03 storage overflows", "needs 18446744073709551615 bytes", tensor(Int.max, [1], [1])),
    Broken("shape too large", "needs 20 bytes, 16 are left", tensor(4, [5], [1])),
    Broken("offset too large", "needs 20 bytes, 16 are left", tensor(4, offset: 1, [4], [1])),
    Broken("strides too large", "needs 20 bytes, 16 are left", tensor(4, [2, 2], [3, 1])),
    Broken("T-03 shape overflows", "the size of shape", tensor(4, [1 << 32, 1 << 32], [0, 0])),
    Broken("T-03 bytes overflow", "the size of shape", tensor(4, [1 << 61], [0])),
    Broken("T-03 strides overflow", "the extent of strides", tensor(4, [3], [Int.max / 2 + 1])),
    Broken("T-03 sum of strides overflows", "the extent of strides", tensor(4, [2, 2], [Int.max, 1])),
    Broken("T-03 offset overflows", "its place", tensor(4, offset: Int.max, [1], [1])),
    Broken("T-03 offset's bytes overflow", "its place", tensor(4, offset: 1 << 61, [1], [1])),
    Broken("empty far away", "needs 400 bytes", tensor(4, offset: 100, [0], [1])),
    Broken("offset below 0", "an offset below 0", tensor(4, offset: -1, [1], [1])),
    Broken("extent below 0", "must be whole numbers from 0 up", tensor(4, [-1], [1])),
    Broken("stride below 0", "must be whole numbers from 0 up", tensor(4, offset: 3, [4], [-1])),
    Broken("axes and strides", "2 extents and 1 strides", tensor(4, [2, 2], [1])),
    Broken(
      "65 axes", "must be a tuple of at most 64",
      tensor(4, [Int](repeating: 1, count: 65), [Int](repeating: 1, count: 65))),
  ]

  @Test(arguments: archives + pickles) func isRefused(_ broken: Broken) throws {
    let storage = try storage(broken.bytes)
    let message = message { _ = try PyTorchFile(storage, name: "b.pt") }
    #expect(message.hasPrefix("b.pt") && message.contains(broken.words), "\(message)")
  }

  @Test func readsWhatItWrites() throws {
    for bytes in [
      Self.good.bytes, Self.archive { $0.comment = Array("PK\u{5}\u{6} comment".utf8) },
      Self.archive { $0.isWide = true },
      // As PyTorch does: records of zip64 beside narrow fields that suffice.
      Self.archive { ($0.isWide, $0.entryCount) = (true, 3) },
      Self.archive { archive in for place in archive.entries.indices { archive.entries[place].isWide = true }
      },
      Self.archive { $0.entries[1].data = Array("2".utf8) },
    ] {
      let file = try PyTorchFile(try storage(bytes), name: "f")
      let tensor = try file.tensor("a")
      #expect(tensor.shape == [2, 2])
      #expect(tensor.withElements(as: UInt8.self) { span in span.indices.map { span[$0] } } == Self.sixteen)
    }
  }

  @Test func strangeStrides() throws {
    // An axis of one index may have any stride.
    let one = try PyTorchFile(try storage(Self.tensor(4, [1, 2, 1], [Int.max, 2, Int.max])), name: "f")
    #expect(
      try one.tensor("a").withElements(as: UInt8.self) { span in span.indices.map { span[$0] } } == [
        0, 1, 2, 3, 8, 9, 10, 11,
      ])
    let many = try PyTorchFile(try storage(Self.tensor(4, [1 << 40], [0])), name: "f")
    #expect(message { _ = try many.tensor("a") }.contains("which repeats its numbers is 4398046511104"))
    let empty = try PyTorchFile(try storage(Self.tensor(4, [0, 7], [Int.max, Int.max])), name: "f")
    #expect(try empty.tensor("a").shape == [0, 7])
  }

  /// Where another tool packed the archive, numbers need not be aligned: they are copied.
  @Test func misalignedNumbersAreCopied() throws {
    let file = try PyTorchFile(try storage(Self.archive { $0.shift = 1 }), name: "f")
    #expect(
      try file.tensor("a").withElements(as: UInt8.self) { span in span.indices.map { span[$0] } }
        == Self.sixteen)
  }

  /// Lists that share their elements: 2⁶⁰ values from a few hundred bytes.
  @Test func sharedContainersAreBounded() async {
    await #expect(processExitsWith: .success) { try PyTorchBrokenTests.readSharedContainers() }
  }

  private static func readSharedContainers() throws {
    var code = P.code("]q\u{0}")
    for level in 1...60 {
      let (last, this) = (UInt8(level - 1), UInt8(level))
      code += P.code("]") + [0x71, this] + P.code("(") + [0x68, last, 0x68, last] + P.code("e")
    }
    code = P.code("(") + code + P.code("t")
    let bytes = pickle(code)
    let before = residentBytes()
    #expect(message { _ = try PyTorchFile(try storage(bytes), name: "f") }.contains("shared so often"))
    #expect(peakResidentBytes() - before < 16 << 20)
  }

  /// A list of 1000 numbers that is referred to 5000 times beside 4 MiB of text: texts allow for no values.
  @Test func textsDoNotPayForSharedContainers() throws {
    let list = P.code("](") + (0..<1000).flatMap { _ in [0x4B, 1] } + P.code("eq\u{1}")
    let shared = P.code("](") + list + (0..<5000).flatMap { _ in [0x68, 1] } + P.code("e")
    let texts = (0..<4).flatMap { _ in P.text(String(repeating: "a", count: 1 << 20)) }
    let bytes = Self.pickle(P.dictionary([("a", shared), ("p", P.code("](") + texts + P.code("e"))]))
    #expect(message { _ = try PyTorchFile(try storage(bytes), name: "f") }.contains("shared so often"))
    let plain = Self.pickle(P.dictionary([("a", list), ("p", P.code("](") + texts + P.code("e"))]))
    #expect(try PyTorchFile(try storage(plain), name: "f").settings["a"]?.summary == "an array of 1000")
  }

  /// One name after the other, with all objects left out.
  @Test func foreignNamesAreBounded() throws {
    let code = (0..<300).flatMap { P.global("m", "n\($0)") }
    let bytes = Self.pickle(P.code("(") + code + P.code("t"))
    #expect(
      message { _ = try PyTorchFile(try storage(bytes), name: "f", foreign: .skipped) }.contains(
        "the limit is 256"))
  }
}
