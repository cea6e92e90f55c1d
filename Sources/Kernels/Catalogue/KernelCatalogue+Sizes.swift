internal import Memory
internal import Tiles

extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  /// Other head sizes, plans and parts than those of the families: what models and benchmarks use.
  static let sizes: [CatalogueEntry] =
    heads.map { $0.large() } + products16 + swizzles + segments + wideDecoding + seams

  private static let heads: [CatalogueEntry] = [40, 80, 96, 256].flatMap { size in
    [("full", Attention.Mask.full), ("causal", .causal), ("window50", .window(50))].map { name, mask in
      CatalogueEntry(
        "attention_bfloat16_\(size)_\(name)", tolerance: .bfloat16,
        cases: [(63, 63), (65, 130), (1, 257)].map { Case(["B": 1, "M": $0.0, "N": $0.1]) }
      ) {
        try Attention.kernel(
          .gpu(kvHeads: 2, group: size == 40 ? 3 : 1, headSize: size, mask: mask), mask: mask,
          scale: 1 / Float(size).squareRoot())
      }
    }
  }

  private static let products16: [CatalogueEntry] =
    [1, 64].map { rows in
      CatalogueEntry(
        "gemm_bfloat16_gpu\(rows)", tolerance: .bfloat16,
        cases: [(1, 8, 8), (rows, 136, 200)].map { Case(["M": $0.0, "N": $0.1, "K": $0.2]) }
      ) { try Gemm.kernel(type: .bfloat16, plan: .gpu(rows: rows, columns: 14336)) }
    }
    + [1024, 2048].map { size in
      CatalogueEntry(
        "gemm_bfloat16_gpu\(size)", tolerance: .bfloat16,
        cases: [(1, 8, 8), (127, 264, 200)].map { Case(["M": $0.0, "N": $0.1, "K": $0.2]) }
      ) { try Gemm.kernel(type: .bfloat16, plan: .gpu(rows: size, columns: size)) }
    }

  /// Factors in narrower patterns of shared memory: right ones along either side, left ones along either side.
  private static let swizzles: [CatalogueEntry] = [Kernel.Schedule.Swizzle.bytes64, .bytes32, .none].flatMap {
    swizzle in
    [("gpu", Gemm.Plan.gpu, (136, 264, 200)), ("gpu16", .gpu(rows: 16, columns: 136), (16, 136, 264))].flatMap
    {
      name, plan, sizes in
      [false, true].map { transposes in
        var plan = plan
        plan.schedule.swizzle = swizzle
        return CatalogueEntry(
          "gemm_bfloat16_\(name)_swizzle_\(swizzle)\(transposes ? "_nt" : "")", tolerance: .bfloat16,
          cases: [Case(["M": sizes.0, "N": sizes.1, "K": sizes.2])]
        ) { [plan] in try Gemm.kernel(transposesB: transposes, type: .bfloat16, plan: plan) }
      }
    }
  }

  private static let segments: [CatalogueEntry] = {
    let shape = SelectiveScan.Shape(heads: 2, headSize: 64, stateSize: 64)
    var entries = [SelectiveScan.Part.states, .results].map { part in
      CatalogueEntry(
        "selective_scan_\(part)", tolerance: CatalogueEntry.Tolerance(absolute: 0.06, relative: 0x1p-6),
        cases: [
          Case(
            ["B": 1, "N": 200, "segments": 2, "segmentChunks": 2],
            ["dt": .uniform(0...0.5), "A": .uniform(-1...(-0.1))])
        ]
      ) { try SelectiveScan.kernel(shape, part: part) }
    }
    entries.append(
      CatalogueEntry(
        "selective_scan_combination", tolerance: .sums(8),
        cases: [Case(["B": 1, "segments": 3], ["decays": .uniform(-2...0)])]
      ) { try SelectiveScan.combination(shape) })
    return entries
  }()

  private static let wideDecoding: [CatalogueEntry] = [32, 256].flatMap { sequences in
    let shape = PrefixDecoding.Shape(kvHeads: 2, group: 1, headSize: 128, sequences: sequences)
    let scale = 1 / Float(128).squareRoot()
    return [
      CatalogueEntry(
        "prefix_states_128_b\(sequences)", tolerance: .bfloat16,
        cases: [Case(["B": 5, "P": 300, "splits": 3, "keysPerSplit": 128])]
      ) { try PrefixDecoding.prefix(shape, scale: scale) },
      CatalogueEntry(
        "suffix_attention_128_b\(sequences)", tolerance: .bfloat16,
        cases: [Case(["B": 3, "S": 70], ["lengths": .integers([70, 1, 64])])]
      ) { try PrefixDecoding.suffix(shape, scale: scale) },
    ]
  }

  private static let seams: [CatalogueEntry] =
    [ElementType.bfloat16, .float32].map { type in
      CatalogueEntry(
        "rotary_heads_\(type.rawValue)", tolerance: type == .float32 ? .sums(2) : .bfloat16,
        cases: [Case(["B": 2, "H": 3, "N": 37])]
      ) { try RotaryEmbedding.kernel(headSize: 128, type: type, angles: type) }
    }
    + [(0.0, [String: Int]()), (0.1, ["seed": 7, "stream": 3])].map { share, integers in
      CatalogueEntry(
        "dropout_residual_norm_\(share == 0 ? "0" : "10")", tolerance: .bfloat16,
        cases: [Case(["M": 13].merging(integers) { $1 })]
      ) {
        try DropoutResidualNorm(.layer(epsilon: 1e-5), width: 1024, probability: Float(share)).kernel()
      }
    }
    + [768, 2048].map { width in
      CatalogueEntry(
        "residual_norm_\(width)_float32_bfloat16", tolerance: .bfloat16,
        cases: [1, 13].map { Case(["M": $0]) }
      ) {
        try DropoutResidualNorm(
          .layer(epsilon: 1e-5), width: width, type: .bfloat16, sum: .float32, probability: 0
        ).kernel()
      }
    }
}
