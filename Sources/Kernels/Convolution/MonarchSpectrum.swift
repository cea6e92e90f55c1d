package import Memory
package import Tiles

/// Spectra of filters, and filters from gradients of spectra, of up to 4,096 points, nearly as precise as float32.
///
/// One tile of 64 rows a task. Floor: 12 bytes a point over the bandwidth, and 18 products of a tile over the rate of the
/// matrix units; done once for all rows of the batch.
package enum MonarchSpectrum {
  /// What is fixed while recording.
  package struct Shape: Sendable, Hashable {
    /// Points and kind of the transform.
    package var constants: MonarchConstants
    /// Whether numbers are complex, in two tensors.
    package var isComplex = false
    /// Whether spectra are those for circular convolution: times 1 − i, so that the real part of a product's inverse is
    /// the sum of what lies within S points and what lies beyond.
    package var isCircular = false

    /// A real transform where nothing else is said.
    package init(_ constants: MonarchConstants, isComplex: Bool = false, isCircular: Bool = false) {
      (self.constants, self.isComplex, self.isCircular) = (constants, isComplex, isCircular)
    }

    /// By what transforms are multiplied: matrices are scaled as those of data are; spectra are not.
    var scale: Double { 8 * MonarchConstants.root(constants.radix) * constants.spectrumScale }

    var variant: String {
      "\(constants.radix)\(constants.isShifted ? "" : "_plain")\(isComplex ? "_complex" : "")"
        + (isCircular ? "_circular" : "")
    }
  }

  /// What the kernels take first.
  package static func constants(_ shape: Shape) throws -> [Tensor] {
    try MonarchPrecise.tensors(shape.constants)
  }

  private static let side = MonarchConstants.side

  private static func schedule(_ shape: Shape, tasksPerCore: Int) -> Kernel.Schedule {
    var schedule = Kernel.Schedule(groups: 1, tasksPerCore: tasksPerCore)
    schedule.bringsOperands = true
    // Two tasks of complex rows have no neighbouring registers to spare.
    schedule.readsPairs = !shape.isComplex || tasksPerCore == 1
    return schedule
  }

  /// Rows of a task that are there; complex ones fill tiles.
  private static func valid(_ shape: Shape, _ rows: Index, from row: Index) -> Index {
    shape.constants.sharesMatrix ? Index(side) : (rows - row).min(Index(side))
  }

  /// Spectra as ``MonarchFused`` takes them.
  ///
  /// Arguments: ``constants(_:)``, filters float32 `[R, 64]` (re and im where complex), results re and im float32 `[R, 64]`.
  package static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_spectrum_\(shape.variant)") { k in
      let rows = k.extent("R")
      let constants = MonarchPrecise.parameters(k, shape.constants)
      let inputs = (shape.isComplex ? ["re", "im"] : ["filter"]).map {
        k.input($0, .float32, [rows, Index(side)])
      }
      let outputs = ["spectrum_re", "spectrum_im"].map { k.output($0, .float32, [rows, Index(side)]) }
      k.grid([rows.ceilDiv(Index(side))], schedule: schedule(shape, tasksPerCore: 2)) { task in
        let row = task[0] * Index(side)
        let valid = valid(shape, rows, from: row)
        let precise = MonarchPrecise(k, shape.constants, from: constants, valid: valid)
        var result = precise.spectrum(
          inputs.map { k.load($0, at: [row, 0], rows: side, columns: side, validRows: valid) })
        if shape.isCircular {
          result = MonarchTile.Pair(
            re: k.map(.add, result.re, result.im), im: k.map(.subtract, result.im, result.re))
        }
        for (part, output) in zip([result.re, result.im], outputs) {
          k.store(k.map(.multiply, part, shape.scale), to: output, at: [row, 0])
        }
      }
    }
  }

  /// Writes re and im of one part of the frequencies, side by side in a sum, to spectra `[R, parts, …]`.
  ///
  /// - Parameters:
  ///   - isCircular: as ``Shape/isCircular``.
  ///   - scale: what the matrices leave out.
  static func store(
    _ spectrum: Tile, part: Int, isCircular: Bool, scale: Double, to outputs: [TensorParameter], row: Index,
    _ k: Recorder
  ) {
    let width = spectrum.columns / 2
    var parts = [0, width].map { k.columns(of: spectrum, from: $0, count: width) }
    if isCircular { parts = [k.map(.add, parts[0], parts[1]), k.map(.subtract, parts[1], parts[0])] }
    for (tile, output) in zip(parts, outputs) {
      k.store(
        k.map(.multiply, tile, scale), to: output, at: [row, Index(part), 0], rowAxis: 0, columnAxis: 2)
    }
  }

  /// Gradients of filters from sums of products of spectra.
  ///
  /// Arguments: ``constants(_:)``, sums re and im float32 `[P, R, 64]` as ``MonarchGradient`` leaves them, of which P parts are
  /// added up, result float32 `[R, 64]`: the real part, and, of complex ones, the imaginary part.
  ///
  /// - Parameter ofLater: whether the filter is one of later positions, whose transform counts conjugated.
  package static func inverse(_ shape: Shape, ofLater: Bool = false) throws(TileError) -> Kernel {
    try Kernel("monarch_filter_gradient_\(shape.variant)\(ofLater ? "_later" : "")") { k in
      let (parts, rows) = (k.extent("P"), k.extent("R"))
      let constants = MonarchPrecise.parameters(k, shape.constants)
      let sums = ["sums_re", "sums_im"].map { k.input($0, .float32, [parts, rows, Index(side)]) }
      let outputs = (shape.isComplex ? ["re", "im"] : ["gradient"]).map {
        k.output($0, .float32, [rows, Index(side)])
      }
      k.grid([rows.ceilDiv(Index(side))], schedule: schedule(shape, tasksPerCore: 1)) { task in
        let row = task[0] * Index(side)
        let valid = valid(shape, rows, from: row)
        let precise = MonarchPrecise(k, shape.constants, from: constants, valid: valid)
        let totals = sums.map { _ in
          k.filled(0, rows: side, columns: side, validRows: valid, validColumns: Index(side))
        }
        k.loop(parts) { part in
          for (sum, total) in zip(sums, totals) {
            let term = k.load(sum, at: [part, row, 0], rows: side, columns: side, validRows: valid)
            k.assign(total, k.map(.add, total, term))
          }
        }
        if ofLater { k.assign(totals[1], k.map(.negate, totals[1])) }
        var spectrum = MonarchTile.Pair(re: totals[0], im: totals[1])
        if shape.isCircular {
          spectrum = MonarchTile.Pair(
            re: k.map(.subtract, totals[0], totals[1]), im: k.map(.add, totals[0], totals[1]))
        }
        let root = MonarchConstants.root(shape.constants.radix)
        // Three transforms were scaled by 1/(8·root), which is to be 1/S.
        let scale = 8 * root * root * root / Double(shape.constants.radix)
        precise.inverse(spectrum, isComplex: shape.isComplex) { number, part in
          k.store(k.map(.multiply, part, scale), to: outputs[number], at: [row, 0])
        }
      }
    }
  }
}
