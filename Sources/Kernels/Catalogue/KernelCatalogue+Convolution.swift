internal import Memory
internal import Tiles

extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  /// Long convolutions.
  static let convolutions: [CatalogueEntry] =
    (fused + spectra + spectrumGradients + outer + twofold + wide + broad + wideSpectra + realSpectra).map {
      $0.large()
    }

  private static func shape(
    radix: Int, type: ElementType = .bfloat16, _ change: (inout MonarchFused.Shape) -> Void = { _ in }
  ) -> MonarchFused.Shape {
    var shape = MonarchFused.Shape(MonarchConstants(radix: radix, isShifted: true), type: type)
    change(&shape)
    return shape
  }

  private static let fused: [CatalogueEntry] =
    [
      shape(radix: 64), shape(radix: 64, type: .float16), shape(radix: 16),
      shape(radix: 8) { $0.isWhole = false },
      shape(radix: 64) { ($0.isGatedBefore, $0.gatesAfter) = (true, 1) },
      shape(radix: 64, type: .float16) { ($0.isGatedBefore, $0.gatesAfter) = (true, 1) },
      shape(radix: 32) { ($0.isGatedBefore, $0.gatesAfter, $0.isConjugated) = (true, 2, true) },
      shape(radix: 16, type: .float16), shape(radix: 8, type: .float16) { $0.isWhole = false },
      shape(radix: 64, type: .float16) {
        ($0.isGatedBefore, $0.gatesAfter, $0.isConjugated) = (true, 2, true)
      },
      shape(radix: 64, type: .float16) { $0.isConjugated = true },
      shape(radix: 64, type: .float16).visiting(64),
      shape(radix: 64, type: .float16) { $0.isConjugated = true }.visiting(64),
      shape(radix: 64, type: .float16) { $0.chunks = 2 },
      shape(radix: 64, type: .float16) { ($0.chunks, $0.isConjugated) = (2, true) },
      shape(radix: 64) { ($0.chunks, $0.isConjugated) = (2, true) },
      shape(radix: 64, type: .float16) { ($0.isGatedBefore, $0.chunks) = (true, 2) },
      shape(radix: 64) { ($0.isGatedBefore, $0.chunks, $0.isConjugated) = (true, 2, true) },
      shape(radix: 64, type: .float16) { ($0.gatesAfter, $0.chunks) = (1, 2) },
      shape(radix: 64, type: .float16) { ($0.gatesAfter, $0.chunks, $0.isConjugated) = (2, 2, true) },
      shape(radix: 64, type: .float16) { ($0.isGatedBefore, $0.gatesAfter, $0.chunks) = (true, 1, 2) },
      shape(radix: 64) { ($0.isGatedBefore, $0.gatesAfter, $0.chunks) = (true, 1, 2) },
      shape(radix: 64, type: .float16) {
        ($0.isGatedBefore, $0.gatesAfter, $0.chunks, $0.isConjugated) = (true, 2, 2, true)
      },
      shape(radix: 64, type: .float16) { $0.isFolded = true },
      shape(radix: 32, type: .float16) { $0.isFolded = true },
      shape(radix: 16) { ($0.isFolded, $0.isConjugated) = (true, true) },
      shape(radix: 1) { ($0.isWhole, $0.isFolded) = (false, true) },
      shape(radix: 8) { ($0.isWhole, $0.isFolded) = (false, true) },
      shape(radix: 64) { ($0.isGatedBefore, $0.gatesAfter, $0.isFolded) = (true, 1, true) },
      shape(radix: 16, type: .float16) { ($0.isGatedBefore, $0.gatesAfter, $0.isFolded) = (true, 2, true) },
      shape(radix: 64, type: .float16) { ($0.chunks, $0.isFolded) = (2, true) },
      shape(radix: 64, type: .float16) {
        ($0.isGatedBefore, $0.gatesAfter, $0.chunks, $0.isFolded) = (true, 1, 2, true)
      },
      MonarchFused.Shape(MonarchConstants(radix: 64, isShifted: false), type: .bfloat16, isComplex: true),
      MonarchFused.Shape(MonarchConstants(radix: 64, isShifted: false), type: .float16, isComplex: true),
    ].map { shape in
      CatalogueEntry(
        "monarch_fused_\(shape.variant)",
        // Rotations keep norms; each of five roundings is 2⁻⁹ of one, and of float16's, some twenty with those of sums, 2⁻¹².
        tolerance: CatalogueEntry.Tolerance(
          absolute: shape.type == .float16 ? 0x1p-8 : 0x1p-5, relative: 0x1p-6),
        cases: sizes(
          ["B": 3, "R": !shape.isWhole ? 88 : 2 * 64 * shape.chunks, "share": 2],
          shape.fold
        ).map { Case($0, matrices(MonarchTile.parts(shape.constants))) }
      ) { try MonarchFused.kernel(shape) }
    }

  /// The sizes, of folded sequences with lengths that end within a row, and are the longest that any place in memory allows; of long ones,
  /// which take seconds in float64, with one that ends in the last chunk.
  private static func sizes(_ sizes: [String: Int], _ fold: SequenceFold?) -> [[String: Int]] {
    guard let fold, let rows = sizes["R"] else { return [sizes] }
    let room = fold.rows * fold.step
    let lengths = room > 64 * 64 ? [room - room / 8 + 1] : [room / 2 + 1, room - 7]
    return lengths.map { sizes.merging(["H": rows / fold.rows, "L": $0]) { $1 } }
  }

  private static func matrices(_ parts: [[Double]]) -> [String: CatalogueEntry.Fill] {
    ["constants": .numbers(parts.flatMap { $0.map { Float($0) } })]
  }

  private static let spectra: [CatalogueEntry] = [false, true].flatMap { isComplex in
    var shape = MonarchSpectrum.Shape(MonarchConstants(radix: isComplex ? 64 : 32, isShifted: !isComplex))
    (shape.isComplex, shape.isCircular) = (isComplex, !isComplex)
    let twiddles = shape.constants.twiddles
    let fills = matrices(MonarchPrecise.parts(shape.constants)).merging([
      "twiddles": .numbers((twiddles.re + twiddles.im).map { Float($0) })
    ]) { $1 }
    return [
      CatalogueEntry(
        "monarch_spectrum_\(shape.variant)",
        tolerance: CatalogueEntry.Tolerance(absolute: 0x1p-8, relative: 0x1p-12),
        cases: [Case(["R": isComplex ? 64 : 96], fills)]
      ) { [shape] in try MonarchSpectrum.kernel(shape) }
    ]
      + [false, true].map { ofLater in
        CatalogueEntry(
          "monarch_filter_gradient_\(shape.variant)\(ofLater ? "_later" : "")",
          tolerance: CatalogueEntry.Tolerance(absolute: 0x1p-8, relative: 0x1p-12),
          cases: [Case(["P": 2, "R": isComplex ? 64 : 96], fills)]
        ) { [shape] in try MonarchSpectrum.inverse(shape, ofLater: ofLater) }
      }
  }

  private static let spectrumGradients: [CatalogueEntry] = [
    MonarchGradient.Shape(MonarchConstants(radix: 64, isShifted: true), type: .bfloat16),
    MonarchGradient.Shape(MonarchConstants(radix: 16, isShifted: true), type: .bfloat16, isGated: true),
    MonarchGradient.Shape(MonarchConstants(radix: 64, isShifted: true), type: .float16, isGated: true),
    MonarchGradient.Shape(MonarchConstants(radix: 64, isShifted: false), type: .bfloat16, isComplex: true),
    foldedGradient(radix: 64, isGated: false), foldedGradient(radix: 16, isGated: true),
    foldedGradient(radix: 64, type: .bfloat16, isGated: true),
  ].map { shape in
    CatalogueEntry(
      "monarch_gradient_\(shape.variant)",
      tolerance: CatalogueEntry.Tolerance(
        absolute: shape.type == .float16 ? 0x1p-8 : 0x1p-5, relative: 0x1p-6),
      cases: sizes(["B": 3, "R": 64, "P": 2, "share": 2], shape.fold).map {
        Case($0, matrices(MonarchTile.parts(shape.constants)))
      }
    ) { try MonarchGradient.kernel(shape) }
  }

  private static func foldedGradient(
    radix: Int, type: ElementType = .float16, isGated: Bool
  ) -> MonarchGradient.Shape {
    var shape = MonarchGradient.Shape(
      MonarchConstants(radix: radix, isShifted: true), type: type, isGated: isGated)
    shape.isFolded = true
    return shape
  }

  private static let outer: [CatalogueEntry] =
    [
      MonarchOuter.Shape(MonarchConstants(radix: 16, isShifted: true), type: .bfloat16),
      MonarchOuter.Shape(MonarchConstants(radix: 64, isShifted: true), type: .float16, gates: 1),
      MonarchOuter.Shape(MonarchConstants(radix: 4, isShifted: false), type: .bfloat16, isComplex: true),
      folded(radix: 16, gates: 1), folded(radix: 64, gates: 0), folded(radix: 64, gates: 2),
      folded(radix: 8, gates: 0),
    ].flatMap { shape -> [CatalogueEntry] in
      let rows = shape.constants.rows
      let fills = outerFills(shape.constants, [rows.re, rows.im, rows.im.map { -$0 }])
      let cases = sizes(["B": 2, "R": shape.isWhole ? 64 : 88, "M": 128, "share": 2], shape.fold).map {
        Case($0, fills)
      }
      let tolerance = CatalogueEntry.Tolerance(
        absolute: shape.type == .float16 ? 0x1p-8 : 0x1p-5, relative: 0x1p-6)
      return [
        CatalogueEntry("monarch_outer_\(shape.variant)", tolerance: tolerance, cases: cases) {
          try MonarchOuter.forward(shape)
        },
        CatalogueEntry("monarch_outer_inverse_\(shape.variant)", tolerance: tolerance, cases: cases) {
          try MonarchOuter.inverse(shape)
        },
      ]
    }
    + [false, true].flatMap { isComplex -> [CatalogueEntry] in
      let constants = MonarchConstants(radix: 8, isShifted: !isComplex)
      let rows = constants.rows
      let parts = [rows.re, rows.im, rows.im.map { -$0 }].flatMap { MonarchStack.split($0) }
      let tolerance = CatalogueEntry.Tolerance(absolute: 0x1p-10, relative: 0x1p-12)
      let cases = [Case(["R": 88, "M": 128], outerFills(constants, parts))]
      let name = "8\(isComplex ? "_plain_complex" : "")"
      return [
        CatalogueEntry("monarch_outer_precise_\(name)", tolerance: tolerance, cases: cases) {
          try MonarchOuterPrecise.forward(constants, isComplex: isComplex)
        },
        CatalogueEntry("monarch_outer_precise_inverse_\(name)", tolerance: tolerance, cases: cases) {
          try MonarchOuterPrecise.inverse(constants, isComplex: isComplex)
        },
      ]
    }

  private static func folded(radix: Int, gates: Int) -> MonarchOuter.Shape {
    var shape = MonarchOuter.Shape(
      MonarchConstants(radix: radix, isShifted: true), type: .float16, gates: gates)
    (shape.foldedColumns, shape.isWhole) = (128, radix >= 16)
    return shape
  }

  private static func outerFills(
    _ constants: MonarchConstants, _ parts: [[Double]]
  ) -> [String: CatalogueEntry.Fill] {
    let twiddles = constants.twiddles(columns: 128)
    return matrices(parts).merging([
      "twiddles_re": .numbers(twiddles.re.map { Float($0) }),
      "twiddles_im": .numbers(twiddles.im.map { Float($0) }),
    ]) { $1 }
  }

  private static let twofold: [CatalogueEntry] = [
    MonarchOuterTwofold.Shape(few: 2, type: .bfloat16),
    MonarchOuterTwofold.Shape(few: 4, type: .float16, gates: 1),
    MonarchOuterTwofold.Shape(few: 4, type: .float16),
    folded(few: 2, gates: 0), folded(few: 4, gates: 1), folded(few: 2, gates: 2),
  ].flatMap { shape -> [CatalogueEntry] in
    let (constants, columns) = (MonarchConstants(radix: 64, isShifted: true), 64)
    let (rows, outer) = (constants.rows, constants.twiddles(columns: shape.few * columns))
    let inner = MonarchConstants(radix: shape.few, isShifted: false).twiddles(columns: columns)
    func numbers(_ part: [Double]) -> CatalogueEntry.Fill { .numbers(part.map { Float($0) }) }
    let fills = matrices([rows.re, rows.im, rows.im.map { -$0 }]).merging([
      "outer_re": numbers(outer.re), "outer_im": numbers(outer.im), "inner_re": numbers(inner.re),
      "inner_im": numbers(inner.im),
    ]) { $1 }
    let cases = sizes(["B": 2, "R": 64, "M": columns, "share": 2], shape.fold).map { Case($0, fills) }
    let tolerance = CatalogueEntry.Tolerance(
      absolute: shape.type == .float16 ? 0x1p-8 : 0x1p-5, relative: 0x1p-6)
    return [
      CatalogueEntry("monarch_outer_twofold_\(shape.variant)", tolerance: tolerance, cases: cases) {
        try MonarchOuterTwofold.forward(shape)
      },
      CatalogueEntry("monarch_outer_twofold_inverse_\(shape.variant)", tolerance: tolerance, cases: cases) {
        try MonarchOuterTwofold.inverse(shape)
      },
    ]
  }

  private static func folded(few: Int, gates: Int) -> MonarchOuterTwofold.Shape {
    var shape = MonarchOuterTwofold.Shape(few: few, type: .float16, gates: gates)
    shape.foldedColumns = few * 64
    return shape
  }

  private static let wide: [CatalogueEntry] =
    ([
      MonarchWide.Shape(type: .bfloat16),
      MonarchWide.Shape(type: .float16, isGatedBefore: true, gatesAfter: 1),
      MonarchWide.Shape(type: .float16, isGatedBefore: true, gatesAfter: 2),
      MonarchWide.Shape(type: .float16, gatesAfter: 2),
    ] + chunked + manyChunks + folded).map { shape in
      // Of two channels the first task has the first and a row of the second.
      wideEntry(
        "monarch_wide_\(shape.variant)", shape.type,
        shape.chunks > 2
          ? ["B": 3, "R": 256 * shape.chunks, "share": 2] : ["B": 2, "R": 256 * shape.chunks, "share": 3],
        fold: shape.fold
      ) {
        try MonarchWide.kernel(shape)
      }
    }
    + [(1, false), (2, false), (1, true), (2, true)].flatMap { chunks, isFolded in
      [
        MonarchWideGradient.Shape(type: .float16), MonarchWideGradient.Shape(type: .bfloat16, isGated: true),
        MonarchWideGradient.Shape(type: .float16, isGated: true, keepsProducts: true),
      ].map { shape in
        var shape = shape
        (shape.chunks, shape.isFolded) = (chunks, isFolded)
        return shape
      }
    }.map { (shape: MonarchWideGradient.Shape) in
      wideEntry(
        "monarch_wide_gradient_\(shape.variant)", shape.type,
        ["B": 3, "R": 128 * shape.chunks, "P": 2, "share": 2], fold: shape.fold
      ) { try MonarchWideGradient.kernel(shape) }
    }

  /// Every form of rows that are two chunks.
  private static let chunked: [MonarchWide.Shape] = [
    (ElementType.bfloat16, false, 0, false), (.float16, false, 0, true), (.float16, true, 0, false),
    (.float16, false, 1, false), (.float16, true, 1, false), (.bfloat16, true, 1, true),
    (.float16, false, 2, true),
  ].map { type, before, after, isConjugated in
    var shape = MonarchWide.Shape(type: type, isGatedBefore: before, gatesAfter: after)
    (shape.chunks, shape.isConjugated) = (2, isConjugated)
    return shape
  }

  /// Those of rows that are four.
  private static let manyChunks: [MonarchWide.Shape] = [
    (ElementType.float16, false, 0, false), (.bfloat16, false, 0, true), (.float16, true, 0, false),
    (.float16, false, 1, true), (.float16, true, 1, false), (.bfloat16, true, 1, false),
    (.float16, true, 1, true),
  ].map { type, before, after, isConjugated in
    var shape = MonarchWide.Shape(type: type, isGatedBefore: before, gatesAfter: after)
    (shape.chunks, shape.isConjugated) = (4, isConjugated)
    return shape
  }

  /// Rows that are shorter than their chunks.
  private static let folded: [MonarchWide.Shape] =
    [
      (ElementType.float16, 1, false, false), (.float16, 1, true, true), (.float16, 2, false, false),
      (.float16, 2, true, true), (.bfloat16, 2, true, false), (.bfloat16, 2, false, true),
      (.float16, 4, false, false),
      (.float16, 4, true, true), (.bfloat16, 4, true, true),
    ].map { type, chunks, before, after in
      var shape = MonarchWide.Shape(type: type, isGatedBefore: before, gatesAfter: after ? 1 : 0)
      (shape.chunks, shape.isFolded) = (chunks, true)
      return shape
    }
    + [(1, true), (1, false), (2, false)].map { chunks, isGatedBefore in
      var shape = MonarchWide.Shape(type: .float16, isGatedBefore: isGatedBefore, gatesAfter: 2)
      (shape.chunks, shape.isConjugated, shape.isFolded) = (chunks, true, true)
      return shape
    }

  private static func wideEntry(
    _ name: String, _ type: ElementType, _ sizes: [String: Int], fold: SequenceFold? = nil,
    _ make: @escaping @Sendable () throws -> Kernel
  ) -> CatalogueEntry {
    let (rows, twiddles) = (MonarchWide.rowMatrix, MonarchWide.twiddleMatrix)
    func numbers(_ parts: [[Double]]) -> CatalogueEntry.Fill {
      .numbers(parts.flatMap { $0.map { Float($0) } })
    }
    let fills = [
      "rows": numbers([rows.re, rows.im]), "twiddles": numbers([twiddles.re, twiddles.im]),
      "columns": numbers(MonarchConstants.halves + [MonarchConstants.quarters]),
    ]
    return CatalogueEntry(
      name,
      tolerance: CatalogueEntry.Tolerance(
        absolute: type == .float16 ? 0x1p-8 : 0x1p-5, relative: 0x1p-6),
      cases: self.sizes(sizes, fold).map { Case($0, fills) }, make: make)
  }

  private static let broad: [CatalogueEntry] = [
    (ElementType.bfloat16, 2, true), (.float16, 2, true), (.float16, 1, false),
  ].map { type, after, isConjugated in
    var shape = MonarchBroad.Shape(type: type, gatesAfter: after)
    shape.isConjugated = isConjugated
    let names = ["rows", "columns", "twiddles", "turns"]
    let fills = Dictionary(
      uniqueKeysWithValues: zip(
        names, MonarchQuarters.parts.map { CatalogueEntry.Fill.numbers($0.map { Float($0) }) }))
    return CatalogueEntry(
      "monarch_broad_\(shape.variant)",
      tolerance: CatalogueEntry.Tolerance(
        absolute: type == .float16 ? 0x1p-8 : 0x1p-5, relative: 0x1p-6),
      cases: [Case(["B": 3, "R": 64, "share": 2], fills)]
    ) { [shape] in try MonarchBroad.kernel(shape) }
  }

  private static let realSpectra: [CatalogueEntry] = [(16, true), (64, false)].map { radix, isCircular in
    var shape = MonarchSpectrum.Shape(MonarchConstants(radix: radix, isShifted: true))
    shape.isCircular = isCircular
    let twiddles = shape.constants.twiddles
    let fills = matrices(MonarchRealSpectrum.parts(shape.constants)).merging([
      "twiddles": .numbers((twiddles.re + twiddles.im).map { Float($0) })
    ]) { $1 }
    return CatalogueEntry(
      "monarch_real_spectrum_\(shape.variant)",
      tolerance: CatalogueEntry.Tolerance(absolute: 0x1p-8, relative: 0x1p-12),
      cases: [Case(["R": 192, "share": 2], fills)]
    ) { [shape] in try MonarchRealSpectrum.kernel(shape) }
  }

  private static let wideSpectra: [CatalogueEntry] = [false, true].flatMap { isCircular in
    let parts = MonarchWideSpectrum.parts
    func numbers(_ parts: [[Double]]) -> CatalogueEntry.Fill {
      .numbers(parts.flatMap { $0.map { Float($0) } })
    }
    let fills = [
      "rows": numbers(parts.rows), "columns": numbers(parts.columns), "twiddles": numbers(parts.twiddles),
    ]
    let name = isCircular ? "_circular" : ""
    let tolerance = CatalogueEntry.Tolerance(absolute: 0x1p-8, relative: 0x1p-12)
    return [
      CatalogueEntry(
        "monarch_wide_spectrum\(name)", tolerance: tolerance, cases: [Case(["R": 384, "share": 2], fills)]
      ) { try MonarchWideSpectrum.kernel(isCircular: isCircular) }
    ]
      + [false, true].map { ofLater in
        CatalogueEntry(
          "monarch_wide_inverse\(name)\(ofLater ? "_later" : "")", tolerance: tolerance,
          cases: [Case(["R": 384, "P": 2, "share": 2], fills)]
        ) { try MonarchWideInverse.kernel(isCircular: isCircular, ofLater: ofLater) }
      }
  }
}
