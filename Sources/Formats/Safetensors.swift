public import Memory

/// Tensors by name in one or more safetensors files, without copying any.
///
/// As strict as the format's own reader, and stricter on repeated keys: every header number is checked against the
/// files' real size when they are opened.
public struct Safetensors: Sendable {
  /// Longest header, in bytes, as the format has it.
  public static let maximumHeaderBytes = 100_000_000
  /// Most tensors in one file.
  public static let maximumTensors = 1 << 20
  /// Most files of a sharded model.
  public static let maximumShards = 4096

  /// The `__metadata__` of the first file.
  public let metadata: [String: String]
  /// All tensors, file by file in the order of their bytes.
  public let tensors: [SafetensorsInfo]
  /// What error messages call the model.
  public let file: String

  private let storages: [TensorStorage]
  private let files: [String]
  private let positions: [String: Int]

  /// Maps and checks one file.
  public init(path: String) throws(FormatError) {
    let shard = try SafetensorsShard(try mapped(path), file: path, shard: 0)
    try self.init([shard], file: path, tensors: shard.tensors)
  }

  /// Checks a file that already lies in memory; `name` is what error messages call it.
  public init(_ storage: TensorStorage, name: String) throws(FormatError) {
    let shard = try SafetensorsShard(storage, file: name, shard: 0)
    try self.init([shard], file: name, tensors: shard.tensors)
  }

  /// Maps and checks all files that an index, such as `model.safetensors.index.json`, names.
  ///
  /// The index is the authority: a tensor that it does not name is not part of the model. A file's name must be a
  /// plain name beside the index, and may be a link only within the model's own folder or, in a hub cache, into the
  /// `blobs` beside its `snapshots`.
  public init(index path: String) throws(FormatError) {
    let index = JSONNode(try JSON.read(path), file: path)
    let weightMap = try index.required("weight_map")
    var shards: [SafetensorsShard] = []
    var places: [String: Int] = [:]
    var tensors: [SafetensorsInfo] = []
    var tensorsByName: [[String: SafetensorsInfo]] = []
    for member in try weightMap.object().members {
      guard case .string(let name) = member.value else {
        throw .wrongValue(
          file: path, key: "weight_map.\(member.key)", expected: "a file's name", found: member.value.summary)
      }
      if places[name] == nil {
        guard shards.count < Self.maximumShards else {
          throw .tooLarge(
            file: path, item: "the number of files", limit: Self.maximumShards,
            found: UInt64(shards.count + 1))
        }
        let shardPath = try safeSibling(name, of: path)
        let shard = try SafetensorsShard(try mapped(shardPath), file: shardPath, shard: shards.count)
        places[name] = shards.count
        shards.append(shard)
        tensorsByName.append(Dictionary(shard.tensors.map { ($0.name, $0) }) { first, _ in first })
      }
      guard let place = places[name], let tensor = tensorsByName[place][member.key] else {
        throw .missingTensor(file: "\(path): \(name)", name: member.key)
      }
      tensors.append(tensor)
    }
    guard !shards.isEmpty else { throw weightMap.wrong("at least one tensor") }
    try self.init(shards, file: path, tensors: tensors)
  }

  private init(
    _ shards: [SafetensorsShard], file: String, tensors: [SafetensorsInfo]
  ) throws(FormatError) {
    var positions: [String: Int] = [:]
    for (position, tensor) in tensors.enumerated() {
      guard positions.updateValue(position, forKey: tensor.name) == nil else {
        throw .duplicate(file: file, item: "tensor", name: tensor.name)
      }
    }
    self.file = file
    self.tensors = tensors
    self.positions = positions
    metadata = shards[0].metadata
    storages = shards.map(\.storage)
    files = shards.map(\.file)
  }

  /// What the file says of a tensor; `nil` when there is none of this name.
  public func info(_ name: String) -> SafetensorsInfo? { positions[name].map { tensors[$0] } }

  /// Whether there is a tensor of this name.
  public func contains(_ name: String) -> Bool { positions[name] != nil }

  /// The tensor, its numbers still in the file.
  ///
  /// - Throws: ``FormatError/missingTensor(file:name:)``, ``FormatError/unsupportedType(file:tensor:type:)``, and
  ///   ``FormatError/misaligned(file:tensor:offset:alignment:)`` for the files of early writers, which did not pad
  ///   the header: numbers that do not start on a multiple of their size cannot be used in place.
  public func tensor(_ name: String) throws(FormatError) -> Tensor {
    guard let info = info(name) else { throw .missingTensor(file: file, name: name) }
    guard let type = info.type.elementType else {
      throw .unsupportedType(file: files[info.shard], tensor: name, type: info.type.name)
    }
    return try view(
      storages[info.shard], file: files[info.shard], name: name, byteOffset: info.byteOffset, type: type,
      shape: info.shape)
  }
}

/// The real path of the file `name` beside `path`, if it may be opened: see ``Safetensors/init(index:)``.
private func safeSibling(_ name: String, of path: String) throws(FormatError) -> String {
  guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(UInt8(ascii: "/")),
    !name.utf8.contains(0)
  else {
    throw .malformed(
      file: path, item: "weight_map",
      reason: "\(JSON.string(name).summary) is no plain name of a file beside it")
  }
  let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
  let folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  let real: String
  let home: String
  do throws(MemoryError) {
    home = try resolvedPath(folder)
    real = try resolvedPath("\(folder)/\(name)")
  } catch {
    throw .missingFile(
      directory: folder, name: name, remedy: "The index names it: copy all files of the model.")
  }
  var allowed = [home]
  // A hub cache keeps snapshots/<revision>/file as links into blobs/.
  let parts = home.split(separator: "/")
  if parts.count >= 3, parts[parts.count - 2] == "snapshots" {
    allowed.append("/" + parts.dropLast(2).joined(separator: "/") + "/blobs")
  }
  guard allowed.contains(where: { real.hasPrefix($0 == "/" ? "/" : $0 + "/") }) else {
    throw .malformed(
      file: path, item: "weight_map", reason: "\(name) is a link out of the model's folder, to \(real)")
  }
  return real
}
