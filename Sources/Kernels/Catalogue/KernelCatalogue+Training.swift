internal import Memory
internal import Tiles

/// Kernels that training is made of.
extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  static let training: [CatalogueEntry] =
    pointwise + batchedProducts + sixteenBitProducts + fusedProducts + gatedProducts + turns + summedProducts
    + sixteenBitRows + reductions + losses
    + shortSums

  private struct Function: Sendable {
    var name: String
    var function: PointwiseFunction
    var spans: [[Bool]]
    var range: ClosedRange<Float>
  }

  private static let pointwise: [CatalogueEntry] = {
    let both = [true, true]
    let gelu = PointwiseFunction(inputs: 2) { [Activation.geluTanh.apply(to: $0[0] + $0[1])] }
    let angles = PointwiseFunction(inputs: 2) {
      [$0[0].sin * $0[1].exp, $0[0].cos * $0[1], $0[0].angle(abscissa: $0[1])]
    }
    let chosen = PointwiseFunction(inputs: 2) {
      [$0[0].atLeast($0[1], then: $0[0].tanh, else: $0[1].sigmoid)]
    }
    let functions = [
      Function(name: "gelu", function: gelu, spans: [both, [false, true]], range: -3...3),
      Function(
        name: "gelu_gradient", function: gelu.gradient(of: [0, 1], given: [0]).function,
        spans: [both, [false, true], both], range: -3...3),
      Function(name: "angles", function: angles, spans: [[true, false], both], range: -4...4),
      Function(
        name: "angles_gradient", function: angles.gradient(of: [0, 1], given: [0, 1]).function,
        spans: [[true, false], both, both, both], range: -2...2),
      Function(name: "chosen", function: chosen, spans: [both, both], range: -2...2),
    ]
    return functions.map { entry in
      CatalogueEntry(
        "pointwise_\(entry.name)", tolerance: CatalogueEntry.Tolerance(absolute: 0x1p-18, relative: 0x1p-18),
        cases: [(1, 1), (2, 63), (9, 65), (17, 200)].map { sizes in
          Case(
            ["N0": sizes.0, "N1": sizes.1],
            Dictionary(uniqueKeysWithValues: entry.spans.indices.map { ("x\($0)", .uniform(entry.range)) }))
        }
      ) { try Pointwise(entry.function, spans: entry.spans, rows: 4, columns: 128).kernel() }
    } + [turnedSum, scaledRows]
  }()

  /// Many rows of a task with what they have in common: read once, and several rows under way together where they are whole.
  private static let scaledRows: CatalogueEntry = {
    let function = PointwiseFunction(inputs: 4) { [($0[0] - $0[1]) * $0[2] * $0[3].sigmoid] }
    let (both, columns) = ([true, true], [false, true])
    return CatalogueEntry(
      "pointwise_scaled_rows", tolerance: .sums(3),
      cases: [(1, 1), (2, 63), (63, 65), (67, 128), (129, 256)].map {
        Case(["N0": $0.0, "N1": $0.1])
      }
    ) {
      try Pointwise(
        function, spans: [both, columns, columns, both], rows: 64, columns: 128,
        types: [.bfloat16, .float32, .float32, .bfloat16], outputTypes: [.bfloat16]
      ).kernel()
    }
  }()

  /// Two of three arrays lie the other way, as channels beside positions do.
  private static let turnedSum = CatalogueEntry(
    "pointwise_turned", tolerance: .sums(3),
    cases: [(1, 1, 1), (2, 63, 65), (3, 130, 40), (2, 128, 96)].map {
      Case(["N0": $0.0, "N1": $0.1, "N2": $0.2], turned: ["x1", "x2"])
    }
  ) {
    let function = PointwiseFunction(inputs: 3) { [$0[0] + $0[1] * $0[2]] }
    return try Pointwise(
      function, spans: Array(repeating: [true, true, true], count: 3), rows: 64, columns: 32,
      types: [.float32, .bfloat16, .bfloat16]
    ).kernel()
  }

  private static let batchedProducts: [CatalogueEntry] = [false, true].flatMap { transposesA in
    [false, true].map { transposesB in
      var kind = BatchedProduct(plan: Gemm.Plan(rows: 48, columns: 32, inner: 32, stages: 2))
      (kind.transposesA, kind.transposesB) = (transposesA, transposesB)
      if transposesB { kind.bias = transposesA ? .rows : .columns }
      let product = kind
      return CatalogueEntry(
        "product_\(transposesA ? "t" : "n")\(transposesB ? "t_bias" : "n")", tolerance: .sums(129),
        cases: [(1, 1, 1, 1), (3, 2, 63, 65), (2, 65, 33, 129)].map {
          Case(["batch": $0.0, "M": $0.1, "N": $0.2, "K": $0.3])
        }
      ) { try product.kernel() }
    }
  }

  /// As steps of mixed precision take them: 16-bit factors, 16-bit or float32 results.
  private static let sixteenBitProducts: [CatalogueEntry] = [false, true].flatMap { transposesA in
    [(false, BatchedProduct.Bias.none), (true, .columns), (true, .rows)].map { transposesB, bias in
      var kind = BatchedProduct(plan: .gpu(batch: 2, rows: 256, columns: 256))
      (kind.transposesA, kind.transposesB) = (transposesA, transposesB)
      (kind.type, kind.output) = (.bfloat16, transposesA == transposesB ? .bfloat16 : .float32)
      (kind.sharesA, kind.sharesB) = (transposesA && transposesB, !transposesA && transposesB)
      if !transposesA { kind.bias = bias }
      // As projections to channels are: one matrix of weights for a batch.
      if bias == .rows { (kind.sharesA, kind.sharesB, kind.output) = (true, false, .bfloat16) }
      let product = kind
      let sides = "\(transposesA ? "t" : "n")\(transposesB ? "t" : "n")"
      return CatalogueEntry(
        "product_\(sides)_bfloat16\(bias == .rows ? "_rows" : "")",
        tolerance: bias == .rows ? .bfloat16 : .sums(200),
        cases: [(1, 1, 1, 1), (3, 2, 63, 65), (2, 136, 264, 200)].map {
          Case(["batch": $0.0, "M": $0.1, "N": $0.2, "K": $0.3])
        }
      ) { try product.kernel() }.large()
    }
  }

  /// Products and what follows them where nothing is recorded.
  private static let fusedProducts: [CatalogueEntry] = {
    func entry(_ name: String, rows: Int, columns: Int, _ change: (inout BatchedProduct) -> Void)
      -> CatalogueEntry
    {
      var kind = BatchedProduct(plan: .gpu(batch: 2, rows: rows, columns: columns))
      (kind.transposesB, kind.type, kind.output) = (true, .bfloat16, .bfloat16)
      change(&kind)
      kind.plan = kind.plan(withRoomFor: columns)
      let product = kind
      return CatalogueEntry(
        "product_\(name)_bfloat16", tolerance: .sums(200),
        cases: [(1, 1, 1, 1), (3, 2, 63, 65), (2, 136, 264, 200)].map {
          Case(["batch": $0.0, "M": $0.1, "N": $0.2, "K": $0.3])
        }
      ) { try product.kernel() }.large()
    }
    return [
      entry("bias", rows: 4096, columns: 4096) {
        ($0.bias, $0.transposesA, $0.sharesB) = (.columns, true, true)
      },
      entry("row_bias", rows: 4096, columns: 4096) {
        ($0.bias, $0.sharesA, $0.sweepsRows) = (.rows, true, true)
      },
      entry("gelu", rows: 4096, columns: 3072) {
        ($0.bias, $0.activation, $0.sharesB) = (.columns, .gelu, true)
      },
      entry("residual", rows: 4096, columns: 768) {
        ($0.bias, $0.hasResidual, $0.transposesA, $0.sharesB) = (.columns, true, true, true)
      },
      entry("each_bias_residual", rows: 4096, columns: 1024) {
        ($0.bias, $0.hasResidual) = (.columnsOfEach, true)
      },
    ]
  }()

  /// The gated halves of block-diagonal layers.
  private static let gatedProducts: [CatalogueEntry] = [ElementType.bfloat16, .float16].map { type in
    CatalogueEntry(
      "gated_blocks_gelu_\(type.rawValue)", tolerance: .sums(200),
      cases: [(1, 1, 1, 1), (2, 3, 63, 65), (2, 136, 264, 200)].map {
        Case(["pairs": $0.0, "blocks": 2 * $0.0, "M": $0.1, "N": $0.2, "K": $0.3])
      }
    ) { try GatedBlockProduct(activation: .gelu, type: type).kernel() }.large()
  }

  /// Matrices turned by a product with ones on a diagonal: one, or the sum of two, written once, or twice.
  private static let turns: [CatalogueEntry] = [
    Turn(type: .bfloat16), Turn(type: .float16), Turn(type: .bfloat16, copies: 2),
    Turn(type: .bfloat16, parts: 2),
  ].map { turn in
    let form = (turn.parts > 1 ? "_sum" : "") + (turn.copies > 1 ? "_copies" : "")
    return CatalogueEntry(
      "turn_\(turn.type.rawValue)\(form)", tolerance: .sums(turn.parts),
      cases: [(1, 1, 1), (2, 63, 65), (2, 300, 136)].map {
        Case(
          ["B": $0.0, "R": $0.1, "C": $0.2],
          ["ones": .numbers((0..<4096).map { $0 % 65 == 0 ? 1 : 0 })])
      }
    ) { try turn.kernel() }.large()
  }

  private static let summedProducts: [CatalogueEntry] = [ElementType.float32, .bfloat16].map { type in
    var kind = BatchedProduct(
      plan: type == .float32
        ? Gemm.Plan(rows: 48, columns: 32, inner: 32, stages: 2) : .gpu(batch: 2, rows: 256, columns: 256))
    (kind.type, kind.transposesA, kind.sumsBatch) = (type, true, true)
    let product = kind
    let entry = CatalogueEntry(
      "product_tn_summed\(type == .float32 ? "" : "_bfloat16")", tolerance: .sums(3 * 200),
      cases: [(1, 1, 1, 1, 1), (3, 2, 63, 65, 2), (5, 136, 264, 200, 3)].map {
        Case([
          "batch": $0.0, "M": $0.1, "N": $0.2, "K": $0.3, "share": $0.4, "parts": ($0.0 + $0.4 - 1) / $0.4,
        ])
      }
    ) { try product.kernel() }
    return type == .float32 ? entry : entry.large()
  }

  private static let reductions: [CatalogueEntry] =
    [
      CatalogueEntry(
        "sum_middle", tolerance: .sums(200),
        cases: [(1, 1, 1), (2, 63, 65), (3, 130, 40)].map { Case(["outer": $0.0, "R": $0.1, "inner": $0.2]) }
      ) { try AxisSum.middle(rows: 8, columns: 32, length: 64).kernel() },
      CatalogueEntry(
        "sum_middle_rows", tolerance: .sums(200),
        cases: [(1, 1, 1), (2, 63, 65), (3, 130, 40), (1, 200, 300)].map {
          Case(["outer": $0.0, "R": $0.1, "inner": $0.2])
        }
      ) { try AxisSum.middle(rows: 1, columns: 128, length: 47).kernel() },
      CatalogueEntry(
        "column_sums", tolerance: .sums(200),
        cases: [(1, 1), (63, 65), (130, 40), (200, 300)].map { Case(["R": $0.0, "D": $0.1]) }
      ) {
        // The first is not used.
        let function = PointwiseFunction(inputs: 4) { [$0[1], $0[1] * ($0[2] - $0[3])] }
        return try ColumnSums(
          function, hasRows: [true, true, true, false], types: [.float32, .bfloat16, .float32, .float32],
          columns: 128,
          length: 47
        ).kernel()
      },
      CatalogueEntry(
        "sum_squares", tolerance: .sums(200),
        cases: [(1, 1), (9, 65), (33, 200), (3, 5000)].map { Case(["outer": $0.0, "R": $0.1]) }
      ) { try AxisSum.lastSquared(rows: 1, columns: 2048).kernel() },
      CatalogueEntry(
        "sum_last", tolerance: .sums(200),
        cases: [(1, 1), (9, 65), (33, 200)].map { Case(["outer": $0.0, "R": $0.1]) }
      ) { try AxisSum.last(rows: 8, columns: 64).kernel() },
      CatalogueEntry(
        "adamw", tolerance: CatalogueEntry.Tolerance(absolute: 0x1p-18, relative: 0x1p-18),
        cases: [1, 63, 65, 300].map {
          Case(
            ["n": $0], ["v": .uniform(0...1), "settings": .numbers([0.01, 1.5, 0.001, 0.9, 0.999, 0.01])])
        }
          // A factor that is no number changes nothing.
          + [Float.nan, .infinity].map { factor in
            var idle = Case(
              ["n": 65],
              [
                "p": .uniform(-1...1), "m": .uniform(-1...1), "v": .uniform(0...1),
                "factor": .numbers([factor]),
                "settings": .numbers([0.01, 1.5, 0.001, 0.9, 0.999, 0.01]),
              ])
            idle.changesNothing = true
            return idle
          }
      ) { try AdamW.kernel(columns: 64) },
    ] + normalisations

  private static let normalisations: [CatalogueEntry] = [
    Normalisation.layer(epsilon: 1e-2), .rms(epsilon: 1e-2),
  ].enumerated().map { number, norm in
    CatalogueEntry(
      "normalisation_gradient_\(number == 0 ? "layer" : "rms")", tolerance: .sums(80),
      cases: [1, 63, 65, 300].map { Case(["M": $0]) }
    ) { try NormalisationGradient(norm, width: 40, length: 64).kernel() }
  }

  private static let sixteenBitRows: [CatalogueEntry] = [
    CatalogueEntry(
      "sum_middle_bfloat16", tolerance: .sums(200),
      cases: [(1, 1, 1), (2, 63, 65)].map { Case(["outer": $0.0, "R": $0.1, "inner": $0.2]) }
    ) { try AxisSum.middle(rows: 8, columns: 32, length: 64).kernel(.bfloat16) },
    CatalogueEntry(
      "sum_middle_rows_bfloat16", tolerance: .sums(200),
      cases: [(1, 1, 1), (2, 63, 65), (1, 200, 600)].map { Case(["outer": $0.0, "R": $0.1, "inner": $0.2]) }
    ) { try AxisSum.middle(rows: 1, columns: 256, length: 47).kernel(.bfloat16) },
    CatalogueEntry(
      "sum_last_bfloat16", tolerance: .sums(200),
      cases: [(1, 1), (9, 65)].map { Case(["outer": $0.0, "R": $0.1]) }
    ) { try AxisSum.last(rows: 8, columns: 64).kernel(.bfloat16) },
    CatalogueEntry(
      "normalisation_gradient_bfloat16", tolerance: .sums(80), cases: [1, 65].map { Case(["M": $0]) }
    ) {
      var kind = NormalisationGradient(.layer(epsilon: 1e-2), width: 40, length: 64)
      kind.gradient = .bfloat16
      return try kind.kernel()
    },
    CatalogueEntry(
      "normalisation_gradient_768", tolerance: .sums(800), cases: [1, 13].map { Case(["M": $0]) }
    ) {
      var kind = NormalisationGradient(.layer(epsilon: 1e-2), width: 768, length: 64)
      (kind.gradient, kind.adds) = (.bfloat16, true)
      return try kind.kernel()
    },
    CatalogueEntry(
      "cross_entropy_gradient_bfloat16", tolerance: .sums(1),
      cases: [(2, 63), (9, 65)].map {
        Case(
          ["M": $0.0, "V": $0.1],
          ["targets": .below($0.1), "logits": .uniform(-3...3), "normaliser": .uniform(3...4)])
      }
    ) { try CrossEntropy(columns: 32, type: .bfloat16).gradient() },
    CatalogueEntry(
      "cross_entropy_bfloat16", tolerance: .sums(1500),
      cases: [(3, 2056), (9, 1100)].map {
        Case(["M": $0.0, "V": $0.1], ["targets": .below($0.1), "logits": .uniform(-3...3)])
      }
    ) { try CrossEntropy(columns: 1024, type: .bfloat16).kernel() },
  ]

  private static let losses: [CatalogueEntry] = [
    CatalogueEntry(
      "cross_entropy", tolerance: .sums(70),
      cases: [(1, 1), (2, 63), (9, 65), (70, 64)].map {
        Case(["M": $0.0, "V": $0.1], ["targets": .below($0.1), "logits": .uniform(-3...3)])
      }
    ) { try CrossEntropy(columns: 32).kernel() },
    CatalogueEntry(
      "cross_entropy_gradient", tolerance: .sums(1),
      cases: [(1, 1), (2, 63), (9, 65)].map {
        Case(
          ["M": $0.0, "V": $0.1],
          ["targets": .below($0.1), "logits": .uniform(-3...3), "normaliser": .uniform(3...4)])
      }
    ) { try CrossEntropy(columns: 32).gradient() },
    CatalogueEntry(
      "softmax_causal", tolerance: .sums(8),
      cases: [(1, 1, 1), (2, 3, 63), (2, 65, 65)].map { Case(["N": $0.0, "R": $0.1, "C": $0.2]) }
    ) { try Softmax(isCausal: true, scale: 0.5, columns: 128).kernel() },
    CatalogueEntry(
      "softmax_gradient", tolerance: .sums(65),
      cases: [(1, 1, 1), (2, 3, 63), (2, 65, 65)].map { Case(["N": $0.0, "R": $0.1, "C": $0.2]) }
    ) { try Softmax(isCausal: true, scale: 0.5, columns: 128).gradient() },
    CatalogueEntry(
      "embedding_gradient", tolerance: .sums(8),
      cases: [(1, 1), (5, 65)].map {
        Case(
          ["M": 7, "V": 4, "D": $0.0 * $0.1, "ends": 5],
          ["places": .integers([3, 0, 5, 6, 1, 2, 4]), "starts": .integers([0, 1, 1, 4, 7])])
      }
    ) { try EmbeddingGradient.kernel(columns: 64) },
    CatalogueEntry(
      "embedding_gradient_frequent", tolerance: .sums(3),
      cases: [(1, 1), (5, 65)].map {
        // Rows without a number stay as they are: NaN.
        Case(
          ["P": 5, "V": 4, "D": $0.0 * $0.1, "ends": 4, "F": 3],
          ["starts": .integers([0, 2, 5, 5]), "numbers": .integers([3, 0, -1])])
      }
    ) { try EmbeddingGradient.frequent(columns: 64) },
  ]

  private static let shortSums: [CatalogueEntry] = [false, true].flatMap { takesChannels in
    let kind = DirectConvolution(takesChannels: takesChannels, rows: 8, columns: 128)
    let side = takesChannels ? "channels" : "sequences"
    let cases = [(1, 1, 1, 1), (3, 2, 63, 5), (9, 10, 65, 65)].map {
      Case(["B": $0.0, "H": $0.1, "L": $0.2, "taps": $0.3])
    }
    return [
      CatalogueEntry("direct_convolution_\(side)", tolerance: .sums(65), cases: cases) { try kind.kernel() },
      CatalogueEntry("direct_convolution_\(side)_adjoint", tolerance: .sums(65), cases: cases) {
        try kind.kernel(isAdjoint: true)
      },
      CatalogueEntry("direct_convolution_\(side)_filter", tolerance: .sums(9 * 65), cases: cases) {
        try kind.filterGradient()
      },
    ]
  }
}
