package import Memory
internal import Tiles

extension MonarchConvolution {
  /// Where gradients go; what is `nil` is not computed.
  package struct Gradients: Sendable {
    /// Of u, as u.
    package var u: Tensor
    /// Of the gate before, as u; given exactly where that gate is.
    package var before: Tensor?
    /// Of the gate after, likewise.
    package var after: Tensor?
    /// Of the filter, float32 `[channels, filterLength]`; its first numbers are those of the skip term.
    package var filter: Tensor?
    /// Of a filter of later positions whose transform's conjugate is part of the spectrum, likewise; only of rows that are not
    /// ``Shape/isCuttable``.
    package var later: Tensor?

    /// Targets.
    package init(
      u: Tensor, before: Tensor? = nil, after: Tensor? = nil, filter: Tensor? = nil, later: Tensor? = nil
    ) {
      (self.u, self.before, self.after, self.filter, self.later) = (u, before, after, filter, later)
    }

    /// Filters' gradients that are wanted.
    var filters: [FilterGradient] {
      [(filter, false), (later, true)].compactMap { target, isLater in
        target.map { FilterGradient(target: $0, isLater: isLater) }
      }
    }
  }

  /// Where a filter's gradient goes.
  struct FilterGradient {
    var target: Tensor
    /// Whether the conjugate of the filter's transform counts.
    let isLater: Bool
  }

  /// Writes the gradients of ``apply(_:_:before:after:into:)``, from inputs alone: what that computed is computed again.
  ///
  /// Memory beside the gradients: two float32 numbers for each number of a spectrum and each part of the batch that tasks
  /// sum over, for long rows twice the planes of a part, for padded rows two copies, and for gated ones of up to 8,192 and 16,384 points two products,
  /// for rows of 16,384 points 6 bytes for each number of a filter and each such part, which ``MonarchSums`` keeps.
  ///
  /// - Parameter dy: gradient of y.
  package func gradients(
    _ dy: Tensor, u: Tensor, _ spectrum: Spectrum, before: Tensor? = nil, after: Tensor? = nil,
    into targets: Gradients
  ) throws {
    var (x, y) = ((u, before), (dy, after))
    precondition(targets.later == nil || chunks == 1, "chunks have no later positions")
    var filters = targets.filters
    let isFolded = foldsSums([dy, u] + [before, after].compactMap { $0 })
    if !filters.isEmpty, let products = try keptProducts(gated: before != nil && after != nil, isFolded) {
      try filterGradients(dy, u, before: before, after: after, keeping: products, into: filters)
      (x, y, filters) = ((products[0], nil), (products[1], nil), [])
    }
    // dx = after · dy correlated with the filter; of it come those of u and of the gate before.
    try run(
      y.0, spectrum, before: y.1,
      after: before.map { [$0] + (targets.before == nil ? [] : [u]) } ?? [],
      into: [targets.u] + (before == nil ? [] : targets.before.map { [$0] } ?? []), isConjugated: true)
    if let target = targets.after {
      try run(x.0, spectrum, before: x.1, after: [dy], into: [target], isConjugated: false)
    }
    if !filters.isEmpty { try filterGradients(dy, u, before: before, after: after, into: filters) }
  }

  /// Where the products with gates go that the sums for filters need and other gradients can use, if a kernel keeps them.
  private func keptProducts(gated: Bool, _ isFolded: Bool) throws -> [Tensor]? {
    guard gated, sumsChunks, isFolded || shape.length == shape.points else { return nil }
    let sizes = [shape.batch, shape.channels, shape.length]
    return try ["kept u", "kept dy"].map {
      let place = try workspace($0, shape.type, shape.batch * shape.channels)
      return place.reshaped([place.count]).sliced(axis: 0, 0..<sizes.reduce(1, *)).reshaped(sizes)
    }
  }

  /// Whether sums for filters read such sequences, shorter than the transform, where they lie.
  private func foldsSums(_ tensors: [Tensor]) -> Bool {
    guard shape.length != shape.points, holdsFolded, tensors.allSatisfy(\.canBeFolded) else { return false }
    // Parts of the channels are dense where there is but one, or one row of the batch.
    return sumsChunks || stages.map { $0.channelParts().count == 1 || shape.batch == 1 } ?? true
  }

  private func filterGradients(
    _ dy: Tensor, _ u: Tensor, before: Tensor?, after: Tensor?, keeping products: [Tensor] = [],
    into targets: [FilterGradient]
  ) throws {
    let isFolded = foldsSums([dy, u] + [before, after].compactMap { $0 })
    let isDirect = (isFolded || shape.length == shape.points) && (before == nil) == (after == nil)
    var factors = [u, dy]
    var gates = [before, after].compactMap { $0 }
    if !isDirect {
      factors = [try padded(u, gate: before, "u"), try padded(dy, gate: after, "dy")]
      gates = []
    }
    var wholes = targets
    if shape.filterLength != shape.points {
      for number in wholes.indices {
        wholes[number].target = try workspace(
          wholes[number].isLater ? "gradient of later" : "gradient", .float32, shape.channels)
      }
    }
    if let wide = try sumsOfChunks() {
      let sums = try wideSums(wide, factors, gates, keeping: products)
      for whole in wholes { try wide.finish(sums, into: whole) }
    } else if let stages {
      try longFilterGradients(stages, factors, gates, into: wholes)
    } else {
      let side = MonarchConstants.side
      let rows = [shape.batch, shape.channels * constants.radix, side]
      func cut(_ tensor: Tensor) -> Tensor {
        shape.isFolded(tensor) ? tensor : tensor.cutIntoRows(rows)
      }
      let sums = try self.sums(
        factors.map(cut), gates: gates.map(cut), rows: rows[1], isFolded: shape.isFolded(factors[0]))
      for whole in wholes {
        try inverse(whole).run(precise + sums + [whole.target.reshaped([rows[1], side])])
      }
    }
    guard shape.filterLength != shape.points else { return }
    for (whole, target) in zip(wholes, targets) {
      try copy(MonarchCopy.Shape(from: .float32, to: .float32)).run([whole.target, target.target])
    }
  }

