internal import Memory
internal import Tiles

extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  /// Windows with learned features behind them.
  static let hedgehog: [CatalogueEntry] = [SelectiveScan.Part.whole, .states, .results].map { part in
    let segmented = part == .whole ? [:] : ["segments": 2, "segmentBlocks": 2]
    let lengths = part == .whole ? [1, 64, 65, 200] : [200]
    return CatalogueEntry(
      // Features and weights round to 16 bits; states are sums of up to 200 values.
      "hedgehog_attention\(part == .whole ? "" : "_\(part)")",
      tolerance: CatalogueEntry.Tolerance(absolute: 0x1p-5, relative: 0x1p-6),
      cases: lengths.map {
        Case(
          ["B": 1, "N": $0].merging(segmented) { $1 },
          ["linear": .numbers([0.75, 1.5]), "window": .numbers([1, 0.25]), "before": .uniform(0...1)])
      }
    ) {
      try HedgehogAttention.kernel(HedgehogAttention.Shape(heads: 2), scale: 0.09, part: part)
    }.large()
  }
}
