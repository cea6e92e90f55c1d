/// Follows the instructions of a pickle that hold data, and refuses all others.
///
/// Nothing is called, imported or looked up: a name of Python is one of ``PickleGlobal``, or the file is refused, or what
/// was to be made of it is left out. Every number is checked; what is kept grows with the pickle's bytes alone.
struct PickleMachine: ~Escapable {
  /// Longest pickle, in bytes.
  static let maximumBytes = 1 << 26
  /// Most values on the stack.
  static let maximumStack = 1 << 20
  /// Most lists, tuples and dictionaries; likewise storages, tensors and values kept to be met again.
  static let maximumObjects = 1 << 20
  /// Most marks that are open at once.
  static let maximumDepth = 1000
  /// Longest text, in bytes.
  static let maximumTextBytes = 1 << 20
  /// Longest name of a module or of something in it, in bytes.
  static let maximumNameBytes = 256

  private var reader: ByteReader
  private let file: String
  private let skipsForeign: Bool
  private var heap = PickleHeap()
  private var stack: [PickleValue] = []
  private var marks: [Int] = []
  private var memo: [UInt32: PickleValue] = [:]
  /// Where the current instruction is.
  private var position = 0

  @_lifetime(copy bytes)
  private init(_ bytes: Span<UInt8>, file: String, skipsForeign: Bool) {
    reader = ByteReader(bytes, file: file)
    self.file = file
    self.skipsForeign = skipsForeign
  }

  /// What the pickle in `bytes` makes.
  ///
  /// - Parameter skipsForeign: whether objects that this reader does not know are left out instead of refused.
  static func run(
    _ bytes: Span<UInt8>, file: String, skipsForeign: Bool
  ) throws(FormatError) -> (root: PickleValue, heap: PickleHeap) {
    guard bytes.count <= maximumBytes else {
      throw .tooLarge(
        file: file, item: "the pickle's size in bytes", limit: maximumBytes, found: UInt64(bytes.count))
    }
    var machine = PickleMachine(bytes, file: file, skipsForeign: skipsForeign)
    while true {
      machine.position = machine.reader.position
      let code = try machine.reader.number(UInt8.self, "the pickle")
      guard let opcode = PickleOpcode(rawValue: code) else {
        throw .refusedOpcode(file: file, opcode: PickleOpcode.name(code), position: machine.position)
      }
      if opcode == .stop { break }
      try machine.follow(opcode)
    }
    guard machine.marks.isEmpty, machine.stack.count == 1, let root = machine.stack.first else {
      throw machine.malformed("\(machine.stack.count) values are left at the end")
    }
    return (root, machine.heap)
  }

  private mutating func follow(_ opcode: PickleOpcode) throws(FormatError) {
    switch opcode {
    case .proto:
      let version = try reader.number(UInt8.self, "the pickle's protocol")
      guard version <= 5 else {
        throw .unsupportedVersion(file: "\(file) (pickle)", version: UInt32(version), supported: "0 to 5")
      }
    case .frame: _ = try reader.number(UInt64.self, "a frame's length")
    case .stop: break
    case .mark:
      guard marks.count < Self.maximumDepth else {
        throw .tooLarge(
          file: file, item: "the depth of the pickle", limit: Self.maximumDepth,
          found: UInt64(marks.count + 1))
      }
      marks.append(stack.count)
    case .none: try push(.none)
    case .newTrue: try push(.bool(true))
    case .newFalse: try push(.bool(false))
    case .binInt:
      try push(.integer(Int(Int32(bitPattern: try reader.number(UInt32.self, "an integer")))))
    case .binInt1: try push(.integer(Int(try reader.number(UInt8.self, "an integer"))))
    case .binInt2: try push(.integer(Int(try reader.number(UInt16.self, "an integer"))))
    case .long1: try push(.integer(try long()))
    case .binFloat:
      let bits = try reader.number(UInt64.self, "a number").byteSwapped
      try push(.number(Double(bitPattern: bits)))
    case .binUnicode: try push(text(UInt64(try reader.number(UInt32.self, "a text's length"))))
    case .shortBinUnicode: try push(text(UInt64(try reader.number(UInt8.self, "a text's length"))))
    case .binUnicode8: try push(text(try reader.number(UInt64.self, "a text's length")))
    case .emptyDict: try push(.dictionary, [])
    case .emptyList: try push(.list, [])
    case .emptyTuple: try push(.tuple, [])
    case .tuple: try push(.tuple, popToMark())
    case .tuple1: try push(.tuple, pop(1))
    case .tuple2: try push(.tuple, pop(2))
    case .tuple3: try push(.tuple, pop(3))
    case .append: try fill(.list, pop(1))
    case .appends: try fill(.list, popToMark())
    case .setItem: try fill(.dictionary, pop(2))
    case .setItems: try fill(.dictionary, popToMark())
    case .binPut: try remember(UInt32(try reader.number(UInt8.self, "a memo's number")))
    case .longBinPut: try remember(try reader.number(UInt32.self, "a memo's number"))
    case .memoize: try remember(UInt32(truncatingIfNeeded: memo.count))
    case .binGet: try push(recalled(UInt32(try reader.number(UInt8.self, "a memo's number"))))
    case .longBinGet: try push(recalled(try reader.number(UInt32.self, "a memo's number")))
    case .global: try push(global(module: line(), name: line()))
    case .stackGlobal:
      let names = try pop(2)
      guard case .string(let module) = names[0], case .string(let name) = names[1] else {
        throw malformed("a name of Python is no text")
      }
      try push(global(module: module, name: name))
    case .reduce, .newObject:
      let call = try pop(2)
      try push(made(by: call[0], from: call[1], opcode))
    case .build: try build()
    case .binPersistentID: try push(storage(try pop(1)[0]))
    }
  }
}

