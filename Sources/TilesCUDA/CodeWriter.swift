/// Lines of C with their indentation.
struct CodeWriter {
  private(set) var lines: [String] = []
  private var depth: Int

  init(depth: Int = 0) { self.depth = depth }

  var text: String { lines.joined(separator: "\n") }

  mutating func line(_ text: String) {
    for part in text.split(separator: "\n", omittingEmptySubsequences: false) {
      lines.append(part.isEmpty ? "" : String(repeating: "  ", count: depth) + part)
    }
  }

  /// `head {`; what follows stands inside until ``close()``.
  mutating func open(_ head: String) {
    line(head.isEmpty ? "{" : "\(head) {")
    depth += 1
  }

  mutating func close() {
    depth -= 1
    line("}")
  }

  /// Lines that carry their indentation already.
  mutating func append(_ other: CodeWriter) { lines += other.lines }

  /// `head {`, the lines of `body`, `}`.
  mutating func block(_ head: String, _ body: (inout CodeWriter) -> Void) {
    open(head)
    body(&self)
    close()
  }
}
