import Formats
import Memory

/// libFuzzer's entry: the first byte picks the parser, the rest is the file.
///
/// Everything a reader offers is asked for, since values and tensors are looked at only on demand.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard let start, count > 0 else { return 0 }
  let bytes = UnsafeBufferPointer(start: start + 1, count: count - 1)
  switch start[0] % 5 {
  case 0: fuzzJSON(bytes.span)
  case 1: if let file = try? HeapStorage(copying: bytes.span) { fuzzGGUF(file) }
  case 2: if let file = try? HeapStorage(copying: bytes.span) { fuzzSafetensors(file) }
  case 3: if let file = try? HeapStorage(copying: bytes.span) { fuzzPyTorch(file) }
  default: if let file = try? HeapStorage(copying: archive(of: bytes).span) { fuzzPyTorch(file) }
  }
  return 0
}

/// What parses must be written and parse to the same again.
private func fuzzJSON(_ bytes: Span<UInt8>) {
  _ = try? JSON.parse(bytes, file: "fuzz", duplicateKeys: .lastWins)
  guard let value = try? JSON.parse(bytes, file: "fuzz") else { return }
  guard let text = try? value.serialized(), let again = try? JSON.parse(text, file: "again") else {
    preconditionFailure("a parsed value cannot be written and read")
  }
  precondition(again == value, "written and read, the value has changed")
}

private func fuzzGGUF(_ storage: HeapStorage) {
  guard let file = try? GGUF(storage, name: "fuzz") else { return }
  for key in file.metadata.keys {
    _ = try? file.metadata.summary(key)
    _ = try? file.metadata.integer(key)
    _ = try? file.metadata.number(key)
    _ = try? file.metadata.bool(key)
    _ = try? file.metadata.string(key)
    _ = try? file.metadata.integers(key)
    _ = try? file.metadata.floats(key)
    _ = try? file.metadata.bools(key)
    _ = try? file.metadata.strings(key)
  }
  for info in file.tensors {
    guard let tensor = try? file.tensor(info.name) else { continue }
    touch(tensor)
  }
}

private func fuzzSafetensors(_ storage: HeapStorage) {
  guard let file = try? Safetensors(storage, name: "fuzz") else { return }
  for info in file.tensors {
    guard let tensor = try? file.tensor(info.name) else { continue }
    touch(tensor)
  }
}

private func fuzzPyTorch(_ storage: HeapStorage) {
  for foreign in [PyTorchFile.ForeignObjects.refused, .skipped] {
    guard let file = try? PyTorchFile(storage, name: "fuzz", foreign: foreign) else { continue }
    _ = try? file.settings.serialized()
    for info in file.tensors {
      guard let tensor = try? file.tensor(info.name) else { continue }
      touch(tensor)
    }
  }
}

/// A sound archive around a pickle, with two storages of 64 bytes: a mutated archive seldom gets so far.
private func archive(of pickle: UnsafeBufferPointer<UInt8>) -> [UInt8] {
  let numbers = [UInt8](repeating: 1, count: 64)
  let entries: [(name: String, data: [UInt8])] = [
    ("a/data.pkl", Array(pickle)), ("a/version", [0x33]), ("a/data/0", numbers), ("a/data/1", numbers),
  ]
  var (file, directory): ([UInt8], [UInt8]) = ([], [])
  func put(_ values: [(value: Int, bytes: Int)], into bytes: inout [UInt8]) {
    for field in values {
      for byte in 0..<field.bytes { bytes.append(UInt8(truncatingIfNeeded: field.value >> (8 * byte))) }
    }
  }
  for entry in entries {
    let (name, size, offset) = (Array(entry.name.utf8), entry.data.count, file.count)
    put([(0x0403_4B50, 4), (0, 14), (size, 4), (size, 4), (name.count, 2), (0, 2)], into: &file)
    file += name + entry.data
    put([(0x0201_4B50, 4), (0, 16), (size, 4), (size, 4), (name.count, 2), (0, 12), (offset, 4)], into: &directory)
    directory += name
  }
  let (start, size) = (file.count, directory.count)
  file += directory
  put([(0x0605_4B50, 4), (0, 4), (4, 2), (4, 2), (size, 4), (start, 4), (0, 2)], into: &file)
  return file
}

/// Reads the first and last byte: the address sanitizer sees if they lie outside.
private func touch(_ tensor: Tensor) {
  tensor.withElements(as: UInt8.self) { bytes in
    guard bytes.count > 0 else { return }
    precondition(Int(bytes[0]) + Int(bytes[bytes.count - 1]) >= 0)
  }
}
