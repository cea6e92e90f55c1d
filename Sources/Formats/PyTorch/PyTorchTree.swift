/// What a pickle holds as loaders want it: tensors by joined names, and everything else as JSON.
struct PyTorchTree {
  /// Deepest nesting of lists and dictionaries.
  static let maximumDepth = JSON.maximumDepth - 1
  /// Longest joined name, in bytes.
  static let maximumNameBytes = 1024

  /// Places in the heap, by name.
  private(set) var tensors: [(name: String, place: Int)] = []
  /// Values that are no tensors, nested as in the file; `nil` where there are none.
  private(set) var settings: JSON?

  private let heap: PickleHeap
  private let file: String
  /// Values and bytes of names that may still be listed. Containers that others share are listed again and again: without
  /// a bound a small file could fill any memory.
  private var values: Int
  private var nameBytes: Int

  /// - Parameter pickleBytes: size of the pickle, to which the result stays in proportion: values to its instructions
  ///   alone, so that long texts do not allow for more of them.
  init(_ root: PickleValue, _ heap: PickleHeap, pickleBytes: Int, file: String) throws(FormatError) {
    self.heap = heap
    self.file = file
    let instructionBytes = pickleBytes - heap.textBytes
    values = 64 + 4 * instructionBytes
    nameBytes = 4096 + 16 * instructionBytes + heap.textBytes
    settings = try list(root, name: "", depth: 0)
  }

  /// Lists the tensors of a value; the rest of it as JSON, `nil` where there is none.
  private mutating func list(
    _ value: PickleValue, name: String, depth: Int
  ) throws(FormatError) -> JSON? {
    values -= 1
    guard values > 0 else {
      throw .malformed(
        file: file, item: "the pickle",
        reason: "its containers are shared so often that it holds no end of values")
    }
    switch value {
    case .tensor(let place):
      tensors.append((name.isEmpty ? "tensor" : name, place))
      return nil
    case .container(let place):
      guard depth < Self.maximumDepth else {
        throw .tooLarge(
          file: file, item: "the nesting of \"\(name.prefix(60))…\"", limit: Self.maximumDepth,
          found: UInt64(depth + 1))
      }
      let container = heap.containers[place]
      return container.kind == .dictionary
        ? try members(container.items, name: name, depth: depth)
        : try elements(container.items, name: name, depth: depth)
    case .none: return .null
    case .bool(let value): return .bool(value)
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .string(let value): return .string(value)
    case .global(.type(let type)): return .string("torch.\(type.name)")
    case .global, .storage, .foreign: return nil
    }
  }

  /// `nil` for a dictionary that holds nothing but tensors.
  private mutating func members(
    _ items: [PickleValue], name: String, depth: Int
  ) throws(FormatError) -> JSON? {
    var result: [JSONObject.Member] = []
    for place in stride(from: 0, to: items.count, by: 2) {
      guard let key = try key(items[place], of: name) else { continue }
      let joined = try join(name, key)
      if let value = try list(items[place + 1], name: joined, depth: depth + 1) {
        result.append(JSONObject.Member(key: key, value: value))
      }
    }
    if result.isEmpty, !items.isEmpty { return nil }
    switch JSONObject.indexed(result) {
    case .success(let object): return .object(object)
    case .duplicate(let place):
      throw .duplicate(
        file: file, item: "key of \(name.isEmpty ? "the top level" : name)", name: result[place].key)
    }
  }

  /// `nil` for a list that holds nothing but tensors; tensors among other values stand as null.
  private mutating func elements(
    _ items: [PickleValue], name: String, depth: Int
  ) throws(FormatError) -> JSON? {
    var result: [JSON] = []
    var hasValues = items.isEmpty
    for (place, item) in items.enumerated() {
      let value = try list(item, name: join(name, "\(place)"), depth: depth + 1)
      hasValues = hasValues || value != nil
      result.append(value ?? .null)
    }
    return hasValues ? .array(result) : nil
  }

  /// Texts and whole numbers; `nil` for what was left out.
  private func key(_ value: PickleValue, of name: String) throws(FormatError) -> String? {
    switch value {
    case .string(let key): return key
    case .integer(let key): return "\(key)"
    case .foreign: return nil
    default:
      throw .malformed(
        file: file, item: name.isEmpty ? "the top level" : name,
        reason: "a key of it is neither a text nor a whole number")
    }
  }

  /// The name of a member of `name`.
  private mutating func join(_ name: String, _ key: String) throws(FormatError) -> String {
    let joined = name.isEmpty ? key : "\(name).\(key)"
    guard joined.utf8.count <= Self.maximumNameBytes else {
      throw .tooLarge(
        file: file, item: "the length of a name", limit: Self.maximumNameBytes,
        found: UInt64(joined.utf8.count))
    }
    nameBytes -= joined.utf8.count
    guard nameBytes > 0 else {
      throw .malformed(
        file: file, item: "the pickle", reason: "its containers are shared so often that names have no end")
    }
    return joined
  }
}
