internal import Memory
internal import Tiles

/// Rows of 8,192 points in one pass, and causal rows of 16,384 as two chunks of as many.
final class MonarchWhole {
  private let shape: MonarchConvolution.Shape
  private let executor: any Executor
  /// Of ``MonarchBroad``, or, for chunks, of ``MonarchWide``.
  private let matrices: [Tensor]
  private let spectrumConstants: [Tensor]
  private let spectra: any CompiledKernel
  private var broad: [MonarchBroad.Shape: any CompiledKernel] = [:]
  private var chunked: [MonarchWide.Shape: any CompiledKernel] = [:]
  private var gradientMatrices: [Tensor]?

  init(_ shape: MonarchConvolution.Shape, executor: any Executor) throws {
    (self.shape, self.executor) = (shape, executor)
    let isChunked = shape.chunks.count > 1
    let matrices =
      isChunked ? try MonarchWide.constants(shape.type) : try MonarchBroad.constants(shape.type, height: MonarchConstants.side)
    self.matrices = try matrices.map { try executor.place($0) }
    if isChunked { gradientMatrices = self.matrices }
    spectrumConstants = try MonarchWideSpectrum.constants(isChunked ? .wide : .broad)
      .map { try executor.place($0) }
    spectra = try executor.compile(try MonarchWideSpectrum.kernel(isCircular: shape.mode == .circular))
  }

  private var chunks: Int { shape.chunks.count }

  /// Matrices that sums for gradients of filters take.
  func gradientConstants() throws -> [Tensor] {
    if let gradientMatrices { return gradientMatrices }
    let placed = try MonarchWide.constants(shape.type).map { try executor.place($0) }
    gradientMatrices = placed
    return placed
  }

  /// Spectra of filters of whole rows, in the order of the kernel that takes them.
  func prepare(_ filter: Tensor, re: Tensor, im: Tensor) throws {
    let channels = shape.channels * chunks
    let rows = channels * MonarchWide.height
    let sizes = [rows, 2, MonarchTile.width]
    try spectra.run(
      spectrumConstants + [filter.reshaped([rows, MonarchConstants.side])]
        + [re, im].map { $0.reshaped(sizes) },
      integers: [(channels + executor.cores - 1) / executor.cores])
  }

  /// One convolution, or its adjoint, of whole rows.
  func run(
    _ u: Tensor, _ spectrum: MonarchConvolution.Spectrum, before: Tensor?, after: [Tensor], into y: [Tensor],
    isConjugated: Bool
  ) throws {
    // Two results at once with a gate before have no room.
    if before != nil, after.count > 1 {
      for (gate, target) in zip(after, y) {
        try run(u, spectrum, before: before, after: [gate], into: [target], isConjugated: isConjugated)
      }
      return
    }
    let rowTensors = [u] + (before.map { [$0] } ?? []) + after + y
    let parts = [spectrum.re, spectrum.im]
    func start(_ kernel: any CompiledKernel, height: Int, columns: Int, quarters: Int, slots: Int) throws {
      let rows = shape.channels * chunks * height
      try kernel.run(
        matrices + parts.map { $0.reshaped([rows, quarters, MonarchTile.width]) }
          + rowTensors.map { $0.cutIntoRows([shape.batch, rows, columns]) },
        integers: [MonarchConvolution.share(batch: shape.batch, tiles: shape.channels, slots: slots)])
    }
    if chunks == 1 {
      var form = MonarchBroad.Shape(type: shape.type, isGatedBefore: before != nil, gatesAfter: after.count)
      form.isConjugated = isConjugated
      let kernel = try broad[form] ?? executor.compile(try MonarchBroad.kernel(form))
      broad[form] = kernel
      let columns = MonarchQuarters.columns
      try start(
        kernel, height: MonarchConstants.side, columns: columns, quarters: 4, slots: 2 * executor.cores)
    } else {
      var form = MonarchWide.Shape(type: shape.type, isGatedBefore: before != nil, gatesAfter: after.count)
      (form.isConjugated, form.chunks) = (isConjugated, chunks)
      let kernel = try chunked[form] ?? executor.compile(try MonarchWide.kernel(form))
      chunked[form] = kernel
      try start(
        kernel, height: MonarchWide.height, columns: MonarchConstants.side, quarters: 2,
        slots: executor.cores)
    }
  }
}
