internal import Memory
internal import Tiles

extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  static let attention: [CatalogueEntry] =
    plain + (wide + ragged).map { $0.large() } + paged + rotary + prefix

  private static let masks: [(name: String, mask: Attention.Mask)] = [
    ("full", .full), ("causal", .causal), ("window70", .window(70)),
  ]

  private static let plain: [CatalogueEntry] = masks.map { name, mask in
    CatalogueEntry(
      "attention_float32_\(name)", tolerance: .sums(64),
      cases: [(1, 1), (2, 130), (65, 127)].map { Case(["B": 2, "M": $0.0, "N": $0.1]) }
    ) {
      try Attention.kernel(
        Attention.Shape(kvHeads: 2, group: 3, headSize: 40), mask: mask, scale: 1 / Float(40).squareRoot())
    }
  }

  private static let wide: [CatalogueEntry] = [64, 128].flatMap { size in
    masks.map { name, mask in
      CatalogueEntry(
        "attention_bfloat16_\(size)_\(name)", tolerance: .bfloat16,
        cases: [(1, 1), (130, 257), (200, 200)].map { Case(["B": 1, "M": $0.0, "N": $0.1]) }
      ) {
        try Attention.kernel(
          Attention.Shape.gpu(kvHeads: 2, group: 1, headSize: size, mask: mask), mask: mask,
          scale: 1 / Float(size).squareRoot())
      }
    }
  }

  private static let ragged: [CatalogueEntry] = [64, 128].flatMap { size in
    masks.map { name, mask in
      CatalogueEntry(
        "ragged_attention_bfloat16_\(size)_\(name)", tolerance: .bfloat16,
        cases: [
          // Sequences of 1, 63, 64, 65 and 127; and 1, 0 and 130 queries over 64, 5 and 257 keys.
          Case(
            ["T": 320, "S": 320, "ends": 6, "longest": 127],
            [
              "queryStarts": .integers([0, 1, 64, 128, 193, 320]),
              "keyStarts": .integers([0, 1, 64, 128, 193, 320]),
            ]),
          Case(
            ["T": 131, "S": 326, "ends": 4, "longest": 130],
            ["queryStarts": .integers([0, 1, 1, 131]), "keyStarts": .integers([0, 64, 69, 326])]),
        ]
      ) {
        try RaggedAttention.kernel(
          Attention.Shape.gpu(kvHeads: 1, group: 2, headSize: size, mask: mask), mask: mask,
          scale: 1 / Float(size).squareRoot())
      }
    }
  }

  // MARK: Pages

  private static let layer = Rotary.Shape(kvHeads: 2, group: 3, headSize: 40, rotarySize: 16)

  private static let paged: [CatalogueEntry] =
    [ElementType.float32, .float16, .bfloat16, .int8].flatMap { cache in
      [nil, 70].map { window in
        CatalogueEntry(
          "paged_attention_\(cache.rawValue)\(window.map { "_window\($0)" } ?? "")", tolerance: .sums(200),
          cases: [
            // Three tokens at the end of three pages, two in the middle of one; whole pages need no mask.
            Case(
              ["rows": 15, "chunks": 1, "I": 2, "N": 4, "P": 5, "firstItem": 0, "itemCount": 2],
              [
                "items": .integers([0, 3, 0, 3, 0, 0, 0, 2, 3, 2, 3, 1, 0, 0, 0, 0]),
                "pages": .integers([2, 0, 4, 3]),
                "positions": .integers(
                  [150, 150, 150, 151, 151, 151, 152, 152, 152, 40, 40, 40, 41, 41, 41]),
                "kScales": .uniform(0.004...0.01), "vScales": .uniform(0.004...0.01),
              ])
          ]
        ) { try PagedAttention.kernel(layer, cache: cache, rowCapacity: 15, window: window) }
      }
    } + [
      CatalogueEntry(
        "merge_states", tolerance: .sums(8),
        cases: [
          Case(
            ["M": 5, "chunks": 2],
            [
              "positions": .integers([600]), "blocks": .integers([2]), "l": .uniform(0.5...9),
              "m": .uniform(-5...5),
            ])
        ]
      ) { try PagedAttention.merge(layer, output: .float32) }
    ]

  private static let rotary: [CatalogueEntry] = [ElementType.float32, .float16, .bfloat16, .int8].map {
    cache in
    CatalogueEntry(
      "rotary_append_\(cache.rawValue)", tolerance: .sums(2),
      cases: [
        Case(["M": 70, "R": 2, "P": 2], ["runs": .integers([0, 40, 1, 24, 40, 30, 0, 3])])
      ]
    ) { try Rotary.kernel(layer, cache: cache, scale: 0.7) }
  }

  // MARK: Shared prefix

  private static let shared = PrefixDecoding.Shape(kvHeads: 2, group: 2, headSize: 64, sequences: 20)

  private static let prefix: [CatalogueEntry] = [
    CatalogueEntry(
      "prefix_states", tolerance: .bfloat16,
      cases: [Case(["B": 20, "P": 300, "splits": 2, "keysPerSplit": 256])]
    ) { try PrefixDecoding.prefix(shared, scale: 0.125) },
    CatalogueEntry(
      "suffix_attention", tolerance: .bfloat16,
      cases: [Case(["B": 5, "S": 100], ["lengths": .integers([1, 100, 64, 65, 7])])]
    ) { try PrefixDecoding.suffix(shared, scale: 0.125) },
    CatalogueEntry(
      "prefix_combination", tolerance: .sums(8), cases: [Case(["R": 19, "splits": 3])]
    ) { try PrefixDecoding.combination(shared) },
  ]
}
