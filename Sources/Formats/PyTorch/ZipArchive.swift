package import Memory

/// The entries of a ZIP archive, found by name; zip64 too. Nothing is unpacked: see ``compressed``.
///
/// The archive's directory is the authority, and each entry's own header must agree with it: readers that trust one or
/// the other then see the same files. Checksums are not looked at: that would read all of a large file, and PyTorch can
/// be told to write none.
package struct ZipArchive: Sendable {
  /// Most entries of an archive.
  package static let maximumEntries = 1 << 20
  /// Longest name of an entry, in bytes.
  package static let maximumNameBytes = 4096

  /// Bytes of each entry's data, by name.
  package let entries: [String: Range<Int>]
  /// The first entry whose data do not lie there as they are, and the number of its method.
  package let compressed: (name: String, method: UInt16)?

  /// Reads the directory of an archive that fills `storage`.
  ///
  /// - Throws: ``FormatError``, also for entries that are encrypted.
  package init(_ storage: TensorStorage, file: String) throws(FormatError) {
    let bytes = storage.bytes
    let directory = try ZipDirectory(bytes, file: file)
    var reader = ByteReader(bytes, file: file, position: directory.range.lowerBound)
    var headers: [ZipHeader] = []
    for number in 0..<directory.count {
      headers.append(try ZipHeader(&reader, end: directory.range.upperBound, number: number, file: file))
    }
    guard reader.position == directory.range.upperBound else {
      throw .malformed(
        file: file, item: "the archive's directory",
        reason: "\(directory.range.upperBound - reader.position) bytes follow its \(directory.count) entries")
    }
    headers.sort { $0.offset < $1.offset }
    var entries: [String: Range<Int>] = [:]
    var free = 0
    for header in headers {
      guard header.offset >= UInt64(free) else {
        throw .malformed(
          file: file, item: header.item, reason: "it starts at byte \(header.offset), inside another entry")
      }
      let range = try header.data(in: bytes, before: directory.range.lowerBound, file: file)
      guard entries.updateValue(range, forKey: header.name) == nil else {
        throw .duplicate(file: file, item: "entry", name: header.name)
      }
      free = range.upperBound
    }
    self.entries = entries
    compressed = headers.first { $0.isCompressed }.map { ($0.name, $0.method) }
  }
}

/// Where the directory of an archive lies, from the records at the file's end.
private struct ZipDirectory {
  /// Bytes of its entries.
  var range: Range<Int>
  /// Entries.
  var count: Int

  private static let recordBytes = 22
  private static let locatorBytes = 20
  /// The smallest entry: a header without a name.
  private static let entryBytes = 46

  init(_ bytes: Span<UInt8>, file: String) throws(FormatError) {
    guard let end = Self.endRecord(bytes) else {
      throw .malformed(
        file: file, item: "the archive",
        reason: "it has no directory at its end; the file is cut short or damaged: copy it again")
    }
    var reader = ByteReader(bytes, file: file, position: end + 4)
    let item = "the directory's end record"
    let disks = (try reader.number(UInt16.self, item), try reader.number(UInt16.self, item))
    var here = UInt64(try reader.number(UInt16.self, item))
    var entries = UInt64(try reader.number(UInt16.self, item))
    var size = UInt64(try reader.number(UInt32.self, item))
    var start = UInt64(try reader.number(UInt32.self, item))
    var limit = end
    if let wide = try Self.wideRecord(bytes, before: end, file: file) {
      // A narrow field says the same as the wide one, or that it is too narrow.
      for (narrow, number, full) in [
        (here, wide.here, UInt64(UInt16.max)), (entries, wide.entries, UInt64(UInt16.max)),
        (size, wide.size, UInt64(UInt32.max)), (start, wide.start, UInt64(UInt32.max)),
      ] where narrow != number && narrow != full {
        throw .malformed(
          file: file, item: item, reason: "it says \(narrow) where the zip64 record says \(number)")
      }
      (here, entries, size, start, limit) = (wide.here, wide.entries, wide.size, wide.start, wide.place)
    } else if disks != (0, 0) {
      throw .malformed(file: file, item: item, reason: "the archive is split over several files")
    }
    guard here == entries else {
      throw .malformed(
        file: file, item: item, reason: "of \(entries) entries only \(here) are in this file")
    }
    guard entries <= UInt64(ZipArchive.maximumEntries) else {
      throw .tooLarge(
        file: file, item: "the number of entries", limit: ZipArchive.maximumEntries, found: entries)
    }
    guard size <= UInt64(limit), start <= UInt64(limit) - size else {
      throw .truncated(
        file: file, item: "the archive's directory at byte \(start)", needed: size, available: limit)
    }
    guard entries * UInt64(Self.entryBytes) <= size else {
      throw .malformed(
        file: file, item: "the archive's directory",
        reason: "\(size) bytes cannot hold \(entries) entries")
    }
    range = Int(start)..<Int(start + size)
    count = Int(entries)
  }

  /// The end record is the last thing but for a comment of known length.
  private static func endRecord(_ bytes: Span<UInt8>) -> Int? {
    var place = bytes.count - recordBytes
    let first = max(0, place - Int(UInt16.max))
    while place >= first {
      if bytes[place] == 0x50, bytes[place + 1] == 0x4B, bytes[place + 2] == 5, bytes[place + 3] == 6 {
        let comment = Int(bytes[place + 20]) | Int(bytes[place + 21]) << 8
        if place + recordBytes + comment == bytes.count { return place }
      }
      place -= 1
    }
    return nil
  }

