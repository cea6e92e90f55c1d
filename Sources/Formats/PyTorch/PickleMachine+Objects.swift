/// The few objects that tensors are made of.
extension PickleMachine {
  /// What stands for a name of Python: one of ``PickleGlobal``, or nothing where unknown objects are left out.
  mutating func global(module: String, name: String) throws(FormatError) -> PickleValue {
    guard module.utf8.count <= Self.maximumNameBytes, name.utf8.count <= Self.maximumNameBytes else {
      throw malformed("a name of Python is longer than \(Self.maximumNameBytes) bytes")
    }
    if let known = PickleGlobal(module: module, name: name) { return .global(known) }
    guard skipsForeign else { throw .refusedGlobal(file: file, name: "\(module).\(name)") }
    let full = "\(module).\(name)"
    if !heap.foreign.contains(full) {
      guard heap.foreign.count < 256 else {
        throw .tooLarge(file: file, item: "the number of unknown names", limit: 256, found: 257)
      }
      heap.foreign.append(full)
    }
    return .foreign
  }

  /// What a name of Python makes of its arguments, by a rule of ours.
  mutating func made(
    by callee: PickleValue, from arguments: PickleValue, _ opcode: PickleOpcode
  ) throws(FormatError) -> PickleValue {
    if case .foreign = callee { return .foreign }
    guard opcode == .reduce, case .global(let global) = callee, let items = elements(arguments, .tuple) else {
      throw malformed("what is called is no function, or its arguments are no tuple")
    }
    switch global {
    case .orderedDictionary:
      guard items.isEmpty else { throw malformed("OrderedDict has arguments") }
      try require(heap.containers.count, "lists, tuples and dictionaries")
      heap.containers.append(PickleHeap.Container(kind: .dictionary))
      return .container(heap.containers.count - 1)
    case .size:
      guard items.count == 1, elements(items[0], .tuple) != nil else {
        throw malformed("torch.Size has no tuple")
      }
      return items[0]
    case .rebuildParameter:
      // Whether it is trained, and hooks, which are code and left out.
      guard items.count == 3, case .tensor = items[0] else { throw malformed("a parameter has no tensor") }
      return items[0]
    case .rebuildTensor:
      guard items.count == 6 || items.count == 7 else {
        throw malformed("_rebuild_tensor_v2 has \(items.count) arguments, not 6 or 7")
      }
      return try tensor(items, type: nil, metadata: items.count == 7 ? items[6] : .none)
    case .rebuildTypedTensor:
      guard items.count == 7 || items.count == 8, case .global(.type(let type)) = items[6] else {
        throw malformed("_rebuild_tensor_v3 has \(items.count) arguments, not 7 or 8, or no type")
      }
      return try tensor(items, type: type, metadata: items.count == 8 ? items[7] : .none)
    case .storage, .type: throw malformed("a type is called")
    }
  }

  /// State of an object: of dictionaries, attributes that hold no tensors of the model, such as a version.
  mutating func build() throws(FormatError) {
    _ = try pop(1)
    switch try top() {
    case .container(let place) where heap.containers[place].kind == .dictionary: break
    case .foreign: break
    default: throw malformed("what is given attributes is no dictionary")
    }
  }

  /// The elements of a container of that kind.
  private func elements(_ value: PickleValue, _ kind: PickleHeap.Container.Kind) -> [PickleValue]? {
    guard case .container(let place) = value, heap.containers[place].kind == kind else { return nil }
    return heap.containers[place].items
  }

  /// Whole numbers of at least 0; fewer than 65 of them.
  private func extents(_ value: PickleValue, _ what: String) throws(FormatError) -> [Int] {
    guard let items = elements(value, .tuple), items.count <= PyTorchFile.maximumAxes else {
      throw malformed("a tensor's \(what) must be a tuple of at most \(PyTorchFile.maximumAxes)")
    }
    var result: [Int] = []
    for item in items {
      guard case .integer(let number) = item, number >= 0 else {
        throw malformed("a tensor's \(what) must be whole numbers from 0 up")
      }
      result.append(number)
    }
    return result
  }

  /// A view of a storage: (storage, offset, shape, strides, …).
  private mutating func tensor(
    _ items: [PickleValue], type: PyTorchType?, metadata: PickleValue
  ) throws(FormatError) -> PickleValue {
    guard case .storage(let storage) = items[0], case .integer(let offset) = items[1], offset >= 0 else {
      throw malformed("a tensor has no storage, or an offset below 0")
    }
    // Conjugation and negation that are not carried out yet: PyTorch's only entries here.
    if let marks = elements(metadata, .dictionary), !marks.isEmpty {
      throw malformed("a tensor is stored as the conjugate or negative of its numbers; save a clone() of it")
    }
    let view = PickleHeap.View(
      storage: storage, type: try self.type(of: storage, type), offset: offset,
      shape: try extents(items[2], "shape"), strides: try extents(items[3], "strides"))
    guard view.shape.count == view.strides.count else {
      throw malformed("a tensor has \(view.shape.count) extents and \(view.strides.count) strides")
    }
    try require(heap.tensors.count, "tensors")
    heap.tensors.append(view)
    return .tensor(heap.tensors.count - 1)
  }

  /// The type of a tensor's numbers: its storage's, or the one beside a storage of bytes.
  private func type(of storage: Int, _ stated: PyTorchType?) throws(FormatError) -> PyTorchType {
    let own = heap.storages[storage].type
    guard let type = own ?? stated, own == nil || stated == nil else {
      throw malformed("a tensor's numbers have no type, or two")
    }
    return type
  }

  /// A storage by what stands for it: ("storage", class, key, device, count).
  mutating func storage(_ id: PickleValue) throws(FormatError) -> PickleValue {
    guard let items = elements(id, .tuple), items.count == 5, case .string("storage") = items[0],
      case .global(.storage(let type)) = items[1], case .string(let key) = items[2],
      case .integer(let count) = items[4], count >= 0
    else { throw malformed("what stands for a storage is not (\"storage\", class, key, device, count)") }
    if let place = heap.places[key] {
      guard heap.storages[place].type == type, heap.storages[place].count == count else {
        throw malformed("storage \(JSON.string(key).summary) is described in two ways")
      }
      return .storage(place)
    }
    try require(heap.storages.count, "storages")
    heap.places[key] = heap.storages.count
    heap.storages.append(PickleHeap.Storage(key: key, type: type, count: count))
    return .storage(heap.storages.count - 1)
  }
}
