internal import Memory

/// The entries of a PyTorch archive that are read: one pickle, and a run of numbers for each storage.
struct PyTorchArchive {
  /// Bytes of the pickle.
  let pickle: Range<Int>
  private let archive: ZipArchive
  private let file: String
  /// All entries lie in one folder, named as the file was first.
  private let folder: String

  /// Finds the pickle and checks version and byte order.
  init(_ archive: ZipArchive, _ storage: TensorStorage, file: String) throws(FormatError) {
    self.archive = archive
    self.file = file
    let ending = "/data.pkl"
    // Folders within it would be somebody else's pickles.
    let pickles = archive.entries.filter { entry in
      entry.key.hasSuffix(ending) && entry.key.utf8.count { $0 == UInt8(ascii: "/") } == 1
    }
    guard let entry = pickles.first, pickles.count == 1 else {
      throw .malformed(
        file: file, item: "the archive",
        reason: "it has \(pickles.count) entries …\(ending), not one: it is no file of torch.save")
    }
    folder = String(entry.key.dropLast(ending.count))
    pickle = entry.value
    if archive.entries["\(folder)/constants.pkl"] != nil {
      throw .malformed(
        file: file, item: "the archive",
        reason: "it is the code of a TorchScript model. Save the model's state dict")
    }
    if let entry = archive.compressed {
      throw .malformed(
        file: file, item: "entry \"\(entry.name)\"",
        reason: "it is compressed (method \(entry.method)), which torch.save never does. "
          + "Unpack the archive and pack it again without compression (zip -0)")
    }
    let bytes = storage.bytes
    func word(_ name: String) throws(FormatError) -> String? {
      guard let range = archive.entries["\(folder)/\(name)"] else { return nil }
      guard range.count <= 16 else {
        throw .tooLarge(file: file, item: "entry \(name)", limit: 16, found: UInt64(range.count))
      }
      let text = try utf8Text(bytes.extracting(range), file: file, item: "entry \(name)")
      return String(text.prefix { $0 != "\n" })
    }
    guard let version = try word("version") else {
      throw .malformed(file: file, item: "the archive", reason: "it has no entry \(folder)/version")
    }
    guard ["2", "3"].contains(version) else {
      throw .unsupportedVersion(file: file, version: UInt32(version) ?? 0, supported: "2 and 3")
    }
    if let order = try word("byteorder"), order != "little" {
      throw .malformed(
        file: file, item: "byteorder",
        reason: "it is \"\(order)\"; only \"little\" is read. Save it again on another machine")
    }
  }

  /// Where the numbers of each storage lie, all of which the file must have.
  func places(of storages: [PickleHeap.Storage]) throws(FormatError) -> [Range<Int>] {
    var result: [Range<Int>] = []
    for storage in storages {
      let name = "\(folder)/data/\(storage.key)"
      guard let range = archive.entries[name] else {
        throw .malformed(
          file: file, item: "storage \(JSON.string(storage.key).summary)",
          reason: "the archive has no such entry below \(folder)/data")
      }
      let (byteCount, overflow) = storage.count.multipliedReportingOverflow(by: storage.type?.byteCount ?? 1)
      guard !overflow, byteCount <= range.count else {
        throw .truncated(
          file: file, item: "storage \"\(storage.key)\" of \(storage.count) numbers",
          needed: overflow ? UInt64.max : UInt64(byteCount), available: range.count)
      }
      result.append(range.lowerBound..<range.lowerBound + byteCount)
    }
    return result
  }
}
