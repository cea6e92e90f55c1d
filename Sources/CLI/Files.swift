internal import Glibc
internal import Memory

/// Whole files and standard input, read for the verbs.
enum Files {
  /// Largest text that is read: 1 GiB.
  static let maximumBytes = 1 << 30

  /// Bytes of a file; `-` is standard input.
  static func bytes(_ path: String) throws -> [UInt8] {
    let descriptor = path == "-" ? STDIN_FILENO : unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw CommandFailure("\(path): \(unsafe String(cString: strerror(errno))).")
    }
    defer { if path != "-" { close(descriptor) } }
    var result: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe read(descriptor, &buffer, buffer.count)
      guard count >= 0 else { throw CommandFailure("\(path): \(unsafe String(cString: strerror(errno))).") }
      if count == 0 { return result }
      result += buffer[..<count]
      guard result.count <= maximumBytes else {
        throw CommandFailure("\(path): more than \(maximumBytes) bytes; split the text.")
      }
    }
  }

  /// Text of a file; `-` is standard input.
  static func text(_ path: String) throws -> String {
    let bytes = try bytes(path)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw CommandFailure("\(path) is not UTF-8. Convert it first, for example with iconv.")
    }
    return text
  }

  /// The lines of a text, which may end as on Windows.
  static func lines(_ text: String, omittingEmptySubsequences: Bool = true) -> [String] {
    // Both are one character in Swift. Other ends, which `isNewline` knows, may stand within JSON.
    text.split(omittingEmptySubsequences: omittingEmptySubsequences) { $0 == "\n" || $0 == "\r\n" }.map(
      String.init)
  }

  /// Refuses an output that would take the place of what is read.
  static func requireOther(_ output: String, than inputs: [String]) throws {
    guard FileKind(path: output) == .file else { return }
    let target = try resolvedPath(output)
    for input in inputs where FileKind(path: input) == .file {
      guard try resolvedPath(input) != target else {
        throw CommandFailure("\(output) is what is read. Write to another file.")
      }
    }
  }

  /// Writes a whole file, which appears when it is complete.
  static func write(_ text: String, to path: String) throws {
    let file = try FileReplacement(path: path)
    try file.write(text.utf8Span.span)
    try file.commit()
  }

  /// An environment variable; one that is empty is none.
  static func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    let text = unsafe String(cString: value)
    return text.isEmpty ? nil : text
  }

  /// Folder of fetched models.
  static var cacheFolder: String {
    if let folder = environment("GODWIT_CACHE") { return folder }
    if let folder = environment("XDG_CACHE_HOME") { return folder + "/godwit" }
    return (environment("HOME") ?? ".") + "/.cache/godwit"
  }

  /// Where kernels' machine code is kept.
  static var moduleFolder: String { cacheFolder + "/cuda" }

  /// Where tuned plans are kept.
  static var planFolder: String { cacheFolder + "/plans" }

  /// Most memory this process has held, in bytes.
  static var peakMemory: Int {
    var usage = rusage()
    unsafe getrusage(RUSAGE_SELF.rawValue, &usage)
    return Int(usage.ru_maxrss) * 1024
  }
}