  /// The record of zip64, found by a locator before the end record; `nil` where there is none.
  private static func wideRecord(
    _ bytes: Span<UInt8>, before end: Int, file: String
  ) throws(FormatError) -> (place: Int, here: UInt64, entries: UInt64, size: UInt64, start: UInt64)? {
    guard end >= locatorBytes else { return nil }
    let item = "the zip64 record"
    var locator = ByteReader(bytes, file: file, position: end - locatorBytes)
    guard try locator.number(UInt32.self, item) == 0x0706_4B50 else { return nil }
    _ = try locator.take(4, item)
    let place = try locator.number(UInt64.self, item)
    guard place <= UInt64(end - locatorBytes) else {
      throw .truncated(file: file, item: "\(item) at byte \(place)", needed: 56, available: end)
    }
    var reader = ByteReader(bytes, file: file, position: Int(place))
    guard try reader.number(UInt32.self, item) == 0x0606_4B50 else {
      throw .malformed(file: file, item: item, reason: "byte \(place) does not begin one")
    }
    // Its size, the versions of writer and reader, and the numbers of two files.
    _ = try reader.take(20, item)
    let here = try reader.number(UInt64.self, item)
    let entries = try reader.number(UInt64.self, item)
    let size = try reader.number(UInt64.self, item)
    return (Int(place), here, entries, size, try reader.number(UInt64.self, item))
  }
}

/// What the directory says of one entry.
private struct ZipHeader {
  var name: String
  var offset: UInt64
  /// In the archive.
  var byteCount: UInt64
  var method: UInt16
  var isCompressed: Bool

  /// What messages call the entry.
  var item: String { "entry \"\(name)\"" }

  init(_ reader: inout ByteReader, end: Int, number: Int, file: String) throws(FormatError) {
    let item = "entry \(number) of the archive's directory"
    guard try reader.number(UInt32.self, item) == 0x0201_4B50 else {
      throw .malformed(file: file, item: item, reason: "it does not begin as one")
    }
    _ = try reader.take(4, item)
    let flags = try reader.number(UInt16.self, item)
    method = try reader.number(UInt16.self, item)
    _ = try reader.take(8, item)
    var stored = UInt64(try reader.number(UInt32.self, item))
    var size = UInt64(try reader.number(UInt32.self, item))
    let nameBytes = try reader.number(UInt16.self, item)
    let extraBytes = try reader.number(UInt16.self, item)
    let commentBytes = try reader.number(UInt16.self, item)
    _ = try reader.take(8, item)
    var offset = UInt64(try reader.number(UInt32.self, item))
    guard nameBytes <= ZipArchive.maximumNameBytes else {
      throw .tooLarge(
        file: file, item: "the name of \(item)", limit: ZipArchive.maximumNameBytes, found: UInt64(nameBytes))
    }
    name = try reader.text(UInt64(nameBytes), "the name of \(item)")
    let extra = try reader.take(UInt64(extraBytes), item)
    _ = try reader.take(UInt64(commentBytes), item)
    guard reader.position <= end else {
      throw .malformed(file: file, item: item, reason: "it leaves the directory")
    }
    if size == UInt32.max || stored == UInt32.max || offset == UInt32.max {
      var wide = reader.rewound(to: extra.lowerBound)
      try Self.widen(&wide, end: extra.upperBound, &size, &stored, &offset, item)
    }
    self.offset = offset
    byteCount = stored
    isCompressed = method != 0 || stored != size
    guard flags & 0x2041 == 0 else {
      throw .malformed(file: file, item: self.item, reason: "it is encrypted. Write the file without")
    }
  }

  /// Replaces full 32-bit fields by those of the extra field for zip64, which holds only them, in this order.
  private static func widen(
    _ reader: inout ByteReader, end: Int, _ size: inout UInt64, _ stored: inout UInt64,
    _ offset: inout UInt64,
    _ item: String
  ) throws(FormatError) {
    while reader.position + 4 <= end {
      let kind = try reader.number(UInt16.self, item)
      let length = try reader.number(UInt16.self, item)
      guard kind == 1 else {
        _ = try reader.take(UInt64(length), item)
        continue
      }
      if size == UInt32.max { size = try reader.number(UInt64.self, item) }
      if stored == UInt32.max { stored = try reader.number(UInt64.self, item) }
      if offset == UInt32.max { offset = try reader.number(UInt64.self, item) }
      return
    }
  }

  /// Where the entry's data lie, by its own header.
  func data(in bytes: Span<UInt8>, before end: Int, file: String) throws(FormatError) -> Range<Int> {
    guard offset <= UInt64(end) else {
      throw .truncated(file: file, item: "\(item) at byte \(offset)", needed: 30, available: end)
    }
    var reader = ByteReader(bytes, file: file, position: Int(offset))
    guard try reader.number(UInt32.self, item) == 0x0403_4B50 else {
      throw .malformed(file: file, item: item, reason: "byte \(offset) does not begin an entry")
    }
    _ = try reader.take(4, item)
    let method = try reader.number(UInt16.self, item)
    _ = try reader.take(16, item)
    let nameBytes = try reader.number(UInt16.self, item)
    let extraBytes = try reader.number(UInt16.self, item)
    let own = try reader.text(UInt64(nameBytes), "the name of \(item)")
    guard method == self.method, sameBytes(own, name) else {
      throw .malformed(
        file: file, item: item, reason: "its own header says method \(method) and name \"\(own)\"")
    }
    _ = try reader.take(UInt64(extraBytes), item)
    let range = try reader.take(byteCount, item)
    guard range.upperBound <= end else {
      throw .malformed(file: file, item: item, reason: "its data reach into the directory")
    }
    return range
  }
}
