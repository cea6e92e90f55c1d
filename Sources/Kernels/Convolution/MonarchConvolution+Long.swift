internal import Memory
internal import Tiles

/// Transforms of more than 4,096 points: one or two outer stages around the fused kernel, through a workspace that is small
/// enough to stay in the second-level cache where one row is.
final class MonarchStages {
  let shape: MonarchConvolution.Shape
  let executor: any Executor
  /// Digits of the outer stages, outermost first, and the points that follow each.
  let levels: [(constants: MonarchConstants, columns: Int)]
  /// Bytes that rows in hand may take in the workspace.
  let workspaceBytes: Int
  private let matrices: [Tensor]
  private let precise: [Tensor]
  private let twiddles: [[Tensor]]
  private let filters: [any CompiledKernel]
  private var forwards: [MonarchOuter.Shape: any CompiledKernel] = [:]
  private var inverses: [MonarchOuter.Shape: any CompiledKernel] = [:]
  /// Both outer stages in one pass, where there are two and a kernel for them; by whether back.
  private var twofold: [Bool: [MonarchOuterTwofold.Shape: any CompiledKernel]] = [:]
  private var planes: [Int: [Tensor]] = [:]
  private var filterInverses: [Int: any CompiledKernel] = [:]

  init(_ shape: MonarchConvolution.Shape, workspaceBytes: Int, executor: any Executor) throws {
    (self.shape, self.executor, self.workspaceBytes) = (shape, executor, workspaceBytes)
    let side = MonarchConstants.side
    let outer = shape.points / (side * side)
    var levels = [
      (MonarchConstants(radix: min(outer, side), isShifted: true), shape.points / min(outer, side))
    ]
    if outer > side { levels.append((MonarchConstants(radix: outer / side, isShifted: false), side * side)) }
    self.levels = levels
    matrices = try levels.map {
      try executor.place(try MonarchOuter.matrices(MonarchOuter.Shape($0.0, type: shape.type)))
    }
    precise = try levels.map { try executor.place(try MonarchOuterPrecise.matrices($0.0)) }
    twiddles = try levels.map { level in
      try MonarchOuter.twiddles(level.0, columns: level.1).map { try executor.place($0) }
    }
    filters = try levels.enumerated().map { number, level in
      try executor.compile(try MonarchOuterPrecise.forward(level.0, isComplex: number > 0))
    }
  }

  /// Rows that a stage sees of each channel.
  private func rows(_ level: Int) -> Int { levels[...level].reduce(1) { $0 * $1.constants.radix } }

  /// Outer stages of filters, into the two tensors `[channels, points]`.
  func prepare(_ filter: Tensor, re: Tensor, im: Tensor) throws {
    for (level, stage) in levels.enumerated() {
      func view(_ tensor: Tensor) -> Tensor {
        tensor.reshaped([shape.channels * rows(level), stage.columns])
      }
      let inputs = level == 0 ? [filter] : [re, im]
      try filters[level].run(
        [precise[level]] + twiddles[level] + (inputs + [re, im]).map { view($0) })
    }
  }

  /// Parts of the batch and of the channels that are in hand together: whole tiles, where there are so many channels.
  ///
  /// - Parameter isFolded: whether sequences are shorter than transforms: parts of them are dense, and begin at multiples of 16 bytes
  ///   where that can be.
  func parts(isFolded: Bool) -> [(batch: Range<Int>, channels: Range<Int>)] {
    let fitting = max(1, workspaceBytes / (4 * shape.points))
    let unit = min(shape.channels, MonarchConstants.side / levels[0].constants.radix)
    var batch = max(1, min(shape.batch, isFolded ? fitting / shape.channels : fitting / unit))
    let isWide = isFolded && batch > 1
    let channels = isWide ? shape.channels : min(shape.channels, max(1, fitting / batch / unit) * unit)
    // Parts of equal size.
    batch = (shape.batch + (shape.batch - 1) / batch) / ((shape.batch - 1) / batch + 1)
    if isFolded, batch < shape.batch {
      var aligned = SequenceFold.alignment
      while aligned > 1, aligned / 2 * shape.channels * shape.length % SequenceFold.alignment == 0 {
        aligned /= 2
      }
      batch = max(1, batch / aligned * aligned)
    }
    return stride(from: 0, to: shape.channels, by: channels).flatMap { channel in
      stride(from: 0, to: shape.batch, by: batch).map { first in
        (first..<min(shape.batch, first + batch), channel..<min(shape.channels, channel + channels))
      }
    }
  }

