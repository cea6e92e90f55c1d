import Formats
import Memory

/// libFuzzer's entry: the first byte picks the parser, the rest is the file.
///
/// Everything a reader offers is asked for, since values and tensors are looked at only on demand.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  guard let start, count > 0 else { return 0 }
  let bytes = UnsafeBufferPointer(start: start + 1, count: count - 1)
  switch start[0] % 3 {
  case 0: fuzzJSON(bytes.span)
  case 1: if let file = try? HeapStorage(copying: bytes.span) { fuzzGGUF(file) }
  default: if let file = try? HeapStorage(copying: bytes.span) { fuzzSafetensors(file) }
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

/// Reads the first and last byte: the address sanitizer sees if they lie outside.
private func touch(_ tensor: Tensor) {
  tensor.withElements(as: UInt8.self) { bytes in
    guard bytes.count > 0 else { return }
    precondition(Int(bytes[0]) + Int(bytes[bytes.count - 1]) >= 0)
  }
}
