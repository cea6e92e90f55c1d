import Foundation
import Kernels
import Memory
import TestSupport
import Testing
import Tiles

@testable import TilesCUDA

/// Sums of products that are kept in 16 bits.
@Suite struct NarrowSumTests {
  /// What becomes of the sum of two products.
  private enum Use {
    case rounded, storedToo, roundedTwice, scaled, storedWide
  }

  /// y = (a·b + b·b) · b for each step, where the sum may be kept in 16 bits.
  private func kernel(
    _ type: ElementType = .float16, use: Use = .rounded, valid: Int = 64, both: Bool = true,
    change: (inout Kernel.Schedule) -> Void = { _ in }
  ) throws -> Kernel {
    try Kernel("narrow_sums") { k in
      let count = k.extent("N")
      let (a, b) = (k.input("a", type, [count, 64, 64]), k.input("b", type, [64, 64]))
      let y = k.output("y", use == .storedWide ? .float32 : type, [count, 64, 64])
      let z = use == .storedToo ? k.output("z", .float32, [64, 64]) : nil
      var schedule = Kernel.Schedule()
      schedule.bringsOperands = true
      change(&schedule)
      k.grid([1], schedule: schedule) { _ in
        let right = k.load(b, at: [0, 0], rows: 64, columns: 64)
        k.pipeline(
          steps: count, stages: 2,
          load: { step in [k.load(a, at: [step, 0, 0], rows: 64, columns: 64, validRows: Index(valid))] },
          compute: { step, tiles in
            let sum = k.matmul(tiles[0], right, in: type)
            if valid == 64 { k.matmul(into: sum, right, right, in: both ? type : nil) }
            let factor = k.cast(use == .scaled ? k.map(.multiply, sum, 2) : sum, to: type)
            if let z { k.store(sum, to: z, at: [0, 0]) }
            var result = k.matmul(factor, right, in: type)
            if use == .roundedTwice {
              let again = k.cast(sum, to: type)
              k.matmul(into: result, again, right, in: type)
            }
            if use != .storedWide { result = k.cast(result, to: type) }
            k.store(result, to: y, at: [step, 0, 0])
          })
      }
    }
  }

  private func source(_ kernel: Kernel) throws -> String { try PipelinedLowering.emit(kernel).source }
  private let narrow = "wgmma.mma_async.sync.aligned.m64n64k16.f16.f16.f16"
  private let wide = "wgmma.mma_async.sync.aligned.m64n64k16.f32."

  @Test(arguments: [false, true]) func sumsTakeHalfTheRegisters(trails: Bool) throws {
    let kernel = try kernel { $0.trailsSteps = trails }
    let source = try source(kernel)
    #expect(source.contains(narrow) && !source.contains(wide))
    // No register is declared for a number of its own, and nothing is packed.
    #expect(!source.contains("float t") && !source.contains("pack_f16(t"))
    // Its registers are those of the tile that it is rounded to.
    let name = try #require(
      source.range(of: #"start_narrow_n64_f16_s[st]\(q\d+"#, options: .regularExpression))
    let tile = source[name].split(separator: "(").last ?? ""
    #expect(source.contains("pin(\(tile)[0]);") && source.contains("u32 \(tile)[1][16];"))
    try RoleSimulator.check(kernel, parameters: [5])
  }

  @Test func otherTypesAndUsesAreFloat32() throws {
    #expect(!(try source(kernel(.bfloat16))).contains(".f16.bf16"))
    for use in [Use.storedToo, .roundedTwice, .scaled] {
      // The last product is narrow all the same.
      let source = try source(kernel(use: use))
      #expect(source.contains(narrow) && source.contains(wide), "\(use)")
    }
    let stored = try source(kernel(use: .storedWide))
    #expect(stored.contains(narrow) && stored.contains(wide))
    // One of both products that does not say so.
    let one = try source(kernel(both: false))
    #expect(one.contains(wide))
    for kernel in [try kernel(valid: 60), try kernel { $0.overlapsSteps = true }] {
      #expect(!(try source(kernel)).contains(narrow))
    }
  }

  /// The judge sees that the registers are taken when the product begins, not when it is rounded.
  @Test func whatTheSumOverwritesIsGone() throws {
    let kernel = try kernel()
    let placement = Placement(kernel)
    #expect(placement.narrowSums.count == 2)
    let (sum, rounded) = try #require(placement.narrowSums.first { placement.isLeftInRegisters($0.value) })
    var group = GroupProgram.steps(placement)
    let loader = LoaderProgram(placement: placement).steps()
    // The next sum is begun before the tile is packed.
    func moved(_ steps: [RoleStep]) -> [RoleStep] {
      var steps = steps.map { step in
        if case .loop(let number, let from, let below, let body) = step {
          RoleStep.loop(step: number, from: from, below: below, body: moved(body))
        } else {
          step
        }
      }
      guard let pack = steps.firstIndex(where: { if case .pack(rounded) = $0 { true } else { false } }),
        let issue = steps.firstIndex(where: {
          if case .issue(let product) = $0 { product.accumulator.id == sum } else { false }
        })
      else { return steps }
      steps.insert(steps[issue], at: pack)
      return steps
    }
    func run(_ group: [RoleStep]) throws {
      let scope = RunScope(parameters: [4], element: { _, _ in 0 })
      let simulator = RoleSimulator(
        placement, loader: loader, group: group, rings: PipelinedLowering.plannedRings(kernel), tasks: [[0]],
        scope: scope)
      for seed in 0..<5 { try simulator.run(seed: UInt64(seed)) }
    }
    try run(group)
    group = moved(group)
    #expect(throws: RoleError.self) { try run(group) }
  }

  @Test func messagesNameOtherTypes() {
    func record(_ type: ElementType, in sumType: ElementType) -> String {
      message {
        _ = try Kernel("bad") { k in
          let x = k.input("x", type, [64, 64])
          k.grid([1]) { _ in
            let tile = k.load(x, at: [0, 0], rows: 64, columns: 64)
            _ = k.matmul(tile, tile, in: sumType)
          }
        }
      }
    }
    let expected = "may be kept in the 16 bits of its factors"
    #expect(record(.float16, in: .bfloat16).contains(expected))
    #expect(record(.float32, in: .float32).contains(expected))
    #expect(record(.float32, in: .float16).contains("these are float32, not float16"))
  }

  /// Convolutions of float16 rows have no sum in float32; of bfloat16 rows, and filters' gradients, all are.
  @Test func convolutionsKeepSumsInSixteenBits() throws {
    let constants = MonarchConstants(radix: 64, isShifted: true)
    for chunks in [1, 2] {
      var shape = MonarchFused.Shape(constants, type: .float16)
      shape.chunks = chunks
      let source = try source(MonarchFused.kernel(shape))
      #expect(source.contains(narrow) && !source.contains(wide))
    }
    let bfloat16 = try source(MonarchFused.kernel(MonarchFused.Shape(constants, type: .bfloat16)))
    #expect(bfloat16.contains(wide) && !bfloat16.contains(narrow))
  }
}
