/// A value on the stack of a pickle's machine.
enum PickleValue {
  case none
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case global(PickleGlobal)
  /// A place in ``PickleHeap/containers``: lists and dictionaries are filled after others refer to them.
  case container(Int)
  /// A place in ``PickleHeap/storages``.
  case storage(Int)
  /// A place in ``PickleHeap/tensors``.
  case tensor(Int)
  /// An object, class or function that this reader does not know, where such are left out.
  case foreign
}

/// What a pickle made: values refer into it by number, so that sharing and cycles need no care.
struct PickleHeap {
  /// A list, a tuple or a dictionary.
  struct Container {
    enum Kind { case list, tuple, dictionary }
    var kind: Kind
    /// Elements; of a dictionary keys and values in turn.
    var items: [PickleValue] = []
  }

  /// A run of numbers that tensors look into.
  struct Storage {
    /// Name of its entry below `data/`.
    var key: String
    /// What the file says the numbers are; `nil` for bytes.
    var type: PyTorchType?
    /// Numbers, or bytes where the type is `nil`.
    var count: Int
  }

  /// A view of a storage, as the file has it: nothing is checked yet.
  struct View {
    var storage: Int
    var type: PyTorchType
    /// First number, counted in numbers of the type.
    var offset: Int
    var shape: [Int]
    var strides: [Int]
  }

  var containers: [Container] = []
  var storages: [Storage] = []
  var tensors: [View] = []
  /// Names that were asked for and left out.
  var foreign: [String] = []
  /// Of storages by their key.
  var places: [String: Int] = [:]
}
