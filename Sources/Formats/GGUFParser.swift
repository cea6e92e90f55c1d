internal import Memory

/// One GGUF file, checked from the first byte to the last tensor's end.
struct GGUFPart: Sendable {
  var storage: TensorStorage
  var file: String
  var version: UInt32
  var alignment: Int
  var metadata: GGUFMetadata
  var tensors: [GGUFTensorInfo]
}

extension GGUFPart {
  /// Parses `storage`; the result is complete or an error is thrown.
  ///
  /// - Complexity: O(keys + strings + tensors); no number of a tensor is read, no string of an array is made.
  init(_ storage: TensorStorage, file: String, part: Int) throws(FormatError) {
    var reader = ByteReader(storage.bytes, file: file)
    let version = try Self.version(&reader, file: file)
    let tensorCount = try Self.count(&reader, "tensors", limit: GGUF.maximumTensors, smallest: 24, file: file)
    let keyCount = try Self.count(&reader, "metadata keys", limit: GGUF.maximumKeys, smallest: 13, file: file)
    let metadata = try Self.metadata(&reader, count: keyCount, storage: storage, file: file)
    let alignment = try Self.alignment(metadata, file: file)
    var drafts: [Draft] = []
    for _ in 0..<tensorCount { drafts.append(try Self.draft(&reader, file: file)) }
    let padding = (alignment - reader.position % alignment) % alignment
    let (dataStart, overflow) = reader.position.addingReportingOverflow(padding)
    guard !overflow, drafts.isEmpty || dataStart <= storage.byteCount else {
      throw .truncated(
        file: file, item: "padding to the tensor data", needed: UInt64(padding), available: reader.remaining)
    }
    let tensors = try Self.placed(
      drafts, dataStart: dataStart, alignment: alignment, part: part, byteCount: storage.byteCount, file: file
    )
    self.init(
      storage: storage, file: file, version: version, alignment: alignment, metadata: metadata,
      tensors: tensors)
  }

  private static func version(_ reader: inout ByteReader, file: String) throws(FormatError) -> UInt32 {
    let magic = try reader.number(UInt32.self, "the magic \"GGUF\"")
    guard magic == 0x4655_4747 else {
      throw .wrongFormat(file: file, expected: "GGUF", found: "0x\(String(magic.byteSwapped, radix: 16))")
    }
    let version = try reader.number(UInt32.self, "the version")
    guard version & 0xFFFF != 0 || version == 0 else {
      throw .malformed(
        file: file, item: "version",
        reason: "it is \(version.byteSwapped) in big-endian order; convert the model to little-endian")
    }
    guard version == 2 || version == 3 else {
      throw .unsupportedVersion(file: file, version: version, supported: "2 and 3")
    }
    return version
  }

  /// A number of things of at least `smallest` bytes each, of which the rest of the file can hold so many.
  private static func count(
    _ reader: inout ByteReader, _ things: String, limit: Int, smallest: UInt64, file: String
  ) throws(FormatError) -> Int {
    let count = try reader.number(UInt64.self, "the number of \(things)")
    guard count <= UInt64(limit) else {
      throw .tooLarge(file: file, item: "the number of \(things)", limit: limit, found: count)
    }
    guard count * smallest <= UInt64(reader.remaining) else {
      throw .truncated(
        file: file, item: "a list of \(count) \(things)", needed: count * smallest,
        available: reader.remaining)
    }
    return Int(count)
  }
}

extension GGUFPart {
  private static func metadata(
    _ reader: inout ByteReader, count: Int, storage: TensorStorage, file: String
  ) throws(FormatError) -> GGUFMetadata {
    var entries: [GGUFMetadata.Entry] = []
    var positions: [String: Int] = [:]
    for position in 0..<count {
      let key = try name(&reader, "key \(position)", limit: GGUF.maximumKeyBytes, file: file)
      guard positions.updateValue(position, forKey: key) == nil else {
        throw .duplicate(file: file, item: "key", name: key)
      }
      entries.append(try entry(&reader, key: key, file: file))
    }
    return GGUFMetadata(entries, positions: positions, storage: storage, file: file)
  }

