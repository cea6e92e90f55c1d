public import Memory
public import Tiles

/// A ``PointwiseFunction`` over whole arrays, one pass over the data.
///
/// Floor: each input read and each output written once, over the memory bandwidth.
public struct Pointwise: Sendable, Hashable {
  /// What is computed at each place.
  public var function: PointwiseFunction
  /// For each input and axis, whether it has the axis's extent; otherwise it has 1 and is broadcast.
  public var spans: [[Bool]]
  /// Types of inputs; outputs are float32.
  public var types: [ElementType]
  /// Types of outputs.
  public var outputTypes: [ElementType]
  /// Rows of a tile, along the last axis but one.
  public var rows: Int
  /// Columns of a tile, along the last axis.
  public var columns: Int

  /// - Parameters:
  ///   - function: what is computed.
  ///   - spans: inputs × axes, at least two axes.
  ///   - rows: of a tile.
  ///   - columns: of a tile.
  ///   - types: of inputs, by default float32.
  ///   - outputTypes: by default float32.
  public init(
    _ function: PointwiseFunction, spans: [[Bool]], rows: Int, columns: Int, types: [ElementType]? = nil,
    outputTypes: [ElementType]? = nil
  ) {
    precondition(spans.count == function.inputs, "\(spans.count) inputs for a function of \(function.inputs)")
    precondition(spans.allSatisfy { $0.count >= 2 && $0.count == spans[0].count }, "two axes or more")
    self.function = function
    self.spans = spans
    self.rows = rows
    self.columns = columns
    self.types = types ?? spans.map { _ in .float32 }
    self.outputTypes = outputTypes ?? function.outputs.map { _ in .float32 }
  }

  /// Arguments: the inputs, where it is random the seed, int32 `[1]`, then the outputs, of the same rank as the inputs. An integer
  /// where it is random: the stream.
  public func kernel() throws(TileError) -> Kernel {
    let rank = spans.first?.count ?? 2
    return try Kernel("pointwise_\(function.nodes.count)_\(function.inputs)_\(function.outputCount)") { k in
      let extents = (0..<rank).map { k.extent("N\($0)") }
      let inputs = spans.indices.map { number in
        k.input("x\(number)", types[number], zip(spans[number], extents).map { $0 ? $1 : 1 })
      }
      let seed = function.isRandom ? (k.input("seed", .int32, [1]), k.argument("stream")) : nil
      let outputs = function.outputs.indices.map { k.output("y\($0)", outputTypes[$0], extents) }
      let tile = [Index](repeating: 1, count: rank - 2) + [Index(rows), Index(columns)]
      let grid = zip(extents, tile).map { $0.ceilDiv($1) }
      k.grid(grid) { task in
        let origin = zip(task, tile).map { $0 * $1 }
        let random = seed.map { seed in
          // Each row of each tile draws from a row of its own.
          let outer = task.dropLast(2).enumerated().reduce(Index(0)) { $0 * grid[$1.offset] + $1.element }
          let row = (outer * grid[rank - 1] + task[rank - 1]) * extents[rank - 2] + origin[rank - 2]
          return MapValue.random(
            RandomSource(
              seed: .element(tensor: seed.0.number, at: [0]), stream: seed.1, row: row))
        }
        let tiles = record(k, inputs, origin, random)
        for (output, node) in zip(outputs, function.outputs) {
          if case .tile(let tile) = tiles[node] { k.store(tile, to: output, at: origin) }
        }
      }
    }
  }

  private func record(
    _ k: Recorder, _ inputs: [TensorParameter], _ origin: [Index], _ random: MapValue?
  ) -> [MapValue] {
    let rank = origin.count
    var loaded: [Int: Tile] = [:]
    // Everything is loaded before anything is computed, so that the arithmetic is one chain.
    for case .input(let number) in function.nodes {
      let span = spans[number]
      loaded[number] = k.load(
        inputs[number], at: zip(span, origin).map { $0 ? $1 : 0 }, rows: span[rank - 2] ? rows : 1,
        columns: span[rank - 1] ? columns : 1, as: .float32)
    }
    return function.record(k, loaded, random)
  }

  /// Whether every output varies along all axes that have any extent: otherwise it is smaller than what it is stored to.
  public func coversOutputs(extents: [Int]) -> Bool {
    function.outputs.indices.allSatisfy { output in
      let inputs = function.dependencies(of: output)
      return extents.indices.allSatisfy { axis in
        extents[axis] == 1 || inputs.contains { spans[$0][axis] }
      }
    }
  }
}

extension PointwiseFunction {
  /// The values of all nodes.
  ///
  /// - Parameters:
  ///   - loaded: a tile for each input that a result depends on.
  ///   - random: what random nodes are.
  func record(_ k: Recorder, _ loaded: [Int: Tile], _ random: MapValue?) -> [MapValue] {
    var values: [MapValue] = []
    for node in nodes {
      switch node {
      case .input(let number): values.append(loaded[number].map { .tile($0) } ?? .constant(0))
      case .constant(let value): values.append(.constant(value))
      case .random: values.append(random ?? .constant(0))
      case .apply(let function, let operands):
        values.append(.tile(k.map(function, operands.map { values[$0] })))
      }
    }
    return values
  }
}