  /// Sums of products of spectra `[P, R, 64]`, re and im.
  ///
  /// - Parameters:
  ///   - factors: u and g `[B, R, 64]`, or sequences to be folded, of complex numbers u re, u im, g re, g im.
  ///   - rows: R.
  private func sums(
    _ factors: [Tensor], gates: [Tensor], rows: Int, isComplex: Bool = false, isFolded: Bool = false
  ) throws -> [Tensor] {
    let (batch, side) = (factors[0].shape[0], MonarchConstants.side)
    var gradient = MonarchGradient.Shape(
      constants, type: shape.type, isComplex: isComplex, isGated: !gates.isEmpty)
    gradient.isWhole = rows % side == 0
    gradient.isFolded = isFolded
    let kernel = try gradients[gradient] ?? executor.compile(try MonarchGradient.kernel(gradient))
    gradients[gradient] = kernel
    // Parts of the batch are summed up afterwards.
    let tiles = (rows + side - 1) / side * (2 / gradient.halvesAtOnce)
    let share = Self.share(batch: batch, tiles: tiles, slots: 2 * executor.cores)
    let parts = (batch + share - 1) / share
    let sums = try accumulators([parts, rows, side])
    let inputs = gates.isEmpty ? factors : [factors[0], gates[0], factors[1], gates[1]]
    try kernel.run([matrices] + inputs + sums.map { $0.cut(into: 2) }, integers: [share])
    return sums
  }

  private func longFilterGradients(
    _ stages: MonarchStages, _ factors: [Tensor], _ gates: [Tensor], into targets: [FilterGradient]
  ) throws {
    let side = MonarchConstants.side
    let rows = shape.points / side
    // All rows of the batch at once: parts of it would have to be added up.
    for channels in stages.channelParts() {
      func cut(_ tensor: Tensor) -> Tensor { tensor.sliced(axis: 1, channels) }
      let part = (batch: 0..<shape.batch, channels: channels)
      let planes = try [0, 1].map { try stages.planes(part, set: $0) }
      for number in 0..<2 {
        try stages.forward(
          cut(factors[number]), gate: gates.isEmpty ? nil : cut(gates[number]), to: planes[number])
      }
      let sizes = [shape.batch, channels.count * rows, side]
      let sums = try self.sums(
        planes.flatMap { $0.map { $0.reshaped(sizes) } }, gates: [], rows: sizes[1], isComplex: true)
      for target in targets { try finish(stages, sums, channels: channels, into: target) }
    }
  }

  /// From sums of products of spectra to gradients of some channels' filters.
  private func finish(
    _ stages: MonarchStages, _ sums: [Tensor], channels: Range<Int>, into filter: FilterGradient
  ) throws {
    let target = filter.target.reshaped([shape.channels, stages.shape.points])
    let sizes = [channels.count * stages.shape.points / MonarchConstants.side, MonarchConstants.side]
    let parts = try stages.spectrumPlanes(channels: channels.count)
    try inverse(filter).run(precise + sums + parts.map { $0.reshaped(sizes) })
    try stages.inversePrecise(parts, to: target.sliced(axis: 0, channels))
  }

  /// ``sums(_:gates:isComplex:)`` of rows of 8,192 points, or of two chunks of as many.
  private func wideSums(
    _ wide: MonarchWhole, _ factors: [Tensor], _ gates: [Tensor], keeping products: [Tensor]
  ) throws -> [Tensor] {
    var gradient = MonarchWideGradient.Shape(
      type: shape.type, isGated: !gates.isEmpty, keepsProducts: !products.isEmpty)
    (gradient.chunks, gradient.isFolded) = (wide.chunks, shape.isFolded(factors[0]))
    let kernel =
      try wideGradients[gradient] ?? executor.compile(try MonarchWideGradient.kernel(gradient))
    wideGradients[gradient] = kernel
    let share = Self.share(batch: shape.batch, tiles: shape.channels, slots: executor.cores)
    let parts = (shape.batch + share - 1) / share
    let rows = [shape.batch, shape.channels * wide.chunks * MonarchWide.height, MonarchConstants.side]
    let sums = try accumulators([parts] + rows.dropFirst())
    let inputs = gates.isEmpty ? factors : [factors[0], gates[0], factors[1], gates[1]]
    try kernel.run(
      wide.wide + inputs.map { gradient.isFolded ? $0 : $0.cutIntoRows(rows) }
        + sums.map { $0.reshaped([parts, rows[1], 2, MonarchTile.width]) }
        + products.map { gradient.isFolded ? $0 : $0.reshaped(rows) }
        + (wide.chunks > 1 ? try keptSums(parts) : []),
      integers: [share])
    return sums
  }

  /// Tensors of ``MonarchSums/Kept``.
  private func keptSums(_ parts: Int) throws -> [Tensor] {
    let sizes = [shape.channels, parts, 4, MonarchWide.height, MonarchTile.width]
    if laterSums.first?.shape != sizes {
      laterSums = try [ElementType.float32, shape.type].map { try executor.tensor($0, sizes) }
    }
    return laterSums
  }

  private func inverse(_ filter: FilterGradient) throws -> any CompiledKernel {
    if let known = filterInverses[filter.isLater] { return known }
    let kernel = try executor.compile(try MonarchSpectrum.inverse(spectrumShape, ofLater: filter.isLater))
    filterInverses[filter.isLater] = kernel
    return kernel
  }
}
