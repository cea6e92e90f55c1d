internal import Memory
internal import Tiles

/// Every kernel in the configurations that are checked and compiled ahead.
public enum KernelCatalogue {
  /// All entries, in the order of the families.
  public static let all: [CatalogueEntry] =
    products + rows + attention + gradients + scans + features + sizes + steps + convolutions
    + shortConvolutions + packed + training + decoding

  /// The entries whose names contain one of `words`; all where there is none.
  public static func entries(matching words: [String]) -> [CatalogueEntry] {
    words.isEmpty ? all : all.filter { entry in words.contains { entry.name.contains($0) } }
  }

  private typealias Case = CatalogueEntry.Case

  // MARK: Products

  private static let products: [CatalogueEntry] =
    [false, true].map { transposes in
      CatalogueEntry(
        "gemm_float32\(transposes ? "_nt" : "")", tolerance: .sums(129),
        cases: [(1, 1, 1), (2, 63, 65), (65, 33, 129), (97, 100, 64)].map {
          Case(["M": $0.0, "N": $0.1, "K": $0.2])
        }
      ) { try Gemm.kernel(transposesB: transposes, plan: Gemm.Plan(rows: 48, columns: 32, inner: 64)) }
    } + wideProducts + linear + gated

  private static let wideProducts: [CatalogueEntry] = [ElementType.bfloat16, .float16].flatMap { type in
    [false, true].flatMap { transposes in
      [
        ("gpu", Gemm.Plan.gpu, [(1, 8, 8), (136, 264, 72), (130, 257, 65)]),
        ("gpu16", .gpu(rows: 16, columns: 136), [(16, 136, 264), (5, 128, 65)]),
      ].map { name, plan, sizes in
        CatalogueEntry(
          "gemm_\(type.rawValue)_\(name)\(transposes ? "_nt" : "")", tolerance: .bfloat16,
          cases: sizes.map { Case(["M": $0.0, "N": $0.1, "K": $0.2]) }
        ) { try Gemm.kernel(transposesB: transposes, type: type, plan: plan) }
      }
    }
  }

  private static let linear: [CatalogueEntry] = {
    var entries: [CatalogueEntry] = []
    func add(
      _ weight: ElementType, _ arithmetic: Linear.Arithmetic, _ epilogue: Linear.Epilogue, inputs: Int
    ) {
      entries.append(
        CatalogueEntry(
          "linear_\(weight.rawValue)_\(arithmetic)_\(epilogue)",
          // Quants of five bits times scales of 1/32 are within ±2; larger ones come with smaller scales.
          tolerance: .sums(4 * inputs), cases: [1, 2, 33].map { Case(["M": $0]) }
        ) {
          try Linear.kernel(
            Linear.Shape(inputs: inputs, outputs: 37), weight: weight, arithmetic: arithmetic,
            epilogue: epilogue)
        })
    }
    for weight in [ElementType.float32, .float16, .bfloat16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1] {
      add(weight, .exact, .none, inputs: 256)
    }
    for weight in [ElementType.q4_K, .q5_K, .q6_K] { add(weight, .exact, .none, inputs: 512) }
    for epilogue in [Linear.Epilogue.bias, .residual, .biasAndResidual] {
      add(.float32, .exact, epilogue, inputs: 100)
    }
    for weight in [ElementType.q8_0, .q4_0, .q4_K, .q6_K] { add(weight, .integer, .residual, inputs: 256) }
    return entries
  }()

  private static let gated: [CatalogueEntry] = [ElementType.float32, .q8_0].map { weight in
    CatalogueEntry(
      "gated_\(weight.rawValue)", tolerance: .sums(4 * 256), cases: [1, 33].map { Case(["M": $0]) }
    ) {
      try GatedLinear.kernel(
        Linear.Shape(inputs: 128, outputs: 64), weights: (weight, weight), arithmetic: .exact,
        output: .float32)
    }
  }

  // MARK: Rows

  private static let rows: [CatalogueEntry] = {
    var entries: [CatalogueEntry] = []
    for width in [1, 65, 576] {
      for (name, kind) in [("rms", Normalisation.rms(epsilon: 1e-5)), ("layer", .layer(epsilon: 1e-5))] {
        entries.append(
          CatalogueEntry(
            "normalisation_\(name)_\(width)",
            tolerance: CatalogueEntry.Tolerance(absolute: Double(width + 8) * 0x1p-22, relative: 0x1p-20),
            cases: [Case(["M": 1]), Case(["M": 13])]
          ) { try kind.kernel(width: width) })
      }
    }
    for activation in Activation.allCases {
      entries.append(
        CatalogueEntry(
          "activation_\(activation.rawValue)", tolerance: .sums(1),
          cases: [Case(["M": 13], ["x": .uniform(-12...12)])]
        ) { try activation.kernel(columns: 70, output: .float32) })
    }
    for (table, width) in [(ElementType.float32, 40), (.bfloat16, 40), (.q8_0, 64), (.q6_K, 256)] {
      entries.append(
        CatalogueEntry(
          "embedding_\(table.rawValue)", tolerance: .sums(1),
          cases: [Case(["M": 9, "V": 11], ["ids": .below(11)])]
        ) { try Embedding.kernel(width: width, table: table) })
    }
    return entries
  }()

  // MARK: Scans

  private static let scans: [CatalogueEntry] = [
    CatalogueEntry(
      // States round to 16 bits once a chunk, and sums of 64 products carry the errors on.
      "selective_scan", tolerance: CatalogueEntry.Tolerance(absolute: 0.06, relative: 0x1p-6),
      cases: [1, 64, 200].map {
        Case(["B": 2, "N": $0], ["dt": .uniform(0...0.5), "A": .uniform(-1...(-0.1))])
      }
    ) { try SelectiveScan.kernel(SelectiveScan.Shape(heads: 2, headSize: 64, stateSize: 64)) },
    CatalogueEntry(
      "taylor_attention", tolerance: CatalogueEntry.Tolerance(absolute: 0x1p-5, relative: 0x1p-5),
      cases: [1, 64, 200].map {
        Case(
          ["B": 1, "N": $0],
          ["selections": .numbers(TaylorAttention.selections()), "ones": .numbers([1])])
      }
    ) { try TaylorAttention.kernel(TaylorAttention.Shape(heads: 2), scale: 0.25) }.large(),
  ]
}
