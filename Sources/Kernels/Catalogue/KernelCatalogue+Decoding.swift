internal import Memory
internal import Tiles

extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  /// Kernels of a step of networks that continue sequences by states.
  static let decoding: [CatalogueEntry] =
    h3 + diagonalSteps + longSteps + gates + states + chunks + embeddings + lists

  private static let h3: [CatalogueEntry] =
    [
      (ElementType.float32, 41, 132, [1, 3, 65]), (.bfloat16, 41, 132, [1, 9]), (.bfloat16, 32, 132, [64]),
      (.bfloat16, 200, 13, [65, 128]), (.bfloat16, 136, 3, [33]),
    ].map {
      type, width, cores, batches in
      let shape = H3Step.Shape(width: width, type: type, cores: cores)
      // Keys that come to lie on the other side of a rounding differ by 2⁻⁸ of them, and all after them.
      return CatalogueEntry(
        "h3_step_\(type.rawValue)_\(width)",
        tolerance: type == .float32
          ? .sums(2 * width + 8 * H3Step.span)
          : CatalogueEntry.Tolerance(absolute: 0x1p-5, relative: 0x1p-7),
        cases: batches.flatMap { batch in
          [0, 7, 143].map {
            Case(["B": batch], ["clock": .integers([$0]), "W": .uniform(-0.1...0.1)])
          }
        }
      ) { try H3Step.kernel(shape) }.large()
    }
    + [
      CatalogueEntry(
        "h3_part", tolerance: .sums(4 * H3Step.part),
        cases: [(1, 3), (3, 7), (64, 3), (70, 11), (5, 15)].map { batch, clock in
          var given = Case(["B": batch, "D": 9], ["clock": .integers([clock])])
          // No part of a span follows its last.
          given.changesNothing = clock == H3Step.span - 1
          return given
        }
      ) { try H3Part.kernel() }
    ]
    + [
      (ElementType.float32, 6, 4), (.bfloat16, 64, 32), (.bfloat16, 40, 12), (.bfloat16, 128, 64),
      (.bfloat16, 256, 125),
    ].map {
      type, taps, modes in
      // Factors that do not fall: sums of up to 256 products each.
      CatalogueEntry(
        "h3_span_\(taps)_\(modes)_\(type.rawValue)", tolerance: .sums(max(400, 4 * taps)),
        cases: [(1, 15), (3, 31), (70, 63)].map { batch, clock in
          Case(
            ["B": batch, "D": 3],
            [
              "clock": .integers([clock]), "turnReal": .uniform(-0.7...0.7),
              "turnImaginary": .uniform(-0.7...0.7), "older": .uniform(-0.3...0.3),
              "newer": .uniform(-0.3...0.3),
              "powerReal": .uniform(-0.3...0.3), "powerImaginary": .uniform(-0.3...0.3),
              "farReal": .uniform(-0.3...0.3), "farImaginary": .uniform(-0.3...0.3),
            ])
        }
      ) { try H3Span.kernel(H3Span.Shape(modes: modes, taps: taps, type: type)) }.large()
    }

  private static let embeddings: [CatalogueEntry] = [
    (40, ElementType?.none, Normalisation.rms(epsilon: 1e-5), ElementType.float32),
    (768, .float32, .layer(epsilon: 1e-5), .bfloat16), (2048, .float32, .layer(epsilon: 1e-5), .bfloat16),
  ].map { width, positions, norm, output in
    CatalogueEntry(
      "embedding_normalised_\(width)", tolerance: .sums(width),
      cases: [1, 9, 64].map {
        var sizes = ["M": $0, "V": 11]
        var filling: [String: CatalogueEntry.Fill] = ["ids": .below(11)]
        if positions != nil {
          sizes["P"] = 7
          filling["places"] = .below(7)
        }
        return Case(sizes, filling)
      }
    ) {
      try Embedding.normalised(
        width: width, table: .float32, positions: positions, by: norm, output: output)
    }
  }

  private static let states: [CatalogueEntry] = [
    (ElementType.float32, 5), (.bfloat16, 4), (.bfloat16, 32), (.float16, 20),
  ].map { type, modes in
    // Powers that do not fall: sums of 128 products.
    CatalogueEntry(
      "diagonal_states_\(type.rawValue)_\(modes)",
      tolerance: .sums(400),
      cases: [(1, 3, 64), (2, 2, 128), (70, 2, 192)].map {
        Case(
          ["B": $0.0, "H": $0.1, "L": $0.2],
          ["turnReal": .uniform(-0.7...0.7), "turnImaginary": .uniform(-0.7...0.7)])
      }
    ) { try DiagonalStates.kernel(DiagonalStates.Shape(modes: modes, type: type)) }.large()
  }

  private static let diagonalSteps: [CatalogueEntry] = [
    (ElementType.float32, 5, 41, [1, 3]), (.bfloat16, 32, 41, [9]), (.bfloat16, 32, 32, [64]),
  ].map { type, modes, width, batches in
    CatalogueEntry(
      "diagonal_step_\(type.rawValue)_\(modes)_\(width)",
      tolerance: type == .float32
        ? .sums(4 * modes) : CatalogueEntry.Tolerance(absolute: 0x1p-5, relative: 0x1p-7),
      cases: batches.map { Case(["B": $0]) }
    ) {
      try DiagonalStep.kernel(
        DiagonalStep.Shape(width: width, modes: modes, activation: .gelu, type: type))
    }
  }

  private static let longSteps: [CatalogueEntry] = [
    (false, ElementType.float32, ElementType.float32), (true, .float32, .bfloat16),
    (true, .float32, .float16),
    (false, .bfloat16, .bfloat16),
  ]
  .flatMap { isGated, type, kept in
    let input = LongConvolutionStep.Input(isGated: isGated, type: type, kept: kept)
    var result = LongConvolutionStep.Result(input, output: kept)
    (result.isGated, result.addsTerm) = (isGated, isGated)
    let positions: [String: CatalogueEntry.Fill] = ["positions": .integers([0, 511, 512, 513, 1, 1200])]
    let capacity = 1201
    let sizes = [(1, 3), (6, 41), (3, 256)].map { (batch: Int, channels: Int) in
      ["B": batch, "D": channels, "spans": LongConvolutionStep.parts(of: capacity)]
    }
    return [
      CatalogueEntry(
        "long_convolution_step_parts_\(input.title)", tolerance: .sums(LongConvolutionStep.span),
        cases: sizes.map { Case($0.merging(["C": capacity]) { $1 }, positions) }
      ) { try LongConvolutionStep.parts(input) },
      CatalogueEntry(
        "long_convolution_step_\(input.title)",
        tolerance: kept == .float32 ? .sums(8) : CatalogueEntry.Tolerance(absolute: 0x1p-5, relative: 0x1p-7),
        cases: sizes.map { Case($0, positions) }
      ) { [result] in try LongConvolutionStep.result(result) },
    ]
  }

  private static let gates: [CatalogueEntry] = [(Activation.gelu, ElementType.float32), (.silu, .bfloat16)]
    .map {
      activation, type in
      CatalogueEntry(
        "gated_halves_\(activation.rawValue)_\(type.rawValue)",
        tolerance: type == .float32 ? .sums(8) : CatalogueEntry.Tolerance(absolute: 0x1p-7, relative: 0x1p-8),
        cases: [(1, 1), (3, 257), (2, 1376)].map { Case(["M": $0.0, "N": $0.1]) }
      ) { try GatedHalves.kernel(activation, output: type) }
    }

  private static let chunks: [CatalogueEntry] = [
    (ElementType.float32, 5), (.bfloat16, 4), (.bfloat16, 32), (.float16, 20),
  ].map { type, modes in
    // Filters of the size of trained ones, so that numbers stay of unit size; what the gates give is rounded to 16 bits.
    CatalogueEntry(
      "h3_chunks_\(type.rawValue)_\(modes)",
      tolerance: type == .float32 ? .sums(400) : CatalogueEntry.Tolerance(absolute: 0x1p-5, relative: 0x1p-6),
      cases: [(1, 3, 64), (2, 2, 128), (70, 2, 192)].map {
        Case(
          ["B": $0.0, "H": $0.1, "L": $0.2],
          [
            "turnReal": .uniform(-0.7...0.7), "turnImaginary": .uniform(-0.7...0.7),
            "shift": .uniform(-0.2...0.2), "near": .uniform(-0.2...0.2), "farReal": .uniform(-0.1...0.1),
            "farImaginary": .uniform(-0.1...0.1), "powerReal": .uniform(-0.3...0.3),
            "powerImaginary": .uniform(-0.3...0.3),
          ])
      }
    ) { try H3Chunks.kernel(H3Chunks.Shape(modes: modes, type: type)) }.large()
  }

  private static func fill(_ size: Int, _ source: ElementType, _ cache: ElementType) -> PageFill {
    PageFill(Rotary.Shape(kvHeads: 3, group: 1, headSize: size, rotarySize: 0), source: source, cache: cache)
  }

  private static let fills: [CatalogueEntry] = {
    func sizes(_ batch: Int, _ length: Int) -> [String: Int] {
      ["B": batch, "L": length, "P": 7, "firstPage": 1, "pagesEach": 3]
    }
    let ones = CatalogueEntry.Fill.numbers((0..<4096).map { $0 % 65 == 0 ? 1 : 0 })
    return [
      (16, ElementType.float32, ElementType.float32, PageFill.Pages.all), (80, .bfloat16, .float16, .all),
      (128, .bfloat16, .float16, .last),
    ].map { size, source, cache, pages in
      CatalogueEntry(
        "page_fill_\(pages)_\(size)", tolerance: .sums(1),
        // The last of pages that are all full is none, which says nothing.
        cases: [(1, pages == .last ? 129 : 64), (2, 70), (2, 1)].map { Case(sizes($0.0, $0.1)) }
      ) { try fill(size, source, cache).kernel(pages) }
    }
      + [(64, ElementType.float16), (128, .bfloat16)].map { size, source in
        CatalogueEntry(
          "page_fill_turned_\(size)", tolerance: .sums(1),
          cases: [(1, 64), (2, 70), (1, 191)].map { Case(sizes($0.0, $0.1), ["ones": ones]) }
        ) { try fill(size, source, .float16).turning() }.large()
      }
  }()

  private static let lists: [CatalogueEntry] =
    fills + [
      CatalogueEntry(
        "decoding_work", tolerance: .sums(1),
        cases: [
          Case(
            ["B": 6, "chunks": 3, "pagesEach": 24],
            ["positions": .integers([0, 63, 64, 511, 512, 1400])])
        ]
      ) {
        try DecodingWork.kernel(Rotary.Shape(kvHeads: 1, group: 1, headSize: 16, rotarySize: 0))
      },
      CatalogueEntry(
        "likeliest_parts", tolerance: CatalogueEntry.Tolerance(absolute: 1e-5, relative: 1e-5),
        cases: [(1, 1, 1, 41), (3, 2048, 2048, LikeliestToken.clockTurn - 1), (2, 5000, 4993, 0)].map {
          Case(
            ["B": $0.0, "V": $0.1, "spans": LikeliestToken.spans(of: $0.2), "tokens": $0.2],
            ["clock": .integers([$0.3])])
        }
      ) { try LikeliestToken.parts() },
      CatalogueEntry(
        "likeliest_token", tolerance: .sums(8),
        cases: [
          Case(
            ["B": 5, "spans": 4, "R": 8, "last": 8],
            [
              "clock": .integers([43]),
              "positions": .integers([0, 3, 7, 8, 5]), "sums": .uniform(1...9),
              "tops": .numbers([1, 3, 2, 0, 7, 7, 1, 7, -1, -2, -3, -4, 0, 0, 0, 0, 5, 5, 6, 6]),
              "places": .numbers([100, 2050, 4099, 7000]),
            ])
        ]
      ) { try LikeliestToken.kernel(spans: 4) },
    ]
}