  /// A key's or tensor's name: not empty, UTF-8, without NUL.
  private static func name(
    _ reader: inout ByteReader, _ item: @autoclosure () -> String, limit: Int, file: String
  ) throws(FormatError) -> String {
    let length = try reader.number(UInt64.self, "the length of the name of \(item())")
    guard length > 0 else { throw .malformed(file: file, item: item(), reason: "its name is empty") }
    guard length <= UInt64(limit) else {
      throw .tooLarge(file: file, item: "the length of the name of \(item())", limit: limit, found: length)
    }
    let name = try reader.text(length, "the name of \(item())")
    guard !name.utf8.contains(0) else {
      throw .malformed(file: file, item: item(), reason: "its name holds a NUL")
    }
    return name
  }

  private static func entry(
    _ reader: inout ByteReader, key: String, file: String
  ) throws(FormatError) -> GGUFMetadata.Entry {
    let type = try valueType(&reader, key: key, file: file)
    guard type == .array else {
      let offset = reader.position
      try skip(&reader, type, key: key)
      return GGUFMetadata.Entry(key: key, type: type, elementType: nil, count: 1, offset: offset)
    }
    let element = try valueType(&reader, key: key, file: file)
    guard element != .array else {
      throw .malformed(file: file, item: key, reason: "arrays of arrays are not part of the format")
    }
    let count = try reader.number(UInt64.self, "the length of the array \(key)")
    let smallest = UInt64(element.byteCount ?? 8)
    let (needed, overflow) = count.multipliedReportingOverflow(by: smallest)
    guard !overflow, needed <= UInt64(reader.remaining) else {
      throw .truncated(
        file: file, item: "the array \(key) of \(count)", needed: overflow ? .max : needed,
        available: reader.remaining)
    }
    let offset = reader.position
    if element == .string {
      for _ in 0..<Int(count) { try skip(&reader, .string, key: key) }
    } else {
      _ = try reader.take(needed, "the array \(key)")
    }
    return GGUFMetadata.Entry(key: key, type: .array, elementType: element, count: Int(count), offset: offset)
  }

  private static func valueType(
    _ reader: inout ByteReader, key: String, file: String
  ) throws(FormatError) -> GGUFValueType {
    let code = try reader.number(UInt32.self, "the type of \(key)")
    guard let type = GGUFValueType(rawValue: code) else {
      throw .malformed(file: file, item: key, reason: "value type \(code) does not exist (0 to 12 do)")
    }
    return type
  }

  /// Steps over a scalar or a string.
  private static func skip(
    _ reader: inout ByteReader, _ type: GGUFValueType, key: String
  ) throws(FormatError) {
    if let width = type.byteCount {
      _ = try reader.take(UInt64(width), "the value of \(key)")
    } else {
      let length = try reader.number(UInt64.self, "the length of a string of \(key)")
      _ = try reader.take(length, "a string of \(key)")
    }
  }

  private static func alignment(_ metadata: GGUFMetadata, file: String) throws(FormatError) -> Int {
    let key = "general.alignment"
    guard let declared = metadata.type(of: key) else { return 32 }
    guard declared.type == .uint32 else {
      throw .wrongValue(
        file: file, key: key, expected: "a uint32",
        found: declared.element.map { "an array of \($0)" } ?? "\(declared.type)")
    }
    let alignment = try metadata.integer(key)
    guard alignment > 0, alignment & (alignment - 1) == 0, alignment <= GGUF.maximumAlignment else {
      throw .wrongValue(
        file: file, key: key, expected: "a power of two from 1 to \(GGUF.maximumAlignment)",
        found: "\(alignment)")
    }
    return alignment
  }
}

extension GGUFPart {
  /// A tensor's header, its offset still counted from the start of the data.
  private struct Draft {
    var name: String
    var shape: [Int]
    var type: GGUFTensorType
    var offset: UInt64
    var byteCount: Int?
  }

