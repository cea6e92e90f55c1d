import Glibc

/// Memory of this process that is in RAM now, in bytes; starts the peak anew. For tests in a process of their own.
func residentBytes() -> Int {
  if let file = fopen("/proc/self/clear_refs", "w") {
    fputs("5", file)
    fclose(file)
  }
  return statusValue("VmRSS:")
}

/// The most since ``residentBytes()`` was called.
func peakResidentBytes() -> Int { statusValue("VmHWM:") }

private func statusValue(_ key: String) -> Int {
  guard let file = fopen("/proc/self/status", "r") else { return 0 }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 256)
  while fgets(&line, 256, file) != nil {
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard text.hasPrefix(key) else { continue }
    return (Int(text.split(whereSeparator: { !$0.isNumber }).first ?? "0") ?? 0) * 1024
  }
  return 0
}
