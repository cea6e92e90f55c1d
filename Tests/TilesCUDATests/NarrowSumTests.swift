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
    case rounded, storedToo, roundedTwice, scaled, storedWide, factorStored
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
      let f = use == .factorStored ? k.output("f", type, [count, 64, 64]) : nil
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
            if let f { k.store(factor, to: f, at: [step, 0, 0]) }
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

  /// A step whose end reads what the next one's first products overwrite does not end in the next.
  @Test func endsThatReadSumsStay() throws {
    let kernel = try kernel(use: .factorStored) { $0.trailsSteps = true }
    #expect(Placement(kernel).narrowSums.count == 2)
    try RoleSimulator.check(kernel, parameters: [5])
    #expect(!(try source(kernel)).contains("for (int step0 = 1;"))
  }

  /// The judge sees that the registers are taken when the product begins, not when it is rounded.
  @Test func whatTheSumOverwritesIsGone() throws {
    let kernel = try kernel(use: .factorStored)
    let placement = Placement(kernel)
    let (sum, rounded) = try #require(
      placement.narrowSums.first { placement.isLeftInRegisters($0.value) })
    let group = GroupProgram.steps(placement)
    // What was rounded is stored a turn later, behind the product that opens it, or before.
    func moved(_ steps: [RoleStep], behind: Bool) throws -> [RoleStep] {
      try steps.flatMap { step -> [RoleStep] in
        guard case .loop(let number, let from, let below, var body) = step else { return [step] }
        let place = try #require(
          body.firstIndex { if case .store(rounded, _) = $0 { true } else { false } })
        let store = body.remove(at: place)
        let issue = try #require(
          body.firstIndex {
            if case .issue(let product) = $0 { product.accumulator.id == sum } else { false }
          })
        let late = RoleStep.when(
          less: 0, than: .step(number),
          body: [.with(step: number, value: .step(number) - 1, body: [store])])
        body.insert(late, at: behind ? issue + 1 : 0)
        return [
          .loop(step: number, from: from, below: below, body: body),
          .with(step: number, value: below - 1, body: [store]),
        ]
      }
    }
    func run(_ group: [RoleStep]) throws {
      let scope = RunScope(parameters: [4], element: { _, _ in 0 })
      let simulator = RoleSimulator(
        placement, loader: LoaderProgram(placement: placement).steps(), group: group,
        rings: PipelinedLowering.plannedRings(kernel), tasks: [[0]], scope: scope)
      for seed in 0..<5 { try simulator.run(seed: UInt64(seed)) }
    }
    try run(group)
    try run(moved(group, behind: false))
    let error = #expect(throws: RoleError.self) { try run(moved(group, behind: true)) }
    guard case .wrongContents = try #require(error).problem else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  /// Registers of one tile are not those of two sums.
  @Test func oneTileHasOneSum() throws {
    let kernel = try Kernel("two") { k in
      let (a, y) = (k.input("a", .float16, [64, 64]), k.output("y", .float16, [64, 64]))
      k.grid([1]) { _ in
        let tile = k.load(a, at: [0, 0], rows: 64, columns: 64)
        let sums = [false, true].map { k.matmul(tile, tile, transposesLeft: $0, in: .float16) }
        let rounded = k.cast(sums[0], to: .float16)
        k.assign(rounded, sums[1])
        k.store(rounded, to: y, at: [0, 0])
      }
    }
    #expect(Placement(kernel).narrowSums.isEmpty)
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

  /// Convolutions of whole float16 rows have no sum in float32, in any form; of bfloat16 rows all are.
  @Test func convolutionsKeepSumsInSixteenBits() throws {
    let others = ["ragged", "gradient", "inverse", "spectrum"]
    let entries = KernelCatalogue.all.filter { entry in
      ["monarch_fused_", "monarch_wide_"].contains { entry.name.hasPrefix($0) }
        && !others.contains { entry.name.contains($0) }
    }
    #expect(entries.count > 40)
    for entry in entries {
      let source = try source(entry.make())
      let isFloat16 = entry.name.hasSuffix("float16") && !entry.name.hasSuffix("bfloat16")
      #expect(source.contains(narrow) == isFloat16 && source.contains(wide) != isFloat16, "\(entry.name)")
    }
  }
}