  private static func draft(_ reader: inout ByteReader, file: String) throws(FormatError) -> Draft {
    let name = try name(&reader, "a tensor", limit: GGUF.maximumTensorNameBytes, file: file)
    let axes = try reader.number(UInt32.self, "the number of dimensions of \(name)")
    guard axes <= UInt32(GGUF.maximumAxes) else {
      throw .tooLarge(
        file: file, item: "the number of dimensions of tensor \"\(name)\"", limit: GGUF.maximumAxes,
        found: UInt64(axes))
    }
    var extents: [Int] = []
    for _ in 0..<axes {
      let extent = Int64(bitPattern: try reader.number(UInt64.self, "a dimension of \(name)"))
      guard extent > 0 else {
        throw .malformed(file: file, item: "tensor \"\(name)\"", reason: "a dimension is \(extent)")
      }
      extents.append(Int(extent))
    }
    let type = GGUFTensorType(code: try reader.number(UInt32.self, "the type of \(name)"))
    guard type.code <= GGUFTensorType.maximumCode else {
      throw .malformed(
        file: file, item: "tensor \"\(name)\"", reason: "number type \(type.code) does not exist")
    }
    let offset = try reader.number(UInt64.self, "the offset of \(name)")
    let byteCount = try byteCount(extents, type, name: name, file: file)
    return Draft(
      name: name, shape: extents.reversed(), type: type, offset: offset, byteCount: byteCount)
  }

  /// Bytes of a tensor with the contiguous axis first; `nil` for an unknown type.
  private static func byteCount(
    _ extents: [Int], _ type: GGUFTensorType, name: String, file: String
  ) throws(FormatError) -> Int? {
    var count = 1
    for extent in extents {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard !overflow else {
        throw .malformed(
          file: file, item: "tensor \"\(name)\"", reason: "the product of its dimensions \(extents) overflows"
        )
      }
      count = product
    }
    guard let block = type.block else { return nil }
    guard (extents.first ?? 1) % block.elements == 0 else {
      throw .malformed(
        file: file, item: "tensor \"\(name)\"",
        reason: "rows of \(extents.first ?? 1) are not whole blocks of \(block.elements) (\(type.name))")
    }
    let (bytes, overflow) = (count / block.elements).multipliedReportingOverflow(by: block.bytes)
    guard !overflow else {
      throw .malformed(file: file, item: "tensor \"\(name)\"", reason: "its size in bytes overflows")
    }
    return bytes
  }

  /// Checks that tensors lie within the file, aligned, and do not overlap.
  private static func placed(
    _ drafts: [Draft], dataStart: Int, alignment: Int, part: Int, byteCount: Int, file: String
  ) throws(FormatError) -> [GGUFTensorInfo] {
    var names: Set<String> = []
    var tensors: [GGUFTensorInfo] = []
    for draft in drafts {
      guard names.insert(draft.name).inserted else {
        throw .duplicate(file: file, item: "tensor", name: draft.name)
      }
      guard draft.offset % UInt64(alignment) == 0 else {
        throw .malformed(
          file: file, item: "tensor \"\(draft.name)\"",
          reason: "its offset \(draft.offset) is not a multiple of the alignment \(alignment)")
      }
      let available = byteCount - dataStart
      let needed = UInt64(draft.byteCount ?? 1)
      let (end, overflow) = draft.offset.addingReportingOverflow(needed)
      guard !overflow, end <= UInt64(available) else {
        throw .truncated(
          file: file, item: "tensor \"\(draft.name)\" of \(needed) bytes at offset \(draft.offset)",
          needed: overflow ? .max : end, available: available)
      }
      tensors.append(
        GGUFTensorInfo(
          name: draft.name, shape: draft.shape, type: draft.type, byteOffset: dataStart + Int(draft.offset),
          byteCount: draft.byteCount, part: part))
    }
    try refuseOverlap(tensors, file: file)
    return tensors
  }

  private static func refuseOverlap(_ tensors: [GGUFTensorInfo], file: String) throws(FormatError) {
    let ordered = tensors.sorted { $0.byteOffset < $1.byteOffset }
    for (earlier, later) in zip(ordered, ordered.dropFirst())
    where earlier.byteOffset + (earlier.byteCount ?? 1) > later.byteOffset {
      throw .malformed(
        file: file, item: "tensor \"\(later.name)\"",
        reason: "it starts at byte \(later.byteOffset), inside tensor \"\(earlier.name)\"")
    }
  }
}
