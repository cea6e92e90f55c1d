/// The names of Python that a pickle may ask for. Each stands for what this reader does; none runs anything.
enum PickleGlobal {
  /// `torch._utils._rebuild_tensor_v2`: a tensor over a storage.
  case rebuildTensor
  /// `torch._utils._rebuild_tensor_v3`: the same with a type that has no class of storages.
  case rebuildTypedTensor
  /// `torch._utils._rebuild_parameter`: the tensor given to it.
  case rebuildParameter
  /// `collections.OrderedDict`: an empty dictionary.
  case orderedDictionary
  /// `torch.Size`: the tuple given to it.
  case size
  /// A class of storages; `nil` for bytes without a type.
  case storage(PyTorchType?)
  /// A type of numbers.
  case type(PyTorchType)

  /// `nil` for every other name.
  init?(module: String, name: String) {
    switch (module, name) {
    case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor
    case ("torch._utils", "_rebuild_tensor_v3"): self = .rebuildTypedTensor
    case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
    case ("collections", "OrderedDict"): self = .orderedDictionary
    case ("torch", "Size"): self = .size
    case ("torch.storage", "UntypedStorage"): self = .storage(nil)
    case ("torch", _):
      if let type = PyTorchType(storage: name) {
        self = .storage(type)
      } else if let type = PyTorchType(name: name) {
        self = .type(type)
      } else {
        return nil
      }
    default: return nil
    }
  }
}
