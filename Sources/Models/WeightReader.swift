internal import Formats
internal import Memory

/// Takes tensors out of a file by name, checks each, and tells in the end whether one was left over.
///
/// A tensor that nobody asked for means a network other than the one about to be built, which would run and talk
/// nonsense.
struct WeightReader {
  private let file: String
  private let names: [String]
  private let find: (String) throws -> Tensor?
  private let rename: (String) -> String
  private var used: Set<String> = []

  /// - Parameter rename: from the name a network asks for to the file's.
  init(_ file: any NamedTensors, rename: @escaping (String) -> String = { $0 }) {
    self.file = file.file
    names = file.names
    find = { file.contains($0) ? try file.tensor($0) : nil }
    self.rename = rename
  }

  /// Whether the file has a tensor of that name.
  func contains(_ name: String) -> Bool { names.contains(rename(name)) }

  /// A matrix of a type that linear layers read.
  mutating func matrix(_ name: String, _ rows: Int, _ columns: Int) throws -> Tensor {
    let tensor = try required(name, [rows, columns])
    guard LlamaWeights.weightTypes.contains(tensor.type) else {
      throw ModelError.unsupportedType(tensor: rename(name), type: tensor.type.rawValue)
    }
    return tensor
  }

  /// A vector, as float32.
  mutating func vector(_ name: String, _ count: Int) throws -> Tensor {
    try required(name, [count]).asFloat32(rename(name))
  }

  /// A vector that the file may lack.
  mutating func vectorIfPresent(_ name: String, _ count: Int) throws -> Tensor? {
    contains(name) ? try vector(name, count) : nil
  }

  private mutating func required(_ name: String, _ shape: [Int]) throws -> Tensor {
    let stored = rename(name)
    guard let tensor = try find(stored) else { throw ModelError.missing(tensor: stored, expected: shape) }
    guard tensor.shape == shape else {
      throw ModelError.misshapen(tensor: stored, found: tensor.shape, expected: shape)
    }
    used.insert(stored)
    return tensor
  }

  /// Checks that nothing is left but what `isInert` says changes no result.
  ///
  /// - Throws: ``ModelError/unused(tensor:count:file:)``.
  func finish(_ isInert: (String) -> Bool) throws(ModelError) {
    let left = names.filter { !used.contains($0) && !isInert($0) }
    if let first = left.first { throw .unused(tensor: first, count: left.count, file: file) }
  }
}
