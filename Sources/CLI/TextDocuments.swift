internal import Formats

/// The documents of text files.
enum TextDocuments {
  /// Calls `body` with each document of a file, by what its name ends in.
  ///
  /// - Throws: what is wrong with the file, naming the line.
  static func forEach(in file: String, _ body: (String) throws -> Void) throws {
    let text = try Files.text(file)
    let kind = file.split(separator: ".").last.map { $0.lowercased() }
    switch kind {
    case "jsonl", "ndjson":
      try JSONLines.forEach(in: text.utf8Span.span, file: file) { try body($0.required("text").string()) }
    case "fa", "fna", "fasta": try records(text, file, body)
    default: try body(text)
    }
  }

  private static func records(_ text: String, _ file: String, _ body: (String) throws -> Void) throws {
    var sequence: [UInt8] = []
    var isInside = false
    for (number, line) in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
      .enumerated()
    {
      if line.first == UInt8(ascii: ">") {
        if !sequence.isEmpty { try body(String(decoding: sequence, as: UTF8.self)) }
        (sequence, isInside) = ([], true)
        continue
      }
      for byte in line where byte > 32 {
        let upper = byte & 0xDF
        let isLetter = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(upper)
        guard isInside, isLetter || byte == UInt8(ascii: "*") || byte == UInt8(ascii: "-") else {
          throw CommandFailure(
            "\(file), line \(number + 1): \(isInside ? "byte \(byte) is no letter of a sequence" : "a sequence before the first line with >")."
          )
        }
        sequence.append(isLetter ? upper : byte)
      }
    }
    if !sequence.isEmpty { try body(String(decoding: sequence, as: UTF8.self)) }
  }
}
