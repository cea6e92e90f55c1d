internal import Memory
internal import Tiles

/// Gradients of attention.
extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  static let gradients: [CatalogueEntry] =
    [false, true].flatMap { isDeterministic in
      products.map { entry($0, isDeterministic: isDeterministic).large() } + steps(isDeterministic)
    } + limits

  private struct Product {
    var size: Int
    var group: Int
    var name: String
    var mask: Attention.Mask
  }

  private static let products = [
    Product(size: 64, group: 1, name: "full", mask: .full),
    Product(size: 64, group: 1, name: "causal", mask: .causal),
    Product(size: 128, group: 1, name: "full", mask: .full),
    Product(size: 128, group: 1, name: "causal", mask: .causal),
    Product(size: 40, group: 2, name: "causal", mask: .causal),
    Product(size: 64, group: 2, name: "window50", mask: .window(50)),
    Product(size: 128, group: 1, name: "window50", mask: .window(50)),
  ]

  private static func entry(_ product: Product, isDeterministic: Bool) -> CatalogueEntry {
    // Sums of about 200 products of 16-bit weights below 1 with numbers below 1; units are below 128, and roundings of a
    // few terms add to that.
    let tolerance = CatalogueEntry.Tolerance(absolute: 0.06, relative: 0x1p-6, whole: 0.06 * 128 + 4)
    return CatalogueEntry(
      "attention_backward_\(product.size)_\(product.name)\(isDeterministic ? "_deterministic" : "")",
      tolerance: tolerance,
      cases: [(4, 1), (65, 65), (100, 130), (200, 200)].map {
        Case(
          ["B": 1, "M": $0.0, "N": $0.1],
          // As if every row had a log-sum-exp of about 6.
          [
            "offsets": .uniform(-9...(-8)), "deltas": .uniform(-0.1...0.1), "units": .uniform(64...128),
            "dqSums": isDeterministic ? .integers([5, -1000, 0, 70_000]) : .uniform(-1...1),
          ])
      }
    ) {
      try AttentionBackward.kernel(
        shape(product.size, product.group, product.mask, isDeterministic), mask: product.mask,
        scale: 1 / Float(product.size).squareRoot())
    }
  }

  private static func steps(_ isDeterministic: Bool) -> [CatalogueEntry] {
    let suffix = isDeterministic ? "_deterministic" : ""
    return [64, 128].flatMap { size in
      let shape = shape(size, 2, .causal, isDeterministic)
      return [
        CatalogueEntry(
          "attention_backward_preparation_\(size)\(suffix)", tolerance: .sums(size),
          cases: [Case(["B": 2, "M": 37], ["limits": .uniform(4...8)])]
        ) { try AttentionBackward.preparation(shape) },
        CatalogueEntry(
          "attention_backward_conversion_\(size)\(suffix)", tolerance: .bfloat16,
          cases: [
            Case(
              ["B": 2, "heads": 3, "M": 37],
              isDeterministic ? ["dqSums": .integers([3, -70, 1 << 20]), "units": .uniform(100...200)] : [:])
          ]
        ) { try AttentionBackward.conversion(shape, scale: 0.125) },
      ]
    }
  }

  private static let limits: [CatalogueEntry] = [
    CatalogueEntry(
      "attention_backward_key_limits", tolerance: .sums(80),
      cases: [1, 63, 127].map { Case(["B": 2, "N": $0]) }
    ) { try AttentionBackward.keyLimits(shape(80, 1, .causal, true)) },
    CatalogueEntry(
      "attention_backward_limits", tolerance: .sums(1),
      cases: [1, 1000, 4097].map {
        Case(["B": 2, "N": $0], ["squares": .uniform(0...9), "peaks": .uniform(0...1)])
      }
    ) { try AttentionBackward.limits(shape(80, 1, .causal, true)) },
  ]

  private static func shape(
    _ size: Int, _ group: Int, _ mask: Attention.Mask, _ isDeterministic: Bool
  ) -> AttentionBackward.Shape {
    AttentionBackward.Shape(
      kvHeads: 2, group: group, headSize: size, mask: mask, isDeterministic: isDeterministic)
  }
}
