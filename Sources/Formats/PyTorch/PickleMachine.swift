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

  /// What is left of the pickle.
  var reader: ByteReader
  /// What error messages call it.
  let file: String
  /// Whether unknown objects are left out.
  let skipsForeign: Bool
  /// What was made so far.
  var heap = PickleHeap()
  /// Values that later instructions take.
  private var stack: [PickleValue] = []
  /// Heights of the stack at open marks.
  private var marks: [Int] = []
  /// Values to be met again, by their number.
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

  /// Carries out one instruction.
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
  /// An error at the current instruction.
  func malformed(_ reason: String) -> FormatError {
    .malformed(file: file, item: "the pickle at byte \(position)", reason: reason)
  }

  /// Checks that one more of something is within the limit.
  func require(_ count: Int, _ what: String) throws(FormatError) {
    guard count < Self.maximumObjects else {
      throw .tooLarge(
        file: file, item: "the number of \(what)", limit: Self.maximumObjects, found: UInt64(count + 1))
    }
  }

  /// Puts a value on the stack.
  private mutating func push(_ value: PickleValue) throws(FormatError) {
    guard stack.count < Self.maximumStack else {
      throw .tooLarge(
        file: file, item: "the pickle's stack", limit: Self.maximumStack, found: UInt64(stack.count + 1))
    }
    stack.append(value)
  }

  /// Makes a container and puts it on the stack.
  private mutating func push(
    _ kind: PickleHeap.Container.Kind, _ items: [PickleValue]
  ) throws(FormatError) {
    try require(heap.containers.count, "lists, tuples and dictionaries")
    try push(.container(heap.containers.count))
    heap.containers.append(PickleHeap.Container(kind: kind, items: items))
  }

  /// The last values, in their order; none from below an open mark.
  mutating func pop(_ count: Int) throws(FormatError) -> [PickleValue] {
    guard stack.count - (marks.last ?? 0) >= count else { throw malformed("the stack is too short") }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  /// The values above the last mark, which is closed.
  private mutating func popToMark() throws(FormatError) -> [PickleValue] {
    guard let mark = marks.popLast() else { throw malformed("there is no mark") }
    defer { stack.removeLast(stack.count - mark) }
    return Array(stack[mark...])
  }

  /// The last value, left where it is.
  func top() throws(FormatError) -> PickleValue {
    guard stack.count > marks.last ?? 0, let value = stack.last else {
      throw malformed("the stack is empty")
    }
    return value
  }

  /// Keeps the last value under a number.
  private mutating func remember(_ place: UInt32) throws(FormatError) {
    try require(memo.count, "memos")
    memo[place] = try top()
  }

  /// The value kept under a number.
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
  /// Text of a length within the limit.
  private mutating func text(_ count: UInt64) throws(FormatError) -> PickleValue {
    guard count <= UInt64(Self.maximumTextBytes) else {
      throw .tooLarge(
        file: file, item: "the length of a text", limit: Self.maximumTextBytes, found: count)
    }
    let text = try reader.text(count, "a text of the pickle")
    heap.textBytes += text.utf8.count
    return .string(text)
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
