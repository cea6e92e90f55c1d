internal import Memory
internal import Tiles

/// Rows of 8,192 points, and of 16,384, in one pass.
final class MonarchWhole {
  private let shape: MonarchConvolution.Shape
  private let executor: any Executor
  /// Rows of a channel, of 128 numbers.
  private let height: Int
  private let matrices: [Tensor]
  private let spectrumConstants: [Tensor]
  private let spectra: any CompiledKernel
  private var kernels: [MonarchBroad.Shape: any CompiledKernel] = [:]
  private var gradientMatrices: [Tensor]?

  init(_ shape: MonarchConvolution.Shape, executor: any Executor) throws {
    (self.shape, self.executor) = (shape, executor)
    height = shape.points / MonarchQuarters.columns
    matrices = try MonarchBroad.constants(shape.type, height: height).map { try executor.place($0) }
    let isCircular = shape.mode == .circular
    let isTall = height > MonarchConstants.side
    let constants = try isTall ? MonarchTallSpectrum.constants() : MonarchWideSpectrum.constants()
    spectrumConstants = try constants.map { try executor.place($0) }
    spectra = try executor.compile(
      try isTall
        ? MonarchTallSpectrum.kernel(isCircular: isCircular)
        : MonarchWideSpectrum.kernel(isCircular: isCircular))
  }

  /// Whether rows of so many points are such.
  static func takes(_ points: Int) -> Bool {
    [1, 2].contains(points / (MonarchConstants.side * MonarchQuarters.columns))
  }

  /// Matrices that sums for gradients of filters take.
  func gradientConstants() throws -> [Tensor] {
    if let gradientMatrices { return gradientMatrices }
    let placed = try MonarchWide.constants(shape.type).map { try executor.place($0) }
    gradientMatrices = placed
    return placed
  }

  /// Spectra of filters of whole rows, in the order of the kernel that takes them.
  func prepare(_ filter: Tensor, re: Tensor, im: Tensor) throws {
    let isTall = height > MonarchConstants.side
    // A task of filters of 8,192 points has 128 rows of half as many numbers.
    let rows = shape.channels * 2 * MonarchConstants.side
    let tasks = isTall ? executor.cores / 2 : executor.cores
    let parts = isTall ? 4 : 2
    try spectra.run(
      spectrumConstants + [filter.reshaped([rows, shape.points * shape.channels / rows])]
        + [re, im].map { $0.reshaped([rows, parts, MonarchTile.width]) },
      integers: [(shape.channels + tasks - 1) / tasks])
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
    var form = MonarchBroad.Shape(type: shape.type, isGatedBefore: before != nil, gatesAfter: after.count)
    (form.isConjugated, form.height) = (isConjugated, height)
    let kernel = try kernels[form] ?? executor.compile(try MonarchBroad.kernel(form))
    kernels[form] = kernel
    let rows = shape.channels * height
    let tensors = [u] + (before.map { [$0] } ?? []) + after + y
    try kernel.run(
      matrices + [spectrum.re, spectrum.im].map { $0.reshaped([rows, 4, MonarchTile.width]) }
        + tensors.map { $0.cutIntoRows([shape.batch, rows, MonarchQuarters.columns]) },
      integers: [
        MonarchConvolution.share(
          batch: shape.batch, tiles: shape.channels,
          slots: executor.cores * 2 * MonarchConstants.side / height)
      ])
  }
}
