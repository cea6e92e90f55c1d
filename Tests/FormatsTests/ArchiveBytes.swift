/// Writes ZIP archives, good ones by default, broken ones where a field says so.
struct ArchiveBytes {
  struct Entry {
    var name: String
    var data: [UInt8]
    /// What the headers say instead of the truth.
    var method: UInt16 = 0
    var flags: UInt16 = 0
    var localName: String?
    var size: UInt32?
    var offset: UInt32?
    /// Puts sizes and offset into the extra field for zip64.
    var isWide = false
    var wideOffset: UInt64?
    var wideSize: UInt64?
    var wideStored: UInt64?
  }

  var entries: [Entry]
  var comment: [UInt8] = []
  /// Bytes by which data begin behind a multiple of 64.
  var shift = 0
  var entryCount: UInt16?
  var directoryOffset: UInt32?
  var directorySize: UInt32?
  /// Adds the records of zip64.
  var isWide = false
  var wideCount: UInt64?
  var wideOffset: UInt64?
  var recordOffset: UInt64?
  var behindDirectory: [UInt8] = []

  init(_ entries: [Entry]) { self.entries = entries }

  /// A file of torch.save: a pickle and storages.
  init(
    pickle: [UInt8], storages: [String: [UInt8]] = [:], version: String? = "3\n", folder: String = "archive"
  ) {
    entries = [Entry(name: "\(folder)/data.pkl", data: pickle)]
    if let version { entries.append(Entry(name: "\(folder)/version", data: Array(version.utf8))) }
    for (key, data) in storages.sorted(by: { $0.key < $1.key }) {
      entries.append(Entry(name: "\(folder)/data/\(key)", data: data))
    }
  }

  var bytes: [UInt8] {
    var file = FileBytes()
    var offsets: [Int] = []
    for entry in entries {
      offsets.append(file.bytes.count)
      let name = Array((entry.localName ?? entry.name).utf8)
      file.put(UInt32(0x0403_4B50))
      file.put(UInt16(20))
      file.put(entry.flags)
      file.put(entry.method)
      for _ in 0..<4 { file.put(UInt32(0)) }
      file.put(UInt16(name.count))
      // Data begin on a multiple of 64, as PyTorch has it.
      let padding = (64 - (file.bytes.count + 2 + name.count) % 64) % 64 + shift
      file.put(UInt16(padding))
      file.bytes += name + [UInt8](repeating: 0, count: padding) + entry.data
    }
    let start = file.bytes.count
    for (entry, offset) in zip(entries, offsets) {
      let name = Array(entry.name.utf8)
      var extra = FileBytes()
      if entry.isWide {
        // Another field first, to be stepped over.
        for number in [UInt16(0x4246), 2, 7, 1, 24] { extra.put(number) }
        extra.put(entry.wideSize ?? UInt64(entry.data.count))
        extra.put(entry.wideStored ?? entry.wideSize ?? UInt64(entry.data.count))
        extra.put(entry.wideOffset ?? UInt64(offset))
      }
      let size = entry.size ?? (entry.isWide ? .max : UInt32(entry.data.count))
      file.put(UInt32(0x0201_4B50))
      file.put(UInt32(0))
      file.put(entry.flags)
      file.put(entry.method)
      file.put(UInt64(0))
      file.put(size)
      file.put(size)
      file.put(UInt16(name.count))
      file.put(UInt16(extra.bytes.count))
      file.put(UInt16(0))
      file.put(UInt64(0))
      file.put(entry.offset ?? (entry.isWide ? .max : UInt32(offset)))
      file.bytes += name + extra.bytes
    }
    file.bytes += behindDirectory
    let size = file.bytes.count - start
    if isWide {
      let record = file.bytes.count
      file.put(UInt32(0x0606_4B50))
      file.put(UInt64(44))
      file.put(UInt32(0))
      file.put(UInt64(0))
      file.put(wideCount ?? UInt64(entries.count))
      file.put(wideCount ?? UInt64(entries.count))
      file.put(UInt64(size))
      file.put(wideOffset ?? UInt64(start))
      file.put(UInt32(0x0706_4B50))
      file.put(UInt32(0))
      file.put(recordOffset ?? UInt64(record))
      file.put(UInt32(1))
    }
    file.put(UInt32(0x0605_4B50))
    file.put(UInt32(0))
    let count = entryCount ?? (isWide ? .max : UInt16(entries.count))
    file.put(count)
    file.put(count)
    file.put(directorySize ?? (isWide ? .max : UInt32(size)))
    file.put(directoryOffset ?? (isWide ? .max : UInt32(start)))
    file.put(UInt16(comment.count))
    return file.bytes + comment
  }

  func changed(_ change: (inout ArchiveBytes) -> Void) -> [UInt8] {
    var copy = self
    change(&copy)
    return copy.bytes
  }
}

/// Writes pickles, instruction by instruction.
struct PickleBytes {
  var bytes: [UInt8] = [0x80, 2]

  /// Instructions by their codes.
  static func code(_ text: String) -> [UInt8] { Array(text.utf8) }

  static func text(_ text: String) -> [UInt8] {
    var file = FileBytes(bytes: code("X"))
    file.put(UInt32(text.utf8.count))
    return file.bytes + Array(text.utf8)
  }

  /// By the shortest instruction that `torch.save` would take, but for those of one and two bytes.
  static func integer(_ value: Int) -> [UInt8] {
    var file = FileBytes()
    if let short = Int32(exactly: value) {
      file.bytes = code("J")
      file.put(short)
    } else {
      file.bytes = [0x8A, 8]
      file.put(value)
    }
    return file.bytes
  }

  static func tuple(_ items: [[UInt8]]) -> [UInt8] { code("(") + items.flatMap { $0 } + code("t") }

  static func global(_ module: String, _ name: String) -> [UInt8] { code("c\(module)\n\(name)\n") }

  static func storage(_ type: String, key: String, count: Int) -> [UInt8] {
    tuple([text("storage"), global("torch", type), text(key), text("cpu"), integer(count)]) + code("Q")
  }

  static func tensor(
    _ type: String = "FloatStorage", key: String = "0", count: Int, offset: Int = 0, _ shape: [Int],
    _ strides: [Int]
  ) -> [UInt8] {
    global("torch._utils", "_rebuild_tensor_v2")
      + tuple([
        storage(type, key: key, count: count), integer(offset), tuple(shape.map(integer)),
        tuple(strides.map(integer)), [0x89], global("collections", "OrderedDict") + code(")R"),
      ]) + code("R")
  }

  static func dictionary(_ members: [(String, [UInt8])]) -> [UInt8] {
    code("}(") + members.flatMap { text($0.0) + $0.1 } + code("u")
  }

  /// The whole pickle of a value.
  static func whole(_ value: [UInt8]) -> [UInt8] { [0x80, 2] + value + code(".") }
}
