internal import Memory
internal import Tiles

extension KernelCatalogue {
  /// Kernels of a network's step in 16-bit arithmetic.
  static var steps: [CatalogueEntry] { linears + pages + bridges }

  private static let rowCases = [1, 7, 8, 20, 64, 130]

  private static var linears: [CatalogueEntry] {
    var entries: [CatalogueEntry] = []
    for limit in Linear.Shape.rowLimits.map(Optional.some) + [nil] {
      let name = limit.map { "m\($0)" } ?? "any"
      // The inputs are no whole number of steps, the outputs none of tiles.
      let cases = rowCases.filter { $0 <= limit ?? .max }.map { CatalogueEntry.Case(["M": $0]) }
      for epilogue in [Linear.Epilogue.none, .bias, .residual, .biasAndResidual] {
        entries.append(
          CatalogueEntry("linear_sixteenbit_\(name)_\(epilogue)", tolerance: 1e-5, cases: cases) {
            try Linear.kernel(
              .sixteenBit(inputs: 200, outputs: 136, rowLimit: limit), weight: .bfloat16,
              arithmetic: .sixteenBit, epilogue: epilogue)
          })
      }
      entries.append(
        CatalogueEntry("linear_sixteenbit_\(name)_wide", tolerance: 1e-5, cases: Array(cases.prefix(2))) {
          try Linear.kernel(
            .sixteenBit(inputs: 72, outputs: 16648, rowLimit: limit), weight: .bfloat16,
            arithmetic: .sixteenBit)
        })
      entries.append(
        CatalogueEntry("gated_sixteenbit_\(name)", tolerance: 6e-3, cases: cases) {
          try GatedLinear.kernel(
            .sixteenBit(inputs: 200, outputs: 136, rowLimit: limit, sums: 2), weights: (.bfloat16, .bfloat16),
            arithmetic: .sixteenBit, output: .bfloat16)
        })
    }
    return entries
  }

  // MARK: Attention over pages

  private static var pages: [CatalogueEntry] {
    [(64, 3, nil), (128, 4, nil), (128, 1, 70)].flatMap { size, group, window -> [CatalogueEntry] in
      let shape = Rotary.Shape(kvHeads: 2, group: group, headSize: size, rotarySize: size)
      let name = "\(size)_\(group)\(window.map { "_window\($0)" } ?? "")"
      // Five rows at positions 100 to 104 over two pages, and over the second alone, going on from a state.
      let items: [[Int32]] = [[0, 5, 0, 2, 0, 0, 0, 1], [0, 5, 1, 1, 64, 0, 1, 0]]
      let positions = (0..<5).flatMap { [Int32](repeating: Int32(100 + $0), count: group) }
      let cases = items.map { item in
        CatalogueEntry.Case(
          ["I": 1, "N": 2, "P": 3, "rows": 5 * group, "chunks": 1], integers: [0, 1],
          indices: ["items": item, "pages": [2, 0], "positions": positions])
      }
      let places: [String: [Int32]] = ["positions": positions, "blocks": [2]]
      return [
        CatalogueEntry("paged_attention_float16_\(name)", tolerance: 2e-3, cases: cases) {
          try PagedAttention.kernel(
            shape, cache: .float16, rowCapacity: PagedAttention.rowCapacity(factor: .float16), window: window,
            factor: .float16)
        },
        CatalogueEntry("paged_attention_float32_\(name)", tolerance: 1e-4) {
          try PagedAttention.kernel(shape, window: window)
        },
        CatalogueEntry(
          "rotary_append_float16_\(name)", tolerance: 1e-3,
          cases: [.init(["R": 2, "M": 5, "P": 3], indices: ["runs": [0, 3, 2, 61, 3, 2, 0, 0]])]
        ) { try Rotary.kernel(shape, cache: .float16, query: .float16, scale: 0.2) },
        CatalogueEntry(
          "merge_states_\(name)", tolerance: 6e-3, cases: [.init(["M": 5, "chunks": 2], indices: places)]
        ) { try PagedAttention.merge(shape, output: .bfloat16) },
      ]
    }
  }

  // MARK: From one type to another

  private static var bridges: [CatalogueEntry] {
    var entries: [CatalogueEntry] = [
      CatalogueEntry("normalisation_rms_bfloat16", tolerance: 6e-3, cases: [.init(["M": 9])]) {
        try Normalisation.rms(epsilon: 1e-5).kernel(width: 576, output: .bfloat16)
      },
      CatalogueEntry("activation_gelu_bfloat16", tolerance: 6e-3, cases: [.init(["M": 9])]) {
        try Activation.geluTanh.kernel(columns: 200, output: .bfloat16)
      },
    ]
    for source in [ElementType.float32, .float16, .bfloat16, .q8_0, .q4_1, .q4_K, .q6_K] {
      let cases = source.isBlocked ? [] : [1, 9].map { CatalogueEntry.Case(["M": $0]) }
      entries.append(
        CatalogueEntry("convert_\(source.rawValue)", tolerance: 6e-3, cases: cases) {
          try Conversion.kernel(columns: source.isBlocked ? 512 : 600, from: source, to: .bfloat16)
        })
    }
    return entries
  }
}
