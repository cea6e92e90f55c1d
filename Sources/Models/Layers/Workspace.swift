internal import Memory
internal import Tiles

/// Named buffers that grow to the largest step and are reused by the next, where the executor's kernels use them.
///
/// Not thread-safe: a model runs one step at a time.
final class Workspace {
  private let executor: any Executor
  private var buffers: [String: TensorStorage] = [:]
  /// Counts the times that a buffer has come to lie elsewhere.
  private(set) var generation = 0
  /// Where inputs are written for an executor that has memory of its own.
  private var staging: TensorStorage?

  init(_ executor: any Executor) { self.executor = executor }

  /// A dense tensor at the start of the buffer of that name; what it holds is left from earlier.
  func tensor(_ name: String, _ type: ElementType, _ shape: [Int]) throws -> Tensor {
    guard let bytes = type.byteCount(of: shape.reduce(1, *)) else {
      throw MemoryError.notWholeBlocks(type: type, count: shape.last ?? 0)
    }
    let storage: TensorStorage
    if let known = buffers[name], known.byteCount >= bytes {
      storage = known
    } else {
      // The old buffer goes first, so that growing never holds both.
      buffers[name] = nil
      storage = try executor.allocate(byteCount: bytes)
      buffers[name] = storage
      generation += 1
    }
    return try Tensor(storage, type: type, shape: shape)
  }

  /// Small tensors that the host writes: in place where kernels use host memory, by one copy otherwise.
  ///
  /// - Parameters:
  ///   - parts: type and shape of each.
  ///   - write: is given them in host memory and writes them whole; `nil` to leave them as they are.
  /// - Returns: them where kernels use them.
  func inputs(
    _ parts: [(type: ElementType, shape: [Int])], write: (([Tensor]) -> Void)?
  ) throws -> [Tensor] {
    var offsets: [Int] = []
    var bytes = 0
    for part in parts {
      offsets.append(bytes)
      // Whole lines of cache, and more than any copy asks of an address.
      bytes += ((part.type.byteCount(of: part.shape.reduce(1, *)) ?? 0) + 255) / 256 * 256
    }
    let block = try tensor("inputs", .uint8, [bytes])
    func views(_ storage: TensorStorage) throws -> [Tensor] {
      try zip(parts, offsets).map { try Tensor(storage, byteOffset: $1, type: $0.type, shape: $0.shape) }
    }
    let placed = try views(block.storage)
    guard let write else { return placed }
    guard !block.storage.isOnHost else {
      write(placed)
      return placed
    }
    // Not pinned: the next step writes here as soon as the copy has been asked for.
    let source = try staging.flatMap { $0.byteCount >= bytes ? $0 : nil } ?? HeapStorage(byteCount: bytes)
    staging = source
    write(try views(source))
    try executor.copy(from: try Tensor(source, type: .uint8, shape: [bytes]), into: block)
    return placed
  }
}
