import Glibc
import Kernels
import Memory
import Testing
import Tiles

@testable import TilesCUDA

/// Every kernel prints in its simple form, and the compiler takes it without spilling.
@Suite struct SimpleKernelsTests {
  struct Entry: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let make: @Sendable () throws -> Kernel

    init(_ name: String, _ make: @escaping @Sendable () throws -> Kernel) {
      testDescription = name
      self.make = make
    }
  }

  static let weights: [ElementType] = [
    .float32, .float16, .bfloat16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q4_K, .q5_K, .q6_K,
  ]

  static let entries: [Entry] = linear + rows + attention + others

  static let linear: [Entry] = {
    var entries: [Entry] = []
    var shape = Linear.Shape(inputs: 2048, outputs: 2048)
    shape.columns = 64
    for type in weights {
      entries.append(Entry("embedding \(type)") { try Embedding.kernel(width: 2048, table: type) })
      for arithmetic in type.isBlocked ? [Linear.Arithmetic.exact, .integer] : [.exact] {
        let output: ElementType = arithmetic == .integer ? .q16_rows : .float32
        entries.append(
          Entry("linear \(type) \(arithmetic)") { [shape] in
            try Linear.kernel(shape, weight: type, arithmetic: arithmetic, epilogue: .biasAndResidual)
          })
        entries.append(
          Entry("gated \(type) \(arithmetic)") { [shape] in
            try GatedLinear.kernel(shape, weights: (type, type), arithmetic: arithmetic, output: output)
          })
      }
    }
    return entries
  }()

  static let rows: [Entry] = {
    var entries: [Entry] = []
    for width in [64, 1000, 4096, 8192] {
      for type in width % 32 == 0 ? [ElementType.float32, .q16_rows] : [.float32] {
        for norm in [Normalisation.rms(epsilon: 1e-5), .layer(epsilon: 1e-5)] {
          entries.append(Entry("\(norm) \(width) \(type)") { try norm.kernel(width: width, output: type) })
        }
        entries.append(
          Entry("gelu \(width) \(type)") { try Activation.gelu.kernel(columns: width, output: type) })
      }
    }
    return entries
  }()

  static let attention: [Entry] = [Attention.Mask.full, .causal, .window(100)].flatMap { mask in
    [
      Entry("attention \(mask)") {
        try Attention.kernel(
          Attention.Shape(kvHeads: 4, group: 2, headSize: 128), mask: mask, scale: 0.1)
      },
      Entry("attention \(mask), 16 bits") {
        try Attention.kernel(
          .gpu(kvHeads: 4, group: 2, headSize: 128, mask: mask), mask: mask, scale: 0.1)
      },
      Entry("attention backward \(mask)") {
        try AttentionBackward.kernel(
          AttentionBackward.Shape(kvHeads: 4, group: 2, headSize: 128, mask: mask), mask: mask,
          scale: 0.1)
      },
    ]
  }

  static let layer = Rotary.Shape(kvHeads: 2, group: 4, headSize: 64, rotarySize: 32)

  static let others: [Entry] = {
    var entries = [
      Entry("scan") {
        try SelectiveScan.kernel(SelectiveScan.Shape(heads: 4, headSize: 64, stateSize: 64))
      },
      Entry("taylor") { try TaylorAttention.kernel(TaylorAttention.Shape(heads: 4), scale: 0.25) },
    ]
    for cache in [ElementType.float32, .float16, .int8] {
      entries.append(Entry("rotary \(cache)") { try Rotary.kernel(layer, cache: cache, scale: 0.1) })
      entries.append(
        Entry("paged \(cache)") { try PagedAttention.kernel(layer, cache: cache, window: 99, softcap: 30) })
    }
    for type in [ElementType.float32, .q16_rows] {
      entries.append(Entry("merge \(type)") { try PagedAttention.merge(layer, output: type) })
    }
    for type in [ElementType.float32, .bfloat16] {
      entries.append(
        Entry("rotary heads \(type)") { try RotaryEmbedding.kernel(headSize: 128, type: type) })
      for probability in [Float(0), 0.1] {
        entries.append(
          Entry("dropout \(probability) \(type)") {
            try DropoutResidualNorm(
              .layer(epsilon: 1e-5), width: 1024, type: type, probability: probability
            ).kernel()
          })
      }
    }
    for transposes in [false, true] {
      entries.append(Entry("gemm \(transposes)") { try Gemm.kernel(transposesB: transposes) })
    }
    return entries
  }()

  @Test(arguments: entries) func prints(_ entry: Entry) throws {
    for target in CUDATarget.allCases {
      do {
        let program = try SimpleLowering.emit(entry.make(), target: target)
        #expect(program.sharedBytes <= target.sharedBytesPerBlock)
        #expect(program.tensorMaps.isEmpty && !program.plan.isEmpty)
      } catch let error as ExecutionError where target == .sm_80 {
        // Gradients of attention sum along every side of their tiles, so none can be cut.
        #expect("\(error)".contains("a block has 166912"))
      }
    }
  }

  /// The compiler, where the repository's copy or the system has one.
  static let compiler: NVRTC? = {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let given = getenv("GODWIT_NVRTC").map { String(cString: $0) }
    return given.flatMap { try? NVRTC(path: $0) } ?? (try? NVRTC(path: "/\(root)/.nvrtc/nvidia/cu13/lib"))
      ?? (try? NVRTC())
  }()

  @Test(
    .enabled("needs NVRTC: put libnvrtc into .nvrtc or name its folder in GODWIT_NVRTC") { compiler != nil },
    arguments: entries)
  func compilesWithoutSpills(_ entry: Entry) throws {
    let program = try SimpleLowering.emit(entry.make(), target: .sm_90a)
    let output = try #require(Self.compiler).compile(program.source, name: program.entry, target: .sm_90a)
    #expect(CompileReport(log: output.log).problems(threads: program.threads) == [])
  }
}
