internal import Memory
internal import Tiles

extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  /// Kernels of a network's step in 16-bit arithmetic.
  static let steps: [CatalogueEntry] = (linears + pages).map { $0.large() } + bridges

  // The inputs are no whole number of steps, the outputs none of tiles.
  private static let linears: [CatalogueEntry] = (Linear.Shape.rowLimits.map { $0 } + [nil]).flatMap {
    (limit: Int?) -> [CatalogueEntry] in
    let name = limit.map { "m\($0)" } ?? "any"
    let cases = [1, 7, 20, 64, 130].filter { $0 <= limit ?? .max }.map { Case(["M": $0]) }
    let epilogues = [Linear.Epilogue.none, .bias, .residual, .biasAndResidual].map { epilogue in
      CatalogueEntry("linear_sixteenbit_\(name)_\(epilogue)", tolerance: .sums(200), cases: cases) {
        try Linear.kernel(
          .sixteenBit(inputs: 200, outputs: 136, rowLimit: limit), weight: .bfloat16,
          arithmetic: .sixteenBit, epilogue: epilogue)
      }
    }
    return epilogues + [
      CatalogueEntry(
        "linear_sixteenbit_\(name)_wide", tolerance: .sums(72), cases: [Case(["M": 2])]
      ) {
        try Linear.kernel(
          .sixteenBit(inputs: 72, outputs: 16648, rowLimit: limit), weight: .bfloat16,
          arithmetic: .sixteenBit)
      },
      CatalogueEntry("linear_sixteenbit_\(name)_activated", tolerance: .bfloat16, cases: cases) {
        try Linear.kernel(
          .sixteenBit(inputs: 200, outputs: 136, rowLimit: limit), weight: .bfloat16,
          arithmetic: .sixteenBit, epilogue: .bias, activation: .geluTanh, output: .bfloat16)
      },
      CatalogueEntry("gated_sixteenbit_\(name)", tolerance: .bfloat16, cases: cases) {
        try GatedLinear.kernel(
          .sixteenBit(inputs: 200, outputs: 136, rowLimit: limit, sums: 2), weights: (.bfloat16, .bfloat16),
          arithmetic: .sixteenBit, output: .bfloat16)
      },
    ]
  }

  // MARK: Attention over pages

  private static let pages: [CatalogueEntry] = [(64, 3, nil), (128, 4, nil), (128, 1, 70)].flatMap {
    (size: Int, group: Int, window: Int?) -> [CatalogueEntry] in
    let shape = Rotary.Shape(kvHeads: 2, group: group, headSize: size, rotarySize: size)
    let name = "\(size)_\(group)\(window.map { "_window\($0)" } ?? "")"
    let positions = (0..<5).flatMap { [Int](repeating: 100 + $0, count: group) }
    // Five rows at positions 100 to 104 over two pages, and over the second alone, going on from a state.
    let cases = [[0, 5, 0, 2, 0, 0, 0, 1], [0, 5, 1, 1, 64, 0, 1, 0]].map { item in
      Case(
        [
          "rows": 5 * group, "chunks": 1, "I": 1, "N": 2, "P": 3, "firstItem": 0, "itemCount": 1,
        ],
        [
          "items": .integers(item), "pages": .integers([2, 0]), "positions": .integers(positions),
          // Queries as the scale leaves them.
          "q": .uniform(-0.3...0.3), "m": .uniform(-2...2), "l": .uniform(0.5...9), "o": .uniform(-1...1),
        ])
    }
    return [
      CatalogueEntry(
        // Weights of up to 1 round to 11 bits, and so does no sum of them.
        "paged_attention_factors16_\(name)",
        tolerance: CatalogueEntry.Tolerance(absolute: 0x1p-5, relative: 0x1p-8), cases: cases
      ) {
        try PagedAttention.kernel(
          shape, cache: .float16, rowCapacity: PagedAttention.rowCapacity(factor: .float16), window: window,
          factor: .float16)
      },
      CatalogueEntry(
        "rotary_append_factors16_\(name)", tolerance: .sums(2),
        cases: [Case(["R": 2, "M": 5, "P": 3], ["runs": .integers([0, 3, 2, 61, 3, 2, 0, 0])])]
      ) { try Rotary.kernel(shape, cache: .float16, query: .float16, scale: 0.2, splitsHeads: true) },
      CatalogueEntry(
        "rotary_append_one_\(name)", tolerance: .sums(2),
        cases: [Case(["R": 2, "M": 2, "P": 3], ["runs": .integers([0, 1, 2, 61, 1, 1, 0, 0])])]
      ) {
        try Rotary.kernel(
          shape, cache: .float16, query: .float16, scale: 0.2, rows: 1, splitsHeads: true)
      },
    ]
  }

  // MARK: From one type to another

  private static let bridges: [CatalogueEntry] =
    [
      CatalogueEntry("normalisation_rms_bfloat16", tolerance: .bfloat16, cases: [Case(["M": 9])]) {
        try Normalisation.rms(epsilon: 1e-5).kernel(width: 576, output: .bfloat16)
      },
      // So many rows a task that each lane goes through several, whole and ragged.
      CatalogueEntry(
        "normalisation_layer_rounds_bfloat16", tolerance: .bfloat16,
        cases: [1, 31, 32, 65, 131].map { Case(["M": $0]) }
      ) {
        try Normalisation.layer(epsilon: 1e-5).kernel(width: 512, output: .bfloat16, rounds: 4)
      },
      CatalogueEntry("split_sum_activated", tolerance: .bfloat16, cases: [Case(["M": 9, "N": 140])]) {
        try SplitSum.kernel(splits: 3, epilogue: .bias, activation: .geluTanh, output: .bfloat16)
      },
      CatalogueEntry("split_sum_normalised", tolerance: .bfloat16, cases: [1, 9].map { Case(["M": $0]) }) {
        try SplitSum.normalised(
          splits: 3, width: 140, hasBias: true, by: .layer(epsilon: 1e-5), output: .bfloat16)
      },
      CatalogueEntry("split_sum_normalised_wide", tolerance: .bfloat16, cases: [Case(["M": 5])]) {
        try SplitSum.normalised(
          splits: 4, width: 2048, hasBias: false, by: .rms(epsilon: 1e-5), output: .bfloat16)
      },
      CatalogueEntry("split_sum_normalised_768", tolerance: .bfloat16, cases: [Case(["M": 64])]) {
        try SplitSum.normalised(
          splits: 8, width: 768, hasBias: true, by: .layer(epsilon: 1e-5), output: .bfloat16)
      },
      CatalogueEntry("activation_gelu_bfloat16", tolerance: .bfloat16, cases: [Case(["M": 9])]) {
        try Activation.geluTanh.kernel(columns: 200, output: .bfloat16)
      },
      CatalogueEntry(
        "merge_states_bfloat16", tolerance: .bfloat16,
        cases: [
          Case(
            ["M": 5, "chunks": 2],
            [
              "positions": .integers([600]), "blocks": .integers([2]), "l": .uniform(0.5...9),
              "m": .uniform(-5...5),
            ])
        ]
      ) {
        try PagedAttention.merge(
          Rotary.Shape(kvHeads: 2, group: 3, headSize: 64, rotarySize: 64), output: .bfloat16)
      },
    ]
    + [ElementType.float32, .float16, .bfloat16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q4_K, .q5_K, .q6_K].map {
      source in
      CatalogueEntry(
        "convert_\(source.rawValue)", tolerance: .bfloat16, cases: [1, 9].map { Case(["M": $0]) }
      ) {
        try Conversion.kernel(
          columns: source.blockElements == 256 ? 768 : source.isBlocked ? 576 : 600, from: source,
          to: .bfloat16)
      }
    }
}
