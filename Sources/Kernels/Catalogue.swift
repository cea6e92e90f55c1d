internal import Memory
public import Tiles

/// A kernel with sizes, as lists, compilers and checks walk over them.
public struct CatalogueEntry: Sendable {
  /// Name that is unique among entries.
  public var name: String
  /// Records it.
  public var make: @Sendable () throws -> Kernel
  /// Arguments to check it with.
  public var cases: [Case]
  /// Largest allowed ‖result − reference‖ / ‖reference‖ of each result; from the precision of what it rounds.
  public var tolerance: Double

  /// Arguments of one run.
  public struct Case: Sendable {
    /// Extents by name.
    public var extents: [String: Int]
    /// Integer arguments, in order.
    public var integers: [Int]
    /// Contents of integer tensors by name.
    public var indices: [String: [Int32]]

    /// Arguments of one run.
    public init(_ extents: [String: Int], integers: [Int] = [], indices: [String: [Int32]] = [:]) {
      self.extents = extents
      self.integers = integers
      self.indices = indices
    }
  }

  /// Tensors whose numbers are drawn from 0...0.1 instead of −1...1: times, rates and the like.
  public static let small: Set<String> = ["dt"]

  /// An entry.
  public init(
    _ name: String, tolerance: Double, cases: [Case] = [], _ make: @escaping @Sendable () throws -> Kernel
  ) {
    self.name = name
    self.make = make
    self.cases = cases
    self.tolerance = tolerance
  }
}

/// All kernels in the sizes that common models have: what is compiled in continuous integration and checked on a GPU.
public enum KernelCatalogue {
  /// Every entry; names differ.
  public static var all: [CatalogueEntry] {
    products + attention + gradients + decoding + scans + elementwise
  }

  /// Results rounded once to bfloat16 or float16 (2⁻⁹ and 2⁻¹² at most, a third of it on average) from factors rounded likewise.
  private static func tolerance(_ type: ElementType) -> Double { type == .bfloat16 ? 6e-3 : 1e-3 }

  // MARK: Products

  private static var products: [CatalogueEntry] {
    var entries: [CatalogueEntry] = []
    let sizes = [(1, 8, 8), (64, 64, 64), (127, 136, 72), (65, 264, 200)]
    for type in [ElementType.bfloat16, .float16] {
      for transposes in [false, true] {
        for rows in [1, 16, 64, 256] {
          let plan = Gemm.Plan.gpu(rows: rows, columns: rows == 256 ? 16384 : 4096)
          entries.append(
            CatalogueEntry(
              "gemm_\(transposes ? "nt" : "nn")_\(type.rawValue)_\(rows == 256 ? "large" : "m\(rows)")",
              tolerance: tolerance(type),
              cases: sizes.map { .init(["M": min($0.0, rows), "N": $0.1, "K": $0.2]) }
            ) {
              try Gemm.kernel(transposesB: transposes, type: type, plan: plan)
            })
        }
      }
    }
    for columns in [64, 128] {
      entries.append(
        CatalogueEntry(
          "gemm_nn_bfloat16_c\(columns)", tolerance: tolerance(.bfloat16),
          cases: sizes.map { .init(["M": $0.0, "N": $0.1, "K": $0.2]) }
        ) {
          var plan = Gemm.Plan.gpu
          plan.columns = columns
          plan.stages = 6
          return try Gemm.kernel(type: .bfloat16, plan: plan)
        })
    }
    entries.append(
      CatalogueEntry(
        "gemm_nn_float32", tolerance: 1e-5, cases: [.init(["M": 33, "N": 65, "K": 40])]
      ) { try Gemm.kernel(plan: Gemm.Plan(rows: 64, columns: 64, inner: 32)) })
    return entries
  }

  // MARK: Attention

  private static let masks: [(String, Attention.Mask)] = [
    ("full", .full), ("causal", .causal), ("window", .window(50)),
  ]

  private static var attention: [CatalogueEntry] {
    [40, 64, 80, 96, 128, 256].flatMap { size in
      masks.map { name, mask in
        CatalogueEntry(
          "attention_\(name)_\(size)", tolerance: 8e-3,
          cases: [(1, 1), (63, 63), (65, 130), (3, 257)].map {
            .init(["B": 1, "N": $0.1], integers: [$0.0])
          }
        ) {
          try Attention.kernel(
            .gpu(kvHeads: 2, group: size == 64 ? 3 : 1, headSize: size, mask: mask), mask: mask,
            scale: 1 / Float(size).squareRoot())
        }
      }
    }
  }

