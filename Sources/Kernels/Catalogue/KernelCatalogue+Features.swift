internal import Memory
internal import Tiles

extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  /// Attention with features of keys and queries, that a state of fixed size carries.
  static let features: [CatalogueEntry] = hedgehog + linear + gatedLinear

  private static let hedgehog: [CatalogueEntry] = [SelectiveScan.Part.whole, .states, .results].map { part in
    let segmented = part == .whole ? [:] : ["segments": 2, "segmentBlocks": 2]
    let lengths = part == .whole ? [1, 64, 65, 200] : [200]
    return CatalogueEntry(
      "hedgehog_attention\(part == .whole ? "" : "_\(part)")", tolerance: .bfloat16,
      cases: lengths.map {
        Case(
          ["B": 1, "N": $0].merging(segmented) { $1 },
          ["linear": .numbers([0.75, 1.5]), "window": .numbers([1, 0.25]), "before": .uniform(0...1)])
      }
    ) {
      try HedgehogAttention.kernel(HedgehogAttention.Shape(heads: 2), scale: 0.09, part: part)
    }.large()
  }

  private static let linear: [CatalogueEntry] = LinearAttention.FeatureMap.allCases.flatMap { features in
    [64, 128].map { size in
      let isNormalized = features == .eluPlusOne || features == .softmax
      // Weights of up to 64 products, and states of up to 200, round to 16 bits.
      return CatalogueEntry(
        "linear_attention_\(features)_\(size)",
        tolerance: isNormalized ? .bfloat16 : CatalogueEntry.Tolerance(absolute: 0x1p-5, relative: 0x1p-6),
        cases: [1, 64, 200].map { Case(["B": 1, "N": $0]) }
      ) {
        try LinearAttention.kernel(
          LinearAttention.Shape(
            heads: 2, headSize: size, valueSize: size, features: features, isNormalized: isNormalized),
          scale: 1 / Float(size))
      }.large()
    }
  }

  private static let gatedLinear: [CatalogueEntry] =
    [SelectiveScan.Part.whole, .states, .results].flatMap { part in
      [64, 128].map { size in
        let segmented = part == .whole ? [:] : ["segments": 2, "segmentBlocks": 2]
        let lengths = part == .whole ? [1, 64, 200] : [200]
        // Decayed rows, weights and states round to 16 bits; sums have up to 64 products and the state's.
        return CatalogueEntry(
          "gated_linear_attention\(part == .whole ? "" : "_\(part)")_\(size)",
          tolerance: CatalogueEntry.Tolerance(absolute: 0x1p-5, relative: 0x1p-6),
          cases: lengths.map {
            Case(["B": 1, "N": $0].merging(segmented) { $1 }, ["g": .uniform(-0.5...0)])
          }
        ) {
          try GatedLinearAttention.kernel(
            GatedLinearAttention.Shape(heads: 2, headSize: size, valueSize: size), scale: 1 / Float(size),
            part: part)
        }.large()
      }
    }
}