extension PickleMachine {
  private func malformed(_ reason: String) -> FormatError {
    .malformed(file: file, item: "the pickle at byte \(position)", reason: reason)
  }

  private func require(_ count: Int, _ what: String) throws(FormatError) {
    guard count < Self.maximumObjects else {
      throw .tooLarge(
        file: file, item: "the number of \(what)", limit: Self.maximumObjects, found: UInt64(count + 1))
    }
  }

  private mutating func push(_ value: PickleValue) throws(FormatError) {
    guard stack.count < Self.maximumStack else {
      throw .tooLarge(
        file: file, item: "the pickle's stack", limit: Self.maximumStack, found: UInt64(stack.count + 1))
    }
    stack.append(value)
  }

  private mutating func push(
    _ kind: PickleHeap.Container.Kind, _ items: [PickleValue]
  ) throws(FormatError) {
    try require(heap.containers.count, "lists, tuples and dictionaries")
    try push(.container(heap.containers.count))
    heap.containers.append(PickleHeap.Container(kind: kind, items: items))
  }

  /// The last values, in their order; none from below an open mark.
  private mutating func pop(_ count: Int) throws(FormatError) -> [PickleValue] {
    guard stack.count - (marks.last ?? 0) >= count else { throw malformed("the stack is too short") }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws(FormatError) -> [PickleValue] {
    guard let mark = marks.popLast() else { throw malformed("there is no mark") }
    defer { stack.removeLast(stack.count - mark) }
    return Array(stack[mark...])
  }

  private func top() throws(FormatError) -> PickleValue {
    guard stack.count > marks.last ?? 0, let value = stack.last else {
      throw malformed("the stack is empty")
    }
    return value
  }

  private mutating func remember(_ place: UInt32) throws(FormatError) {
    try require(memo.count, "memos")
    memo[place] = try top()
  }

  private func recalled(_ place: UInt32) throws(FormatError) -> PickleValue {
    guard let value = memo[place] else { throw malformed("memo \(place) holds nothing") }
    return value
  }

  /// Adds to the list or dictionary on the stack.
  private mutating func fill(
    _ kind: PickleHeap.Container.Kind, _ items: [PickleValue]
  ) throws(FormatError) {
    switch try top() {
    case .container(let place) where heap.containers[place].kind == kind:
      guard kind == .list || items.count % 2 == 0 else { throw malformed("a key has no value") }
      heap.containers[place].items += items
    case .foreign: break
    default: throw malformed("there is no list or dictionary to fill")
    }
  }
}

extension PickleMachine {
  private mutating func text(_ count: UInt64) throws(FormatError) -> PickleValue {
    guard count <= UInt64(Self.maximumTextBytes) else {
      throw .tooLarge(
        file: file, item: "the length of a text", limit: Self.maximumTextBytes, found: count)
    }
    return .string(try reader.text(count, "a text of the pickle"))
  }

  /// A little-endian number in two's complement of up to 8 bytes.
  private mutating func long() throws(FormatError) -> Int {
    let count = try reader.number(UInt8.self, "an integer's length")
    guard count <= 8 else {
      throw .tooLarge(file: file, item: "an integer's length in bytes", limit: 8, found: UInt64(count))
    }
    var value: UInt64 = 0
    for index in 0..<UInt64(count) {
      value |= UInt64(try reader.number(UInt8.self, "an integer")) << (8 * index)
    }
    guard count > 0 else { return 0 }
    let spare = UInt64(64 - 8 * Int(count))
    return Int(Int64(bitPattern: value << spare) >> Int64(spare))
  }

  /// Text up to the end of the line.
  private mutating func line() throws(FormatError) -> String {
    var bytes: [UInt8] = []
    while true {
      let byte = try reader.number(UInt8.self, "a name of Python")
      if byte == 0x0A { return String(decoding: bytes, as: UTF8.self) }
      guard (0x21..<0x7F).contains(byte), bytes.count < Self.maximumNameBytes else {
        throw malformed("a name of Python is longer than \(Self.maximumNameBytes) bytes or not of ASCII")
      }
      bytes.append(byte)
    }
  }
}

extension PickleMachine {
  private mutating func global(module: String, name: String) throws(FormatError) -> PickleValue {
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

  private mutating func made(
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
  private mutating func build() throws(FormatError) {
    _ = try pop(1)
    switch try top() {
    case .container(let place) where heap.containers[place].kind == .dictionary: break
    case .foreign: break
    default: throw malformed("what is given attributes is no dictionary")
    }
  }

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

  private func type(of storage: Int, _ stated: PyTorchType?) throws(FormatError) -> PyTorchType {
    let own = heap.storages[storage].type
    guard let type = own ?? stated, own == nil || stated == nil else {
      throw malformed("a tensor's numbers have no type, or two")
    }
    return type
  }

  /// A storage by what stands for it: ("storage", class, key, device, count).
  private mutating func storage(_ id: PickleValue) throws(FormatError) -> PickleValue {
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