  /// Parts of the channels, for all rows of the batch.
  func channelParts() -> [Range<Int>] {
    let unit = min(shape.channels, MonarchConstants.side / levels[0].constants.radix)
    let fitting = workspaceBytes / (4 * shape.points * shape.batch)
    let channels = max(1, fitting / unit) * unit
    return stride(from: 0, to: shape.channels, by: channels).map {
      $0..<min(shape.channels, $0 + channels)
    }
  }

  /// Planes re and im for one part; two sets, for what is multiplied with each other.
  func planes(_ part: (batch: Range<Int>, channels: Range<Int>), set: Int = 0) throws -> [Tensor] {
    try planes(shape.type, [part.batch.count, part.channels.count, shape.points], set: set)
  }

  /// Float32 planes re and im of spectra.
  func spectrumPlanes(channels: Int) throws -> [Tensor] {
    try planes(.float32, [channels, shape.points], set: 2)
  }

  private func planes(_ type: ElementType, _ sizes: [Int], set: Int) throws -> [Tensor] {
    let count = sizes.reduce(1, *)
    if (planes[set]?.first?.count ?? 0) < count {
      planes[set] = try (0..<2).map { _ in try executor.tensor(type, [count]) }
    }
    return (planes[set] ?? []).map { $0.sliced(axis: 0, 0..<count).reshaped(sizes) }
  }

  /// Rows `[B, H, points]`, or part of them, as a stage sees them.
  private func view(_ tensor: Tensor, _ level: Int) -> Tensor {
    let columns = levels[level].columns
    if shape.isFolded(tensor) { return tensor }
    return Tensor(
      unchecked: tensor.storage, byteOffset: tensor.byteOffset, type: tensor.type,
      shape: [tensor.shape[0], tensor.shape[1] * rows(level), columns],
      strides: [tensor.strides[0], columns, 1])
  }

  /// Whether there is room for sequences wherever they begin, and all parts of them can be folded.
  func takesFolded(_ tensors: [Tensor]) -> Bool {
    SequenceFold(rows: levels[0].constants.radix, step: levels[0].columns).holds(length: shape.length)
      && parts(isFolded: true).allSatisfy { part in
        tensors.allSatisfy {
          $0.sliced(axis: 0, part.batch).sliced(axis: 1, part.channels).canBeFolded
        }
      }
  }

  /// Outer stages of gradients of filters back: planes float32 `[channels, points]` to the gradient of that shape.
  func inversePrecise(_ planes: [Tensor], to target: Tensor) throws {
    for level in levels.indices.reversed() {
      let kernel =
        try filterInverses[level]
        ?? executor.compile(try MonarchOuterPrecise.inverse(levels[level].constants, isComplex: level > 0))
      filterInverses[level] = kernel
      let sizes = [planes[0].shape[0] * rows(level), levels[level].columns]
      try kernel.run(
        [precise[level]] + twiddles[level]
          + (planes + (level == 0 ? [target] : planes)).map { $0.reshaped(sizes) })
    }
  }

