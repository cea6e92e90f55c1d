import Formats
import Foundation
import Memory

/// Bytes of a file, appended piece by piece, little-endian.
struct FileBytes {
  var bytes: [UInt8] = []

  mutating func put<T: FixedWidthInteger>(_ value: T) {
    for index in 0..<T.bitWidth / 8 { bytes.append(UInt8(truncatingIfNeeded: value >> T(index * 8))) }
  }
  mutating func put(_ text: String) {
    put(UInt64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }
  mutating func pad(to alignment: Int) {
    while bytes.count % alignment != 0 { bytes.append(0) }
  }
}

/// Writes GGUF files, good ones by default, broken ones where a field says so.
struct GGUFBytes {
  struct Value {
    var key: String
    var type: UInt32
    var payload: [UInt8]
  }
  struct TensorHeader {
    var name: String
    var dimensions: [Int64]
    var type: UInt32 = 0
    var offset: UInt64 = 0
    var axes: UInt32?
  }

  var magic: [UInt8] = Array("GGUF".utf8)
  var version: UInt32 = 3
  var tensorCount: UInt64?
  var keyCount: UInt64?
  var values: [Value] = []
  var tensors: [TensorHeader] = []
  var alignment = 32
  var data: [UInt8] = []

  /// One F32 tensor of 2 × 4 numbers 0, 1, … and two keys.
  static var good: GGUFBytes {
    var file = GGUFBytes()
    file.string("general.architecture", "llama")
    file.scalar("llama.block_count", 4, UInt32(3))
    file.tensors = [TensorHeader(name: "weight", dimensions: [4, 2])]
    var data = FileBytes()
    for index in 0..<8 { data.put(Float(index).bitPattern) }
    file.data = data.bytes
    return file
  }

  mutating func scalar<T: FixedWidthInteger>(_ key: String, _ type: UInt32, _ value: T) {
    var payload = FileBytes()
    payload.put(value)
    values.append(Value(key: key, type: type, payload: payload.bytes))
  }
  mutating func string(_ key: String, _ text: String) {
    var payload = FileBytes()
    payload.put(text)
    values.append(Value(key: key, type: 8, payload: payload.bytes))
  }
  mutating func array(_ key: String, _ type: UInt32, count: UInt64, _ elements: [UInt8]) {
    var payload = FileBytes()
    payload.put(type)
    payload.put(count)
    values.append(Value(key: key, type: 9, payload: payload.bytes + elements))
  }
  mutating func strings(_ key: String, _ texts: [String]) {
    var payload = FileBytes()
    for text in texts { payload.put(text) }
    array(key, 8, count: UInt64(texts.count), payload.bytes)
  }

  var bytes: [UInt8] {
    var file = FileBytes(bytes: magic)
    file.put(version)
    file.put(tensorCount ?? UInt64(tensors.count))
    file.put(keyCount ?? UInt64(values.count))
    for value in values {
      file.put(value.key)
      file.put(value.type)
      file.bytes += value.payload
    }
    for tensor in tensors {
      file.put(tensor.name)
      file.put(tensor.axes ?? UInt32(tensor.dimensions.count))
      for dimension in tensor.dimensions { file.put(dimension) }
      file.put(tensor.type)
      file.put(tensor.offset)
    }
    file.pad(to: alignment)
    return file.bytes + data
  }

  func changed(_ change: (inout GGUFBytes) -> Void) -> [UInt8] {
    var copy = self
    change(&copy)
    return copy.bytes
  }
}

/// A safetensors file of a header and data.
func safetensorsBytes(_ header: String, data: Int, headerBytes: UInt64? = nil) -> [UInt8] {
  var file = FileBytes()
  file.put(headerBytes ?? UInt64(header.utf8.count))
  file.bytes += Array(header.utf8)
  return file.bytes + (0..<data).map { UInt8(truncatingIfNeeded: $0) }
}

/// Bytes as the readers take them without a file.
func storage(_ bytes: [UInt8]) throws -> HeapStorage { try HeapStorage(copying: bytes.span) }

/// A folder of its own, removed when the value goes.
final class TemporaryFolder {
  let path: String
  init() {
    path = NSTemporaryDirectory() + "godwit-formats-\(UUID().uuidString)"
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = "\(path)/\(name)"
    let folder = (file as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    return file
  }
  func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }
}
