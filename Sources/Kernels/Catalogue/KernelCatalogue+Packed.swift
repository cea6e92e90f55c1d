internal import Memory
internal import Tiles

extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  /// Products of weights in blocks with 16-bit activations, and products whose inner side is cut into parts.
  static let packed: [CatalogueEntry] = (blocks + joined + parts).map { $0.large() } + sums

  /// Weights are the same 16 bits on all sides, so that only sums round: an integer that is off by one shows.
  private static let exactWeights = CatalogueEntry.Tolerance.sums(180)

  // The inputs are no whole number of steps, the outputs none of tiles.
  private static let blocks: [CatalogueEntry] = Linear.packedTypes.sorted { $0.rawValue < $1.rawValue }
    .flatMap {
      type in
      [
        (8, Linear.Epilogue.none, [1, 7]), (16, .bias, [13]), (64, .residual, [20, 64]),
        (nil, .biasAndResidual, [1, 130]),
      ].map { (limit: Int?, epilogue, rows: [Int]) in
        CatalogueEntry(
          "linear_\(type.rawValue)_sixteenbit_\(limit.map { "m\($0)" } ?? "any")_\(epilogue)",
          tolerance: exactWeights, cases: rows.map { Case(["M": $0]) }
        ) {
          try Linear.kernel(
            .sixteenBit(inputs: 608, outputs: 136, rowLimit: limit, weight: type), weight: type,
            arithmetic: .sixteenBit, epilogue: epilogue)
        }
      }
    }

  private static let joined: [CatalogueEntry] =
    [
      ("q4_1", (gate: ElementType.q4_1, up: ElementType.q4_1)), ("mixed", (gate: .q4_0, up: .q8_0)),
    ].flatMap { name, weights in
      [8, 32, nil].map { (limit: Int?) in
        CatalogueEntry(
          "gated_\(name)_sixteenbit_\(limit.map { "m\($0)" } ?? "any")",
          // Both sides of the gate are rounded sums.
          tolerance: CatalogueEntry.Tolerance(absolute: 0x1p-5, relative: 0x1p-6),
          cases: [Case(["M": limit ?? 70])]
        ) {
          try GatedLinear.kernel(
            .sixteenBit(inputs: 288, outputs: 136, rowLimit: limit, sums: 2, weight: weights.up),
            weights: weights, arithmetic: .sixteenBit, output: .bfloat16)
        }
      }
    } + [
      CatalogueEntry(
        "linear_q4_0_sixteenbit_m8_wide", tolerance: exactWeights, cases: [Case(["M": 2])]
      ) {
        try Linear.kernel(
          .sixteenBit(inputs: 96, outputs: 16648, rowLimit: 8, weight: .q4_0), weight: .q4_0,
          arithmetic: .sixteenBit)
      }
    ]

  // MARK: Parts of the inner side

  // Parts of unequal lengths, and one without a step.
  private static let parts: [CatalogueEntry] =
    [(ElementType.bfloat16, 8, 200), (.bfloat16, 64, 520), (.q4_0, 8, 1056), (.q8_0, 16, 608)].map {
      type, limit, inputs in
      CatalogueEntry(
        "linear_\(type.rawValue)_parts_m\(limit)", tolerance: exactWeights, cases: [Case(["M": limit - 1])]
      ) {
        var shape = Linear.Shape.sixteenBit(inputs: inputs, outputs: 72, rowLimit: limit, weight: type)
        shape.splits = 4
        return try Linear.parts(shape, weight: type)
      }
    }
    + [(330, 72, 132), (1000, 200, 20), (2000, 128, 8), (768, 768, 132), (3072, 768, 132)].map {
      inputs, outputs, cores in
      CatalogueEntry(
        "linear_bfloat16_parts_narrow_\(inputs)", tolerance: exactWeights,
        cases: [33, 64].map { Case(["M": $0]) }
      ) {
        let shape = Linear.Shape.sixteenBit(inputs: inputs, outputs: outputs, rowLimit: 64)
        return try Linear.parts(shape.cut(for: cores), weight: .bfloat16)
      }
    }
    + [false, true].flatMap { transposes in
      [16, 128].map { rows in
        CatalogueEntry(
          "gemm_bfloat16_parts\(rows)\(transposes ? "_nt" : "")", tolerance: .sums(330),
          cases: [Case(["M": rows - 3, "N": 136, "K": 328])]
        ) {
          var plan = Gemm.Plan.gpu(rows: rows, columns: 136)
          plan.splits = 4
          return try Gemm.parts(transposesB: transposes, plan: plan)
        }
      }
    }

  private static let sums: [CatalogueEntry] = [
    (2, Linear.Epilogue.none, ElementType.bfloat16), (3, .biasAndResidual, .float32),
    (8, .residual, .float32),
  ].map { splits, epilogue, output in
    CatalogueEntry(
      "split_sum_\(splits)_\(epilogue)", tolerance: output == .bfloat16 ? .bfloat16 : .sums(splits + 2),
      cases: [(1, 136), (9, 70)].map { Case(["M": $0.0, "N": $0.1]) }
    ) { try SplitSum.kernel(splits: splits, epilogue: epilogue, output: output) }
  }
}
