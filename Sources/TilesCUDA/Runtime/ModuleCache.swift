internal import Glibc
internal import Memory

/// Machine code kept on disk between runs.
///
/// A file is named by the hash of all that its code depends on, appears whole or not at all, and carries the hash of its
/// contents: what is damaged counts as missing. Nobody deletes files; a folder can be removed at any time.
struct ModuleCache: Sendable {
  /// Where the files are.
  let folder: String

  private static let magic = Array("GWCUDA01".utf8)

  /// A folder is made when the first file is stored.
  init(folder: String) { self.folder = folder }

  /// Name of the file for a program. Whatever GPU or driver there is, or none: the compiler's version decides what comes out.
  static func key(_ program: CUDAProgram, compiler: String) -> String {
    var hash = ContentHash()
    hash.add(program.source)
    hash.add(program.entry)
    for option in NVRTC.options(program.target) { hash.add(option) }
    hash.add(compiler)
    return hash.text
  }

  /// What is kept under a key; `nil` where nothing is, or nothing whole.
  func load(_ key: String) -> NVRTC.Output? {
    guard let file = try? MappedFile(path: path(key)) else { return nil }
    let bytes = file.bytes
    let header = Self.magic.count + 16 + 8
    guard bytes.count >= header else { return nil }
    for (index, byte) in Self.magic.enumerated() where bytes[index] != byte { return nil }
    let rest = (Self.magic.count + 16..<bytes.count).map { bytes[$0] }
    var hash = ContentHash()
    hash.add(rest)
    for (index, byte) in hash.bytes.enumerated() where bytes[Self.magic.count + index] != byte { return nil }
    let logCount = rest[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard logCount >= 0, logCount <= rest.count - 8 else { return nil }
    return NVRTC.Output(
      image: Array(rest[(8 + logCount)...]), log: String(decoding: rest[8..<8 + logCount], as: UTF8.self))
  }

  /// Keeps an output.
  ///
  /// - Throws: why the file cannot be written.
  func store(_ output: NVRTC.Output, _ key: String) throws {
    let log = Array(output.log.utf8)
    let rest = (0..<8).map { UInt8(truncatingIfNeeded: log.count >> (8 * $0)) } + log + output.image
    var hash = ContentHash()
    hash.add(rest)
    makeFolder()
    let file = try FileReplacement(path: path(key))
    let bytes = Self.magic + hash.bytes + rest
    try file.write(bytes.span)
    try file.commit()
  }

  private func path(_ key: String) -> String { "\(folder)/\(key).gwcuda" }

  private func makeFolder() {
    var path = folder.hasPrefix("/") ? "" : "."
    for part in folder.split(separator: "/") {
      path += "/\(part)"
      _ = unsafe mkdir(path, 0o755)
    }
  }
}
