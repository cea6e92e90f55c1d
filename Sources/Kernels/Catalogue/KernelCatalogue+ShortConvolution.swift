internal import Fourier
internal import Memory
internal import Tiles

/// Short depthwise convolutions and their gradients.
extension KernelCatalogue {
  private typealias Case = CatalogueEntry.Case

  static let shortConvolutions: [CatalogueEntry] = shapes.flatMap(entries)

  private struct Configuration {
    var width: Int
    var type: ElementType
    var reach = ShortConvolutionShape.Reach.causal
    var hasBias = true
    var appliesSiLU = false

    func shape(_ layout: LongConvolution.Layout) throws -> ShortConvolutionShape {
      try ShortConvolutionShape(
        width: width, reach: reach, layout: layout, type: type, hasBias: hasBias, appliesSiLU: appliesSiLU)
    }
  }

  private static let shapes: [(Configuration, LongConvolution.Layout)] = [
    Configuration(width: 3, type: .bfloat16, reach: .centred, hasBias: false),
    Configuration(width: 4, type: .bfloat16, appliesSiLU: true),
    Configuration(width: 2, type: .float32),
    Configuration(width: 7, type: .float16),
    Configuration(width: 16, type: .bfloat16),
    Configuration(width: 16, type: .float32, reach: .centred, appliesSiLU: true),
  ].flatMap { one in [(one, .channelsFirst), (one, .channelsLast)] }

  private static func entries(
    _ one: Configuration, _ layout: LongConvolution.Layout
  ) -> [CatalogueEntry] {
    let name =
      "\(one.width)_\(layout == .channelsFirst ? "bhl" : "blh")_\(one.type.rawValue)_\(one.reach)"
      + "\(one.appliesSiLU ? "_silu" : "")"
    let sizes = [(1, 1, 1), (2, 19, 70), (1, 65, 530)].map { ["B": $0.0, "H": $0.1, "L": $0.2] }
    func entry(
      _ part: String, terms: Int, _ cases: [[String: Int]],
      _ make: @escaping @Sendable (ShortConvolutionShape) throws -> Kernel
    ) -> CatalogueEntry {
      CatalogueEntry(
        "short_convolution_\(part.isEmpty ? "" : "\(part)_")\(name)", tolerance: .sums(terms),
        cases: cases.map { Case($0) }
      ) { try make(try one.shape(layout)) }
    }
    // Sums of g · x have up to 530 terms, each with a slope of SiLU of at most 1.1.
    var all = [
      entry("", terms: 4 * one.width, sizes) { try $0.forward() },
      entry("backward", terms: 140, sizes.map { $0.merging(["segments": 2]) { $1 } }) { try $0.backward() },
      entry("filter_gradient", terms: 64, [["segments": 3, "H": 70]]) { try $0.filterGradient() },
    ]
    if layout == .channelsLast, one.reach == .causal {
      all.append(
        entry("step", terms: 4 * one.width, [["B": 1, "H": 1], ["B": 9, "H": 260]]) { try $0.step() })
    }
    if one.width < 5 { all.append(entry("state", terms: 1, sizes) { try $0.lastState() }) }
    if one.appliesSiLU {
      all.append(entry("input_gradient", terms: 4 * one.width, sizes) { try $0.inputGradient() })
    }
    return all
  }
}
