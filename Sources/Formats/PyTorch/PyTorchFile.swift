public import Memory

/// Tensors by name in a file that `torch.save` wrote, read without running anything.
///
/// Such a file is a ZIP archive of a pickle, which is a program, and of runs of numbers. Here the program is followed by
/// a reader that knows some forty instructions, which make values, and five names beside those of types of numbers, which
/// make tensors and dictionaries; whatever else a file asks for, it is refused with its name. See ``ForeignObjects`` for
/// files whose settings are objects of other libraries.
///
/// Dictionaries within dictionaries are one list of names joined by dots, such as
/// `state_dict.model.backbone.ln_f.weight`; the elements of lists count from 0. Dense tensors stay in the file, and several
/// may lie in the same bytes; others are copied when asked for. Attributes of dictionaries and gradients' hooks are left
/// out.
public struct PyTorchFile: Sendable {
  /// Most axes of a tensor, as PyTorch has it.
  public static let maximumAxes = 64
  /// Largest copy of a view that repeats numbers, in bytes, where the file is smaller.
  public static let maximumRepetition = 1 << 20

  /// What to do with objects that are neither tensors nor plain values.
  public enum ForeignObjects: Sendable {
    /// The file is refused.
    case refused
    /// They are left out, with all that they hold, and listed in ``PyTorchFile/foreign``. Checkpoints of training
    /// frameworks hold some beside the weights.
    case skipped
  }

  /// What error messages call the model.
  public let file: String
  /// All tensors, in the pickle's order.
  public let tensors: [PyTorchTensorInfo]
  /// What else the file holds, nested as it is there: numbers, texts, lists, dictionaries. An empty object where there is
  /// nothing.
  public let settings: JSON
  /// Python's names of what was left out.
  public let foreign: [String]

  private let storage: TensorStorage
  private let positions: [String: Int]

  /// Maps and checks a file.
  public init(path: String, foreign: ForeignObjects = .refused) throws(FormatError) {
    try self.init(try mapped(path), name: path, foreign: foreign)
  }

  /// Checks a file that already lies in memory; `name` is what error messages call it.
  public init(
    _ storage: TensorStorage, name: String, foreign: ForeignObjects = .refused
  ) throws(FormatError) {
    try Self.requireArchive(storage.bytes, file: name)
    let archive = try PyTorchArchive(ZipArchive(storage, file: name), storage, file: name)
    let (root, heap) = try PickleMachine.run(
      storage.bytes.extracting(archive.pickle), file: name, skipsForeign: foreign == .skipped)
    let tree = try PyTorchTree(root, heap, pickleBytes: archive.pickle.count, file: name)
    let storages = try archive.places(of: heap.storages)
    var tensors: [PyTorchTensorInfo] = []
    var positions: [String: Int] = [:]
    for (tensor, place) in tree.tensors {
      let view = heap.tensors[place]
      guard positions.updateValue(tensors.count, forKey: tensor) == nil else {
        throw .duplicate(file: name, item: "tensor", name: tensor)
      }
      tensors.append(
        try PyTorchTensorInfo(view, name: tensor, data: storages[view.storage], file: name))
    }
    file = name
    self.storage = storage
    self.tensors = tensors
    self.positions = positions
    self.foreign = heap.foreign
    settings = tree.settings ?? [:]
  }

  /// Whether a file begins with the mark of an archive or a pickle and not as safetensors do.
  ///
  /// - Throws: ``FormatError/unreadable(file:reason:)``.
  public static func isLikely(path: String) throws(FormatError) -> Bool {
    let file = try mapped(path)
    let isSafetensors = file.byteCount > 8 && file.bytes[8] == UInt8(ascii: "{")
    return !isSafetensors && (isArchive(file.bytes) || file.bytes[0] == 0x80)
  }

  /// Whether a file begins as those of `torch.save` do: with an archive.
  static func isArchive(_ bytes: Span<UInt8>) -> Bool {
    bytes.count >= 4 && bytes[0] == 0x50 && bytes[1] == 0x4B && bytes[2] == 3 && bytes[3] == 4
  }

  private static func requireArchive(_ bytes: Span<UInt8>, file: String) throws(FormatError) {
    guard !isArchive(bytes) else { return }
    let head = (0..<min(bytes.count, 4)).map { bytes[$0] }
    if head.first == 0x80 {
      throw .malformed(
        file: file, item: "the file",
        reason:
          "it is a bare pickle, as PyTorch wrote before version 1.6. If you trust it, load it with PyTorch and save "
          + "its state dict with torch.save or as safetensors")
    }
    let hexadecimal = head.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
    throw .wrongFormat(file: file, expected: "PyTorch", found: "bytes \(hexadecimal.joined(separator: " "))")
  }

  /// What the file says of a tensor; `nil` when there is none of this name.
  public func info(_ name: String) -> PyTorchTensorInfo? { positions[name].map { tensors[$0] } }

  /// Whether there is a tensor of this name.
  public func contains(_ name: String) -> Bool { positions[name] != nil }

  /// The tensor: its numbers still in the file where they lie there in order, else a copy.
  ///
  /// - Throws: ``FormatError/missingTensor(file:name:)``, ``FormatError/unsupportedType(file:tensor:type:)``,
  ///   ``FormatError/tooLarge(file:item:limit:found:)`` for a view that repeats numbers beyond all measure.
  public func tensor(_ name: String) throws(FormatError) -> Tensor {
    guard let info = info(name) else { throw .missingTensor(file: file, name: name) }
    guard let type = info.type.elementType else {
      throw .unsupportedType(file: file, tensor: name, type: info.type.name)
    }
    // Archives that other tools packed need not be aligned.
    if info.isDense, info.byteOffset % info.type.byteCount == 0 {
      return try view(
        storage, file: file, name: name, byteOffset: info.byteOffset, type: type, shape: info.shape)
    }
    let limit = max(storage.byteCount, Self.maximumRepetition)
    guard info.byteCount <= limit else {
      throw .tooLarge(
        file: file, item: "the size of tensor \"\(name)\", which repeats its numbers", limit: limit,
        found: UInt64(info.byteCount))
    }
    do throws(MemoryError) {
      return try info.copied(from: storage.bytes, as: type)
    } catch {
      throw FormatError(error, file: file)
    }
  }
}

extension PyTorchFile: NamedTensors {
  /// Names of all tensors, in the pickle's order.
  public var names: [String] { tensors.map(\.name) }

  /// Row-major extents of a tensor; `nil` when there is none of this name.
  public func shape(_ name: String) -> [Int]? { info(name)?.shape }
}