  private static var gradients: [CatalogueEntry] {
    [40, 64, 128].flatMap { size -> [CatalogueEntry] in
      let shape = AttentionBackward.Shape(kvHeads: 2, group: size == 40 ? 2 : 1, headSize: size)
      let scale = 1 / Float(size).squareRoot()
      return masks.map { name, mask in
        CatalogueEntry(
          "attention_backward_\(name)_\(size)", tolerance: 1e-2,
          cases: [(4, 1), (64, 64), (100, 130)].map { .init(["B": 1, "M": $0.0, "N": $0.1]) }
        ) { try AttentionBackward.kernel(shape, mask: mask, scale: scale) }
      } + [
        CatalogueEntry(
          "attention_backward_preparation_\(size)", tolerance: 1e-5, cases: [.init(["B": 2, "M": 37])]
        ) { try AttentionBackward.preparation(shape) },
        CatalogueEntry(
          "attention_backward_conversion_\(size)", tolerance: tolerance(.bfloat16), cases: [.init(["R": 37])]
        ) { try AttentionBackward.conversion(shape, scale: scale) },
      ]
    }
  }

  private static var decoding: [CatalogueEntry] {
    [(64, 3), (128, 1)].flatMap { size, group -> [CatalogueEntry] in
      let scale = 1 / Float(size).squareRoot()
      return [32, 256].flatMap { sequences -> [CatalogueEntry] in
        let shape = PrefixDecoding.Shape(
          kvHeads: 2, group: group, headSize: size, sequences: sequences)
        return [
          CatalogueEntry(
            "prefix_states_\(size)_b\(sequences)", tolerance: 8e-3,
            cases: [.init(["B": 5, "P": 300, "splits": 3], integers: [128])]
          ) { try PrefixDecoding.prefix(shape, scale: scale) },
          CatalogueEntry(
            "suffix_attention_\(size)_b\(sequences)", tolerance: 8e-3,
            cases: [.init(["B": 3, "S": 70], indices: ["lengths": [70, 1, 64]])]
          ) { try PrefixDecoding.suffix(shape, scale: scale) },
        ]
      } + [
        CatalogueEntry(
          "prefix_combination_\(size)", tolerance: 1e-5, cases: [.init(["R": 19, "splits": 3])]
        ) {
          try PrefixDecoding.combination(
            PrefixDecoding.Shape(kvHeads: 2, group: group, headSize: size, sequences: 1))
        }
      ]
    }
  }

  // MARK: Scans

  private static var scans: [CatalogueEntry] {
    let shape = SelectiveScan.Shape(heads: 2, headSize: 64, stateSize: 64)
    var entries = [
      CatalogueEntry(
        "selective_scan_64_64", tolerance: 1e-2,
        cases: [4, 64, 132].map { .init(["B": 1, "N": $0]) }
      ) { try SelectiveScan.kernel(shape) }
    ]
    for part in [SelectiveScan.Part.states, .results] {
      entries.append(
        CatalogueEntry(
          "selective_scan_\(part)_64_64", tolerance: 1e-2,
          cases: [.init(["B": 1, "N": 200, "segments": 2], integers: [2])]
        ) { try SelectiveScan.kernel(shape, part: part) })
    }
    entries.append(
      CatalogueEntry(
        "selective_scan_combination_64_64", tolerance: 1e-5, cases: [.init(["B": 1, "segments": 3])]
      ) { try SelectiveScan.combination(shape) })
    entries.append(
      CatalogueEntry(
        "taylor_attention_64", tolerance: 1e-2, cases: [1, 64, 100].map { .init(["B": 1, "N": $0]) }
      ) { try TaylorAttention.kernel(TaylorAttention.Shape(heads: 2), scale: 0.25) })
    return entries
  }

  // MARK: Elementwise

  private static var elementwise: [CatalogueEntry] {
    var entries = [576, 4096].flatMap { width in
      [("rms", Normalisation.rms(epsilon: 1e-5)), ("layer", .layer(epsilon: 1e-5))].map { name, kind in
        CatalogueEntry("normalisation_\(name)_\(width)", tolerance: 1e-5, cases: [.init(["M": 5])]) {
          try kind.kernel(width: width)
        }
      }
    }
    entries += Activation.allCases.map { activation in
      CatalogueEntry("activation_\(activation.rawValue)", tolerance: 1e-5, cases: [.init(["M": 5])]) {
        try activation.kernel(columns: 200, output: .float32)
      }
    }
    entries.append(
      CatalogueEntry(
        "embedding_float16", tolerance: 1e-6,
        cases: [.init(["M": 3, "V": 7], indices: ["ids": [6, 0, 3]])]
      ) { try Embedding.kernel(width: 72, table: .float16) })
    for weight in [ElementType.float16, .bfloat16, .float32] {
      entries.append(
        CatalogueEntry("linear_\(weight.rawValue)_exact", tolerance: 1e-5, cases: [.init(["M": 3])]) {
          try Linear.kernel(
            Linear.Shape(inputs: 96, outputs: 70), weight: weight, arithmetic: .exact,
            epilogue: .biasAndResidual)
        })
    }
    for weight in [ElementType.q8_0, .q4_0, .q4_K, .q6_K] {
      entries.append(
        CatalogueEntry("linear_\(weight.rawValue)_integer", tolerance: 1e-5) {
          try Linear.kernel(
            Linear.Shape(inputs: 512, outputs: 96), weight: weight, arithmetic: .integer)
        })
    }
    return entries
  }
}
