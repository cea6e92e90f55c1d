/// A value on the stack of a pickle's machine.
enum PickleValue {
  /// Python's `None`.
  case none
  /// A truth value.
  case bool(Bool)
  /// A whole number of 64 bits.
  case integer(Int)
  /// A float64.
  case number(Double)
  /// A text.
  case string(String)
  /// A name of Python.
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
    /// Which of them.
    enum Kind { case list, tuple, dictionary }
    /// Which it is.
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
    /// Place of the storage.
    var storage: Int
    /// What the numbers are.
    var type: PyTorchType
    /// First number, counted in numbers of the type.
    var offset: Int
    /// Extents of its axes.
    var shape: [Int]
    /// Numbers from one index of an axis to the next.
    var strides: [Int]
  }

  /// In the order in which they were made.
  var containers: [Container] = []
  /// In the order in which they were met.
  var storages: [Storage] = []
  /// In the order in which they were made.
  var tensors: [View] = []
  /// Names that were asked for and left out.
  var foreign: [String] = []
  /// Bytes of the pickle's texts, which make no values beside themselves.
  var textBytes = 0
  /// Of storages by their key.
  var places: [String: Int] = [:]
}
