public import Memory

/// A model file as its loaders see it: tensors by name, whatever the format.
public protocol NamedTensors: Sendable {
  /// What error messages call the model.
  var file: String { get }
  /// Names of all tensors, in the file's order.
  var names: [String] { get }
  /// Whether there is a tensor of this name.
  func contains(_ name: String) -> Bool
  /// Row-major extents of a tensor; `nil` when there is none of this name.
  func shape(_ name: String) -> [Int]?
  /// A dense tensor, its numbers still in the file where the format allows it.
  func tensor(_ name: String) throws(FormatError) -> Tensor
}

extension Safetensors: NamedTensors {
  /// Names of all tensors, in the file's order.
  public var names: [String] { tensors.map(\.name) }

  /// Row-major extents of a tensor; `nil` when there is none of this name.
  public func shape(_ name: String) -> [Int]? { info(name)?.shape }
}

extension GGUF: NamedTensors {
  /// Names of all tensors, in the file's order.
  public var names: [String] { tensors.map(\.name) }

  /// Row-major extents of a tensor; `nil` when there is none of this name.
  public func shape(_ name: String) -> [Int]? { info(name)?.shape }
}
