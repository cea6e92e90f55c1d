public import Memory

/// Writes tensors into a safetensors file.
public enum SafetensorsWriter {
  /// Writes a file that appears under `path` only when complete and on the disk; an old one is replaced at once.
  ///
  /// Tensors are laid out by falling size of their element, so that each starts on a multiple of it.
  ///
  /// - Parameters:
  ///   - tensors: dense, of types the format has; names unique and not `__metadata__`.
  ///   - metadata: free text for the header.
  /// - Throws: ``FormatError/cannotExpress(item:reason:)``, ``FormatError/duplicate(file:item:name:)``,
  ///   ``FormatError/unwritable(file:reason:)``; in each case `path` is as it was.
  public static func write(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String] = [:], to path: String
  ) throws(FormatError) {
    var typed: [(name: String, tensor: Tensor, type: SafetensorsType)] = []
    for (name, tensor) in tensors {
      typed.append((name, tensor, try requireExpressible(name, tensor)))
    }
    // By name within a size: the same tensors give the same file.
    typed.sort { ($1.type.bits, $0.name) < ($0.type.bits, $1.name) }
    let header = try header(typed, metadata: metadata, path: path)
    do throws(MemoryError) {
      let file = try FileReplacement(path: path)
      try file.write(header.span)
      for entry in typed {
        try entry.tensor.withElements(as: UInt8.self) { (bytes) throws(MemoryError) in try file.write(bytes) }
      }
      try file.commit()
    } catch {
      if case .cannotOpen(_, let reason) = error { throw .unwritable(file: path, reason: reason) }
      throw .unwritable(file: path, reason: "\(error)")
    }
  }

  private static func requireExpressible(
    _ name: String, _ tensor: Tensor
  ) throws(FormatError) -> SafetensorsType {
    guard name != "__metadata__" else {
      throw .cannotExpress(item: "a tensor named \"__metadata__\"", reason: "safetensors reserves this name")
    }
    guard let type = SafetensorsType(tensor.type) else {
      throw .cannotExpress(
        item: "tensor \"\(name)\"", reason: "safetensors has no type for \(tensor.type.rawValue)")
    }
    guard tensor.isDense else {
      throw .cannotExpress(
        item: "tensor \"\(name)\"", reason: "strides \(tensor.strides) of shape \(tensor.shape) are not dense"
      )
    }
    return type
  }

  /// The header's length and text, padded so that the data starts on a multiple of 8.
  private static func header(
    _ tensors: [(name: String, tensor: Tensor, type: SafetensorsType)], metadata: [String: String],
    path: String
  ) throws(FormatError) -> [UInt8] {
    var members: [JSONObject.Member] = []
    if !metadata.isEmpty {
      let entries = metadata.sorted { $0.key < $1.key }
        .map { JSONObject.Member(key: $0.key, value: .string($0.value)) }
      members.append(
        JSONObject.Member(key: "__metadata__", value: .object(JSONObject(entries) ?? JSONObject())))
    }
    var offset = 0
    for entry in tensors {
      let end = offset + entry.tensor.count * entry.type.bits / 8
      members.append(
        JSONObject.Member(
          key: entry.name,
          value: [
            "dtype": .string(entry.type.name), "shape": .array(entry.tensor.shape.map { .integer($0) }),
            "data_offsets": [.integer(offset), .integer(end)],
          ]))
      offset = end
    }
    switch JSONObject.indexed(members) {
    case .duplicate(let position): throw .duplicate(file: path, item: "tensor", name: members[position].key)
    case .success(let object):
      var text: [UInt8] = []
      try JSON.object(object).write(into: &text)
      while text.count % 8 != 0 { text.append(UInt8(ascii: " ")) }
      guard text.count <= Safetensors.maximumHeaderBytes else {
        throw .tooLarge(
          file: path, item: "the header's length", limit: Safetensors.maximumHeaderBytes,
          found: UInt64(text.count))
      }
      return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> ($0 * 8)) } + text
    }
  }
}
