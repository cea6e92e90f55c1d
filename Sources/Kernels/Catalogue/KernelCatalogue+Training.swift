internal import Memory
internal import Tiles

/// Kernels that training is made of.
extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  static let training: [CatalogueEntry] =
    pointwise + batchedProducts + sixteenBitProducts + summedProducts + sixteenBitRows + reductions + losses
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
    }
  }()

  private static let batchedProducts: [CatalogueEntry] = [false, true].flatMap { transposesA in
    [false, true].map { transposesB in
      var kind = BatchedProduct(plan: Gemm.Plan(rows: 48, columns: 32, inner: 32, stages: 2))
      (kind.transposesA, kind.transposesB) = (transposesA, transposesB)
      if transposesB { kind.bias = transposesA ? .perRow : .perColumn }
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
    [(false, BatchedProduct.Bias.none), (true, .perColumn), (true, .perRow)].map { transposesB, bias in
      var kind = BatchedProduct(plan: .gpu(batch: 2, rows: 256, columns: 256))
      (kind.transposesA, kind.transposesB) = (transposesA, transposesB)
      (kind.type, kind.output) = (.bfloat16, transposesA == transposesB ? .bfloat16 : .float32)
      (kind.sharesA, kind.sharesB) = (transposesA && transposesB, !transposesA && transposesB)
      if !transposesA { kind.bias = bias }
      // As projections to channels are: one matrix of weights for a batch.
      if bias == .perRow { (kind.sharesA, kind.sharesB, kind.output) = (true, false, .bfloat16) }
      let product = kind
      let sides = "\(transposesA ? "t" : "n")\(transposesB ? "t" : "n")"
      return CatalogueEntry(
        "product_\(sides)_bfloat16\(bias == .perRow ? "_rows" : "")",
        tolerance: bias == .perRow ? .bfloat16 : .sums(200),
        cases: [(1, 1, 1, 1), (3, 2, 63, 65), (2, 136, 264, 200)].map {
          Case(["batch": $0.0, "M": $0.1, "N": $0.2, "K": $0.3])
        }
      ) { try product.kernel() }.large()
    }
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
        "sum_last", tolerance: .sums(200),
        cases: [(1, 1), (9, 65), (33, 200)].map { Case(["outer": $0.0, "R": $0.1]) }
      ) { try AxisSum.last(rows: 8, columns: 64).kernel() },
      CatalogueEntry(
        "adamw", tolerance: CatalogueEntry.Tolerance(absolute: 0x1p-18, relative: 0x1p-18),
        cases: [1, 63, 65, 300].map {
          Case(
            ["n": $0], ["v": .uniform(0...1), "settings": .numbers([0.01, 1.5, 0.001, 0.9, 0.999, 0.01])])
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
      "cross_entropy_gradient_bfloat16", tolerance: .sums(1),
      cases: [(2, 63), (9, 65)].map {
        Case(
          ["M": $0.0, "V": $0.1],
          ["targets": .below($0.1), "logits": .uniform(-3...3), "normaliser": .uniform(3...4)])
      }
    ) { try CrossEntropy(columns: 32, type: .bfloat16).gradient() },
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
