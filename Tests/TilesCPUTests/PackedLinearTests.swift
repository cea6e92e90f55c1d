import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

/// Weights in blocks that products in 16-bit arithmetic decode as they go.
@Suite struct PackedLinearTests {
  static let types: [ElementType] = [.q4_0, .q4_1, .q8_0]

  /// The outputs of a kernel on two threads of the fastest routines.
  private func outputs(_ kernel: Kernel, _ inputs: [Tensor], _ shape: [Int]) throws -> [Double] {
    let y = try poisoned(shape)
    try CPUExecutor(threads: 2).compile(kernel).run(inputs + [y])
    return values(y)
  }

  private func rounded(_ weight: Tensor) throws -> Tensor {
    let result = try poisoned(.bfloat16, weight.shape)
    let kernel = try Conversion.kernel(columns: weight.shape[1], from: weight.type, to: .bfloat16)
    try CPUExecutor(threads: 1).compile(kernel).run([weight, result])
    return result
  }

  /// Weights that were rounded to bfloat16 before give the same bits, whatever the steps and sides.
  @Test(arguments: types, Linear.Shape.rowLimits.map { Optional($0) } + [nil])
  func decodingOnTheWayChangesNoBit(type: ElementType, limit: Int?) throws {
    let (rows, inputs, outputs) = (min(limit ?? 67, 67), 352, 72)
    let weight = try quantized(type, [outputs, inputs], seed: 1)
    let x = try uniform(.bfloat16, [rows, inputs], seed: 2)
    func product(_ weight: Tensor) throws -> [Double] {
      let shape = Linear.Shape.sixteenBit(
        inputs: inputs, outputs: outputs, rowLimit: limit, weight: weight.type)
      return try self.outputs(
        Linear.kernel(shape, weight: weight.type, arithmetic: .sixteenBit), [x, weight], [rows, outputs])
    }
    #expect(try product(weight) == product(rounded(weight)))
  }

  @Test(arguments: types) func loadsAgreeWithTheDefinitionOfBlocks(type: ElementType) throws {
    let weight = try quantized(type, [5, 320], seed: 3)
    let kernel = try Kernel("decode") { k in
      let w = k.input("w", type, [5, 320])
      let y = k.output("y", .float32, [5, 320])
      k.grid([2]) { task in
        let tile = k.load(w, at: [0, task[0] * 256], rows: 5, columns: 256, as: .bfloat16)
        k.store(k.map(.multiply, tile, 1), to: y, at: [0, task[0] * 256])
      }
    }
    let exact = try values(rounded(weight))
    for run in try runs(kernel, [weight], outputs: [(.float32, [5, 320])], portable: true) {
      #expect(run.outputs[0] == exact, "\(run.executor)")
    }
  }

  @Test func tilesFitTheCores() {
    for sums in 1...2 {
      for limit in Linear.Shape.rowLimits.map({ Optional($0) }) + [nil] {
        for type in Self.types {
          let shape = Linear.Shape.sixteenBit(
            inputs: 4096, outputs: 14336, rowLimit: limit, sums: sums, weight: type)
          // Two stages at the least, so that copies run beside products.
          #expect(shape.stages >= 2 && shape.swapsSides, "\(type) \(sums) \(limit ?? 0)")
        }
      }
    }
  }
}

/// Products whose inner side is cut into parts.
@Suite struct SplitTests {
  /// As many parts as steps, fewer, and more.
  @Test(arguments: [1, 2, 3, 8], [(1, 70, 200), (16, 136, 520), (5, 33, 64)])
  func partsAddUp(splits: Int, size: (Int, Int, Int)) throws {
    let (m, n, inner) = size
    var plan = Gemm.Plan.gpu(rows: m, columns: n)
    plan.splits = splits
    let (a, b) = (try uniform(.bfloat16, [m, inner], seed: 1), try uniform(.bfloat16, [inner, n], seed: 2))
    let parts = try Gemm.parts(plan: plan)
    let sum = try SplitSum.kernel(splits: splits, epilogue: .residual)
    let residual = try uniform([m, n], seed: 3)
    let (x, y, z) = (values(a), values(b), values(residual))
    let exact = (0..<m * n).map { place in
      z[place] + (0..<inner).reduce(0.0) { $0 + x[place / n * inner + $1] * y[$1 * n + place % n] }
    }
    for (name, executor) in judged(reference: m * n * inner < 100_000) {
      let (middle, found) = (try poisoned([splits, m, n]), try poisoned([m, n]))
      try executor.compile(parts).run([a, b, middle])
      try executor.compile(sum).run([middle, residual, found])
      let bound = Double(inner + splits) * Double(inner) * 0x1p-24
      #expect(error(values(found), exact, inUnitsOf: bound) <= 1, "\(name)")
    }
  }

  @Test func layersAreCutWhereCoresWouldIdleAndPartsAreLong() {
    func splits(_ inputs: Int, _ outputs: Int, _ limit: Int? = 8, cores: Int = 132) -> Int {
      Linear.Shape.sixteenBit(inputs: inputs, outputs: outputs, rowLimit: limit).split(for: cores).splits
    }
    #expect(splits(14336, 1024) == 8)
    #expect(splits(4096, 4096) == 2)
    #expect(splits(4096, 14336) == 1)
    // Two tasks a core, so twice the parts.
    let packed = Linear.Shape.sixteenBit(inputs: 14336, outputs: 4096, rowLimit: 8, weight: .q4_0)
    #expect(packed.split(for: 132).splits == 4)
    // Too short to pay for a second kernel.
    #expect(splits(1536, 576) == 1)
    #expect(splits(14336, 1024, cores: 1) == 1)
  }

  @Test func layersOfFewOutputsAreCutIntoFewPartsOfNarrowTiles() {
    func cut(_ inputs: Int, _ outputs: Int, rowLimit: Int = 64) -> [Int] {
      let shape = Linear.Shape.sixteenBit(inputs: inputs, outputs: outputs, rowLimit: rowLimit).cut(for: 132)
      return [shape.splits, shape.columns, shape.swapsSides ? 1 : 0, shape.stages]
    }
    #expect(cut(768, 768) == [2, 16, 0, 6])
    #expect(cut(3072, 768) == [4, 32, 0, 12])
    #expect(cut(4096, 1024) == [4, 32, 0, 12])
    #expect(cut(2048, 2048) == [3, 48, 0, 11])
    #expect(cut(8192, 2112) == [4, 64, 0, 12])
    // Fewer rows, or tiles enough.
    #expect(cut(768, 768, rowLimit: 8) == [4, 64, 1, 3])
    #expect(cut(8192, 2113) == [3, 64, 1, 8])
    // A part has three steps at the least.
    #expect(cut(128, 128)[0] == 1)
  }
}
