internal import Kernels
internal import Memory

/// One step's inputs as tensors, and the attention workspace all layers share.
struct StepTensors {
  let batch: ForwardBatch
  let tokens: Tensor
  let positions: Tensor
  let runs: Tensor
  let items: Tensor
  let pages: Tensor
  let mergeBlocks: Tensor
  let logitRows: Tensor
  /// Position of each query row: every token's, once a head of the group.
  let rowPositions: Tensor
  let cos: Tensor
  let sin: Tensor
  let queries: Tensor
  let tops: Tensor
  let totals: Tensor
  let sums: Tensor
  let logSumExp: Tensor

  init(_ batch: ForwardBatch, shape: Rotary.Shape, rotary: RotaryTable?, workspace: Workspace) throws {
    self.batch = batch
    let rows = batch.tokens.count
    func integers(_ name: String, _ values: [Int32], _ shape: [Int]) throws -> Tensor {
      let tensor = try workspace.tensor(name, .int32, shape)
      tensor.withMutableElements(as: Int32.self) { span in
        for index in values.indices { span[index] = values[index] }
      }
      return tensor
    }
    tokens = try integers("tokens", batch.tokens, [rows])
    positions = try integers("positions", batch.positions, [rows])
    runs = try integers("runs", batch.runs, [batch.runs.count / 4, 4])
    let fields = PagedAttention.Field.allCases.count
    items = try integers("items", batch.items, [batch.items.count / fields, fields])
    pages = try integers("pages", batch.pages, [batch.pages.count])
    mergeBlocks = try integers("mergeBlocks", batch.mergeBlocks, [batch.mergeBlocks.count])
    logitRows = try integers("logitRows", batch.logitRows, [batch.logitRows.count])
    let repeated = batch.positions.flatMap { [Int32](repeating: $0, count: shape.group) }
    rowPositions = try integers("rowPositions", repeated, [rows, shape.group])
    let half = shape.rotarySize / 2
    cos = try workspace.tensor("cos", .float32, [rows, half])
    sin = try workspace.tensor("sin", .float32, [rows, half])
    rotary?.fill(cos: cos, sin: sin, positions: batch.positions)
    let (kv, group, chunks) = (shape.kvHeads, shape.group, batch.chunkCount)
    queries = try workspace.tensor("queries", .float32, [kv, rows, group, shape.headSize])
    tops = try workspace.tensor("tops", .float32, [kv, chunks, rows, group])
    totals = try workspace.tensor("totals", .float32, [kv, chunks, rows, group])
    sums = try workspace.tensor("sums", .float32, [kv, chunks, rows, group, shape.headSize])
    logSumExp = try workspace.tensor("logSumExp", .float32, [rows, kv, group])
  }
}

/// Named buffers that grow to the largest step and are reused by the next.
///
/// Not thread-safe: a model runs one step at a time.
final class Workspace {
  private var buffers: [String: TensorStorage] = [:]

  /// A dense tensor at the start of the buffer of that name; what it holds is left from earlier.
  func tensor(_ name: String, _ type: ElementType, _ shape: [Int]) throws(MemoryError) -> Tensor {
    guard let bytes = type.byteCount(of: shape.reduce(1, *)) else {
      throw .notWholeBlocks(type: type, count: shape.last ?? 0)
    }
    let storage: TensorStorage
    if let known = buffers[name], known.byteCount >= bytes {
      storage = known
    } else {
      // The old buffer goes first, so that growing never holds both.
      buffers[name] = nil
      storage = try HeapStorage(byteCount: bytes)
      buffers[name] = storage
    }
    return try Tensor(storage, type: type, shape: shape)
  }
}
