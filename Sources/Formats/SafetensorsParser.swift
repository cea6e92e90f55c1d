internal import Memory

/// One safetensors file, checked: every byte behind the header belongs to exactly one tensor.
struct SafetensorsShard: Sendable {
  var storage: TensorStorage
  var file: String
  var metadata: [String: String]
  /// In order of their place in the file.
  var tensors: [SafetensorsInfo]
}

extension SafetensorsShard {
  /// Parses `storage`; the result is complete or an error is thrown.
  init(_ storage: TensorStorage, file: String, shard: Int) throws(FormatError) {
    let bytes = storage.bytes
    var reader = ByteReader(bytes, file: file)
    let length = try reader.number(UInt64.self, "the header's length")
    guard length <= UInt64(Safetensors.maximumHeaderBytes) else {
      throw .tooLarge(
        file: file, item: "the header's length", limit: Safetensors.maximumHeaderBytes, found: length)
    }
    let range = try reader.take(length, "the header")
    guard length > 0, bytes[range.lowerBound] == UInt8(ascii: "{") else {
      throw .wrongFormat(
        file: file, expected: "safetensors",
        found: length > 0
          ? "a header whose first byte is \(bytes[range.lowerBound]), not \"{\"" : "an empty header")
    }
    let header = try JSON.parse(bytes.extracting(range), file: "\(file) (header)")
    guard case .object(let object) = header else {
      throw .malformed(file: file, item: "header", reason: "it is no JSON object")
    }
    guard object.count <= Safetensors.maximumTensors else {
      throw .tooLarge(
        file: file, item: "the number of tensors", limit: Safetensors.maximumTensors,
        found: UInt64(object.count))
    }
    self.storage = storage
    self.file = file
    metadata = try Self.metadata(object, file: file)
    tensors = try Self.tensors(object, dataStart: range.upperBound, shard: shard, file: file)
    try requireFullCover(dataStart: range.upperBound)
  }

  private static func metadata(_ header: JSONObject, file: String) throws(FormatError) -> [String: String] {
    guard let value = header["__metadata__"] else { return [:] }
    let node = JSONNode(value, file: "\(file): __metadata__")
    var metadata: [String: String] = [:]
    for member in try node.object().members {
      guard case .string(let text) = member.value else {
        throw .wrongValue(
          file: file, key: "__metadata__.\(member.key)", expected: "a string", found: member.value.summary)
      }
      metadata[member.key] = text
    }
    return metadata
  }

  private static func tensors(
    _ header: JSONObject, dataStart: Int, shard: Int, file: String
  ) throws(FormatError) -> [SafetensorsInfo] {
    var tensors: [SafetensorsInfo] = []
    for member in header.members where member.key != "__metadata__" {
      let node = JSONNode(member.value, file: "\(file): tensor \"\(member.key)\"")
      let word = try node.required("dtype").string()
      guard let type = SafetensorsType(name: word) else {
        throw .malformed(
          file: file, item: "tensor \"\(member.key)\"", reason: "dtype \"\(word)\" does not exist")
      }
      var shape: [Int] = []
      for extent in try node.required("shape").elements() {
        shape.append(try extent.integer(in: 0...Int.max))
      }
      let offsets = try node.required("data_offsets").elements()
      guard offsets.count == 2 else { throw try node.required("data_offsets").wrong("two integers") }
      let begin = try offsets[0].integer(in: 0...Int.max)
      let end = try offsets[1].integer(in: begin...Int.max)
      let byteCount = try byteCount(shape, type, name: member.key, file: file)
      guard byteCount == end - begin else {
        throw .malformed(
          file: file, item: "tensor \"\(member.key)\"",
          reason: "\(type.name) of shape \(shape) is \(byteCount) bytes, data_offsets say \(end - begin)")
      }
      let (offset, overflow) = begin.addingReportingOverflow(dataStart)
      guard !overflow else {
        throw .malformed(
          file: file, item: "tensor \"\(member.key)\"", reason: "its offset \(begin) overflows")
      }
      tensors.append(
        SafetensorsInfo(
          name: member.key, shape: shape, type: type, byteOffset: offset, byteCount: byteCount, shard: shard))
    }
    // By end too: an empty tensor must come before the one that starts at the same byte.
    return tensors.sorted { ($0.byteOffset, $0.byteCount) < ($1.byteOffset, $1.byteCount) }
  }

  private static func byteCount(
    _ shape: [Int], _ type: SafetensorsType, name: String, file: String
  ) throws(FormatError) -> Int {
    var bits = type.bits
    for extent in shape {
      let (product, overflow) = bits.multipliedReportingOverflow(by: extent)
      guard !overflow else {
        throw .malformed(
          file: file, item: "tensor \"\(name)\"", reason: "the size of shape \(shape) overflows")
      }
      bits = product
    }
    guard bits % 8 == 0 else {
      throw .malformed(
        file: file, item: "tensor \"\(name)\"",
        reason: "\(type.name) of shape \(shape) is \(bits) bits, not whole bytes")
    }
    return bits / 8
  }

  /// No hole, no overlap, nothing behind the last tensor: bytes that no tensor owns could hide anything.
  private func requireFullCover(dataStart: Int) throws(FormatError) {
    var expected = dataStart
    for tensor in tensors {
      guard tensor.byteOffset == expected else {
        let fault = tensor.byteOffset > expected ? "leaves a hole" : "overlaps its neighbour"
        throw .malformed(
          file: file, item: "tensor \"\(tensor.name)\"",
          reason:
            "it starts at data byte \(tensor.byteOffset - dataStart), not \(expected - dataStart): it \(fault)"
        )
      }
      let (end, overflow) = expected.addingReportingOverflow(tensor.byteCount)
      guard !overflow, end <= storage.byteCount else {
        throw .truncated(
          file: file, item: "tensor \"\(tensor.name)\"", needed: UInt64(tensor.byteCount),
          available: storage.byteCount - expected)
      }
      expected = end
    }
    guard expected == storage.byteCount else {
      throw .malformed(
        file: file, item: "data",
        reason: "\(storage.byteCount - expected) bytes at the end belong to no tensor")
    }
  }
}
