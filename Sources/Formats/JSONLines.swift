/// Texts of which each line is a JSON document of its own.
public enum JSONLines {
  /// Calls `body` with each line's document, in order; lines of nothing but blanks are passed over.
  ///
  /// - Parameter file: what error messages call the text; they name the line too.
  /// - Throws: ``FormatError``, what `body` throws.
  /// - Complexity: O(bytes) in time; one line's document at a time in memory.
  public static func forEach(
    in bytes: Span<UInt8>, file: String, _ body: (JSONNode) throws -> Void
  ) throws {
    var (start, number) = (0, 0)
    while start < bytes.count {
      var end = start
      while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
      number += 1
      let line = bytes.extracting(start..<end)
      if line.indices.contains(where: { line[$0] > 32 }) {
        let place = "\(file), line \(number)"
        try body(JSONNode(JSON.parse(line, file: place), file: place))
      }
      start = end + 1
    }
  }
}