  /// Forth: x, times a gate where there is one, to the planes.
  func forward(_ x: Tensor, gate: Tensor?, to planes: [Tensor]) throws {
    let gates = gate.map { [$0] } ?? []
    if let few { return try runTwofold(few, gates: gates.count, isBack: false, [x] + gates, planes) }
    for level in levels.indices {
      var stage = outer(level, planes[0])
      stage.gates = level == 0 && gate != nil ? 1 : 0
      stage.foldedColumns = level == 0 && shape.isFolded(x) ? levels[0].columns : nil
      let kernel = try forwards[stage] ?? executor.compile(try MonarchOuter.forward(stage))
      forwards[stage] = kernel
      try run(kernel, level, level == 0 ? [x] + gates : planes, planes)
    }
  }

  /// Back: the planes to y, or, for each gate, times that to its own.
  func inverse(_ planes: [Tensor], gates: [Tensor], to y: [Tensor]) throws {
    if let few {
      // Two results at once have no room beside more than two tiles.
      guard few > 2, gates.count > 1 else {
        return try runTwofold(few, gates: gates.count, isBack: true, planes + gates, y)
      }
      for (gate, target) in zip(gates, y) {
        try runTwofold(few, gates: 1, isBack: true, planes + [gate], [target])
      }
      return
    }
    for level in levels.indices.reversed() {
      var stage = outer(level, planes[0])
      stage.gates = level == 0 ? gates.count : 0
      stage.foldedColumns = level == 0 && shape.isFolded(y[0]) ? levels[0].columns : nil
      let kernel = try inverses[stage] ?? executor.compile(try MonarchOuter.inverse(stage))
      inverses[stage] = kernel
      try run(kernel, level, planes + (level == 0 ? gates : []), level == 0 ? y : planes)
    }
  }

  /// Points of the second stage, where one pass does both.
  private var few: Int? {
    levels.count == 2 && MonarchOuterTwofold.takes(levels[1].constants.radix)
      ? levels[1].constants.radix : nil
  }

  private func runTwofold(
    _ few: Int, gates: Int, isBack: Bool, _ inputs: [Tensor], _ outputs: [Tensor]
  ) throws {
    var stage = MonarchOuterTwofold.Shape(few: few, type: shape.type, gates: gates)
    stage.foldedColumns = (inputs + outputs).contains(where: shape.isFolded) ? levels[0].columns : nil
    let kernel =
      try twofold[isBack]?[stage]
      ?? executor.compile(
        try isBack ? MonarchOuterTwofold.inverse(stage) : MonarchOuterTwofold.forward(stage))
    twofold[isBack, default: [:]][stage] = kernel
    let (side, columns) = (MonarchConstants.side, levels[1].columns)
    let views = (inputs + outputs).map { tensor in
      if shape.isFolded(tensor) { return tensor }
      return Tensor(
        unchecked: tensor.storage, byteOffset: tensor.byteOffset, type: tensor.type,
        shape: [tensor.shape[0], tensor.shape[1] * side, few, columns],
        strides: [tensor.strides[0], few * columns, columns, 1])
    }
    let share = MonarchConvolution.share(
      batch: inputs[0].shape[0], tiles: inputs[0].shape[1] * (columns / stage.width),
      slots: 2 * executor.cores)
    try kernel.run([matrices[0]] + twiddles[0] + twiddles[1] + views, integers: [share])
  }

  private func outer(_ level: Int, _ plane: Tensor) -> MonarchOuter.Shape {
    var stage = MonarchOuter.Shape(levels[level].constants, type: shape.type, isComplex: level > 0)
    stage.isWhole = plane.shape[1] * rows(level) % MonarchConstants.side == 0
    return stage
  }

  private func run(
    _ kernel: any CompiledKernel, _ level: Int, _ inputs: [Tensor], _ outputs: [Tensor]
  ) throws {
    let side = MonarchConstants.side
    let views = (inputs + outputs).map { view($0, level) }
    let tiles = (inputs[0].shape[1] * rows(level) + side - 1) / side * (levels[level].columns / side)
    let share = MonarchConvolution.share(
      batch: views[0].shape[0], tiles: tiles, slots: 2 * executor.cores)
    try kernel.run([matrices[level]] + twiddles[level] + views, integers: [share])
  }
}
