import Foundation
import Kernels
import Memory
import TestSupport
import Testing
import Tiles

@testable import TilesCUDA

@Suite struct PipelinedLoweringTests {
  private func gemm(_ change: (inout Gemm.Plan) -> Void = { _ in }) throws -> Kernel {
    var plan = Gemm.Plan.gpu
    change(&plan)
    return try Gemm.kernel(type: .bfloat16, plan: plan)
  }

  @Test func lengthsAreArguments() throws {
    let program = try PipelinedLowering.emit(gemm())
    // One program for every M, N and K: they are read from the arguments, never printed as numbers.
    #expect(program.source.contains("a.parameter[0]"))
    #expect(program.source.contains("a.parameter[2]"))
    #expect(try PipelinedLowering.emit(gemm()).source == program.source)
  }

  /// Of two chunks with gates: the gated input lies where the factor of the last product does, and part of a filter aside.
  @Test func whatHasNoRoomInRegistersIsSetAside() throws {
    var shape = MonarchWide.Shape(type: .float16, isGatedBefore: true, gatesAfter: 1)
    let plain = try PipelinedLowering.emit(try MonarchWide.kernel(shape))
    #expect(!plain.plan.contains { $0.contains("set aside") })
    shape.chunks = 2
    let program = try PipelinedLowering.emit(try MonarchWide.kernel(shape))
    // Of both parts of each quarter of the frequencies as many as there is room for.
    #expect(program.plan.filter { $0.contains("set aside") }.count == 6)
    let places = program.plan.filter { $0.hasPrefix("staged tile") }.compactMap {
      $0.split(separator: " ").last
    }
    #expect(places.count == 3)
    #expect(Set(places).count == 2)
    // Numbers that only elementwise operations touch share registers.
    #expect(program.source.contains(", in pairs"))
  }

  /// Both chunks of a row are one step: its two loops take turns with one ring each for inputs and for gates after, and what they stage lies in
  /// two places, of which every tile names the same one.
  @Test(arguments: [(false, 0), (true, 1)])
  func loopsTakeTurnsWithRingsAndStages(isGatedBefore: Bool, gatesAfter: Int) throws {
    var shape = MonarchFused.Shape(MonarchConstants(radix: 64, isShifted: true), type: .float16)
    (shape.chunks, shape.isGatedBefore, shape.gatesAfter) = (2, isGatedBefore, gatesAfter)
    let kernel = try MonarchFused.kernel(shape)
    let placement = Placement(kernel)
    #expect(placement.rings.count == (gatesAfter > 0 ? 3 : 2))
    let places = Set(placement.staged.keys.map { placement.place(ofStaged: $0) })
    #expect(placement.staged.count == (isGatedBefore ? 6 : 4) && places.count == 2)
    #expect(places.allSatisfy { placement.place(ofStaged: $0) == $0 })
    #expect(placement.shares.values.allSatisfy { placement.shares[$0] == nil })
  }

  /// What a task keeps in memory: each thread its own registers, sixteen bytes at a time, beside products that run on.
  @Test func threadsKeepTheirNumbers() throws {
    var rows = MonarchWide.Shape(type: .float16, isGatedBefore: true, gatesAfter: 1)
    rows.chunks = 4
    let source = try PipelinedLowering.emit(try MonarchWide.kernel(rows)).source
    #expect(source.contains("uint4 *const kept"))
    // What a chunk leaves is kept or read again in four pieces.
    // One lag in a loop to begin with; then two writes of what is kept, two reads of it, and one of each lag, of re and im alike.
    let moves = source.components(separatedBy: "uint4 *const kept").count - 1
    #expect(moves == 4 * 2 * (1 + 2 + 2 + 2))
    var sums = MonarchWideGradient.Shape(type: .float16)
    #expect(!(try PipelinedLowering.emit(try MonarchWideGradient.kernel(sums)).source.contains("kept")))
    sums.chunks = 2
    #expect(
      try PipelinedLowering.emit(try MonarchWideGradient.kernel(sums)).source.contains("float4 *const kept"))
  }

  @Test func onlyWholeTilesAreKept() throws {
    let kernel = try Kernel("part") { k in
      let x = k.input("x", .bfloat16, [64, 64])
      let scratch = k.scratch("scratch", .float32, [128, 64])
      k.grid([1]) { _ in
        let tile = k.load(x, at: [0, 0], rows: 64, columns: 64)
        k.store(k.matmul(tile, tile), to: scratch, at: [0, 0])
      }
    }
    #expect(message { _ = try PipelinedLowering.emit(kernel) }.contains("cannot be kept; take whole tiles"))
  }

  /// Of complex tiles products are subtracted, without negated copies of factors.
  @Test func productsAreSubtracted() throws {
    let shape = MonarchFused.Shape(
      MonarchConstants(radix: 64, isShifted: false), type: .float16, isComplex: true)
    let source = try PipelinedLowering.emit(try MonarchFused.kernel(shape)).source
    #expect(source.contains("product_less_narrow_n64_f16_st(q"))
    #expect(source.contains("product_less_narrow_n64_f16_tt(q"))
  }

  /// A gated step of 8,192 points ends beside the first products of the next, whose gates it does not wait for.
  @Test func gatedStepsEndInTheNext() throws {
    var shape = MonarchWide.Shape(type: .float16, isGatedBefore: true, gatesAfter: 1)
    let source = try PipelinedLowering.emit(try MonarchWide.kernel(shape)).source
    let loop = try #require(source.range(of: "for (int step1 = 1;"))
    let turn = source[loop.upperBound...]
    let issued = try #require(turn.range(of: "start_narrow_n64_f16_st"))
    let gate = try #require(turn.range(of: "barrier_wait(full2"))
    let finished = try #require(turn.range(of: "matmul_wait<0>"))
    #expect(issued.lowerBound < gate.lowerBound && gate.lowerBound < finished.lowerBound)
    // Two gates after the inverse are more than the registers hold beside that.
    shape.gatesAfter = 2
    #expect(
      !(try PipelinedLowering.emit(try MonarchWide.kernel(shape)).source.contains("for (int step1 = 1;")))
  }

  /// A quarter of the columns' products: each quarter is one of 64 by 32 by 32, and what is read beside is read by matrices.
  @Test func columnsOfTransformsAreQuartered() throws {
    let shape = MonarchFused.Shape(MonarchConstants(radix: 64, isShifted: true), type: .float16)
    let source = try PipelinedLowering.emit(try MonarchFused.kernel(shape)).source
    let lines = source.split(separator: "\n").map { $0.drop { $0 == " " } }
    func count(_ width: Int) -> Int {
      let starts = ["start_narrow_n\(width)_f16_", "product_narrow_n\(width)_f16_"]
      return lines.count { line in starts.contains { line.hasPrefix($0) } }
    }
    // Two products of rows forth and two back, of four instructions each; four of columns forth and four back, of two.
    #expect(count(64) == 16)
    #expect(count(32) == 16)
    #expect(lines.count { $0 == "matmul_commit();" } == 12)
    #expect(!source.contains("*(const u32 *)(memory +"))
  }

  /// Rows' matrices are left factors from registers where that pays and there is room: both, or of chunks those of the way back.
  @Test func matricesOfRowsAreHeldInRegisters() throws {
    func count(_ shape: MonarchFused.Shape) throws -> Int {
      try PipelinedLowering.emit(try MonarchFused.kernel(shape)).source.split(separator: "\n").count {
        $0.contains("_narrow_n64_f16_rt(") && $0.hasSuffix(";")
      }
    }
    var shape = MonarchFused.Shape(MonarchConstants(radix: 64, isShifted: true), type: .float16)
    #expect(try count(shape.visiting(31)) == 0)
    #expect(try count(shape.visiting(32)) == 16)
    var gated = shape
    gated.isGatedBefore = true
    #expect(try count(gated.visiting(64)) == 0)
    shape.chunks = 2
    #expect(try count(shape.visiting(1)) == 16)
    shape.isFolded = true
    #expect(try count(shape.visiting(64)) == 0)
  }

  @Test func planNamesRingsAndRegisters() throws {
    let program = try PipelinedLowering.emit(gemm())
    #expect(program.threads == 384)
    #expect(program.plan.contains { $0.hasPrefix("ring 0: 4 stages of 49152 bytes") })
    #expect(program.plan.contains("registers: loader 24, groups 240"))
    #expect(program.sharedBytes <= CUDATarget.sm_90a.sharedBytesPerBlock)
    #expect(program.grid == .persistent(perMultiprocessor: 1))
  }

  @Test func oneProductAStepStaysInFlight() throws {
    let source = try PipelinedLowering.emit(gemm()).source
    #expect(source.contains("matmul_wait<1>();"))
    #expect(source.contains("barrier_expect(full0 + 8 * slot0, 49152);"))
  }

  @Test func bulkCopiesOfBothFactorsAndTheResult() throws {
    let maps = try PipelinedLowering.emit(gemm()).tensorMaps
    #expect(
      maps == [
        CUDAProgram.TensorMap(tensor: 0, box: [128, 64], swizzle: 128),
        CUDAProgram.TensorMap(tensor: 1, box: [64, 64], swizzle: 128),
        CUDAProgram.TensorMap(tensor: 2, box: [64, 64], swizzle: 128),
      ])
  }

  @Test func tooManyStagesAreRefusedWithBothNumbers() throws {
    let kernel = try gemm { $0.stages = 6 }
    let error = #expect(throws: ExecutionError.self) { try PipelinedLowering.emit(kernel) }
    #expect("\(error as Any)".contains("327776 bytes of shared memory, 232448 are there"))
  }

  @Test func rowsThatGroupsCannotShareAreRefused() throws {
    let kernel = try gemm { $0.rows = 96 }
    #expect(!PipelinedLowering.suits(kernel))
    // The plain form takes over.
    #expect(try Emitter.emit(kernel, target: .sm_90a).tensorMaps.isEmpty)
  }

  @Test func stepsOverlapWhereAsked() throws {
    var shape = Attention.Shape.gpu(kvHeads: 2, group: 1, headSize: 128, mask: .causal)
    let kernel = try Attention.kernel(shape, mask: .causal, scale: 0.1)
    let overlapping = try PipelinedLowering.emit(kernel).source
    shape.schedule.overlapsSteps = false
    let plain = try PipelinedLowering.emit(Attention.kernel(shape, mask: .causal, scale: 0.1)).source
    // The sums of one step are waited for behind the scores of the next.
    #expect(overlapping.contains("matmul_wait<1>();"))
    #expect(!plain.contains("matmul_wait<1>();"))
  }

  @Test func boundsCostOneBranch() throws {
    let kernel = try Attention.kernel(
      .gpu(kvHeads: 2, group: 1, headSize: 64, mask: .full), mask: .full, scale: 0.1)
    let source = try PipelinedLowering.emit(kernel).source
    #expect(source.contains("if (bound >= 128)"))
  }
}

@Suite struct SharedTileTests {
  @Test(arguments: [(64, 128, 1), (128, 128, 2), (96, 64, 3), (80, 32, 5), (40, 32, 3), (16, 32, 1)])
  func spansAreTheWidestThatDivide(inner: Int, span: Int, panels: Int) {
    let tile = SharedTile(type: .bfloat16, outer: 64, inner: inner, isTransposed: false)
    #expect(tile.span == span)
    #expect(tile.panels == panels)
    #expect(tile.bytes == 64 * tile.inner * 2)
    #expect(tile.alignedBytes % 1024 == 0)
  }

  @Test func ringsKeepThePatternsAlignment() {
    let tile = SharedTile(type: .bfloat16, outer: 64, inner: 48, isTransposed: false)
    let ring = Ring(number: 0, stages: 3, slots: [tile, tile])
    #expect(ring.offset(of: 1) % 1024 == 0)
    #expect(ring.copiedBytes == 2 * tile.bytes)
  }

  /// Where bulk copies put an element, by the patterns as PTX defines them.
  private func copied(_ tile: SharedTile, outer: Int, inner: Int) -> Int {
    let byte = inner * 2
    let place = byte / tile.span * tile.panelBytes + outer * tile.span + byte % tile.span
    return exchanged(place, tile.swizzle)
  }

  /// The pattern on an address: bits from 7 on are added to those from 4 on.
  private func exchanged(_ place: Int, _ swizzle: Int) -> Int {
    let mask = [128: 7, 64: 3, 32: 1][swizzle] ?? 0
    return place ^ ((place >> 7 & mask) << 4)
  }

  /// Where a product finds an element: the canonical layouts of descriptors, in pieces of 16 bytes.
  private func read(_ tile: SharedTile, start: Int, side: Int, k: Int, isInner: Bool) -> Int {
    let (leading, stride) = (tile.leadingBytes(isInner: isInner), tile.strideBytes(isInner: isInner))
    let wide = tile.span / 16
    let place: Int
    switch (isInner, tile.mode == 0) {
    case (true, true): place = side % 8 * 16 + side / 8 * stride + k / 8 * leading + k % 8 * 2
    case (true, false): place = side % 8 * tile.span + side / 8 * stride + k * 2
    case (false, true): place = side / 8 * stride + k % 8 * 16 + k / 8 * leading + side % 8 * 2
    case (false, false):
      place =
        side / 8 % wide * 16 + side / 8 / wide * leading + k % 8 * tile.span + k / 8 * stride + side % 8 * 2
    }
    return exchanged(start + place, tile.swizzle)
  }

  /// Copies and products agree on where each element lies, whichever side is contiguous.
  @Test(arguments: Kernel.Schedule.Swizzle.allCases, [true, false])
  func productsFindWhatCopiesBring(swizzle: Kernel.Schedule.Swizzle, isInner: Bool) throws {
    for (side, reduction) in [(128, 64), (64, 128), (256, 64), (16, 64), (8, 16), (64, 48)] {
      let tile = SharedTile(
        type: .bfloat16, outer: isInner ? side : reduction, inner: isInner ? reduction : side,
        isTransposed: false, swizzle: swizzle)
      #expect(tile.span <= swizzle.rawValue)
      let parts = (side + 63) / 64
      let part = try #require(tile.partOffset(min(64, side), parts: parts, isInner: isInner))
      for first in stride(from: 0, to: side, by: 64) {
        let start = first / 64 * part
        for chunk in 0..<reduction / 16 {
          let from = start + tile.chunkOffset(chunk, isInner: isInner)
          for position in 0..<min(64, side) {
            for k in 0..<16 {
              let (at, along) = (first + position, 16 * chunk + k)
              let place = copied(tile, outer: isInner ? at : along, inner: isInner ? along : at)
              #expect(read(tile, start: from, side: position, k: k, isInner: isInner) == place)
            }
          }
        }
      }
    }
  }

  @Test(arguments: [(Kernel.Schedule.Swizzle.bytes64, 32, 64), (.bytes32, 16, 32), (.none, 8, 0)])
  func mapsFollowTheSwizzle(swizzle: Kernel.Schedule.Swizzle, width: Int, pattern: Int) throws {
    var plan = Gemm.Plan.gpu
    plan.schedule.swizzle = swizzle
    let program = try PipelinedLowering.emit(Gemm.kernel(type: .bfloat16, plan: plan))
    #expect(
      program.tensorMaps == [
        CUDAProgram.TensorMap(tensor: 0, box: [128, width], swizzle: pattern),
        CUDAProgram.TensorMap(tensor: 1, box: [64, width], swizzle: pattern),
        // Results leave through buffers of their own.
        CUDAProgram.TensorMap(tensor: 2, box: [64, 64], swizzle: 128),
      ])
    let a = try Tensor(zeros: .bfloat16, [256, 512])
    let request = try TensorMapRequest(program.tensorMaps[0], a)
    #expect(request.box == [UInt32(width), 128])
    #expect(request.swizzle == [64: 2, 32: 1, 0: 0][pattern])
    #expect(
      program.sharedBytes
        == (try PipelinedLowering.emit(Gemm.kernel(type: .bfloat16, plan: .gpu))).sharedBytes)
  }

  /// What is read of weights in blocks are the blocks alone: they are decoded between the instructions of a product.
  @Test(arguments: [(ElementType.q4_0, 18), (.q4_1, 20), (.q8_0, 34)], [8, nil])
  func blocksAreReadAsTheyAreStored(type: (ElementType, Int), limit: Int?) throws {
    let shape = Linear.Shape.sixteenBit(inputs: 608, outputs: 136, rowLimit: limit, weight: type.0)
    let program = try Emitter.emit(
      Linear.kernel(shape, weight: type.0, arithmetic: .sixteenBit), target: .sm_90a)
    #expect(
      program.tensorMaps.contains(
        CUDAProgram.TensorMap(tensor: 1, box: [shape.columns, 8], swizzle: 0)))
    let slot = shape.columns * 8 * type.1 + shape.rows * 512
    #expect(program.source.contains("barrier_expect(full0 + 8 * slot0, \(slot));"))
    let decoded = program.source.components(separatedBy: "decode_\(type.0.rawValue)<").count - 1
    #expect(decoded == 16)
    // No number of the weights is read from global memory.
    #expect(!program.source.contains("a.tensor[1]"))
  }

  /// The layers of SmolLM2 in every class of rows: each fits the cores.
  @Test(arguments: [(576, 576), (576, 192), (1536, 576), (576, 49152), (2048, 8192)])
  func layersOfNetworksArePipelined(size: (Int, Int)) throws {
    for limit in Linear.Shape.rowLimits.map({ Optional($0) }) + [nil] {
      for type in [ElementType.q4_1, .q8_0] {
        func shape(_ sums: Int) -> Linear.Shape {
          .planned(
            inputs: size.0, outputs: size.1, rowLimit: limit, sums: sums, weight: type, cores: 132, plans: nil
          )
        }
        var whole = shape(1)
        whole.splits = 1
        let kernels = [
          try Linear.kernel(whole, weight: type, arithmetic: .sixteenBit, epilogue: .biasAndResidual),
          try GatedLinear.kernel(
            shape(2), weights: (type, type), arithmetic: .sixteenBit, output: .bfloat16),
        ]
        for kernel in kernels { #expect(try !Emitter.emit(kernel, target: .sm_90a).tensorMaps.isEmpty) }
      }
    }
  }

  @Test func blocksThatAreNoLeftFactorTakeThePlainForm() throws {
    var shape = Linear.Shape.sixteenBit(inputs: 608, outputs: 136, rowLimit: nil, weight: .q4_0)
    shape.swapsSides = false
    let kernel = try Linear.kernel(shape, weight: .q4_0, arithmetic: .sixteenBit)
    #expect(!PipelinedLowering.suits(kernel))
    #expect(try Emitter.emit(kernel, target: .sm_90a).tensorMaps.isEmpty)
  }

  @Test func partsThatPanelsDoNotHoldAreRefused() {
    let tile = SharedTile(type: .bfloat16, outer: 64, inner: 192, isTransposed: false)
    #expect(tile.partOffset(64, parts: 3, isInner: false) == tile.panelBytes)
    #expect(tile.partOffset(32, parts: 2, isInner: false) == 64)
    // The third part would start in the next panel, the second reach into it.
    #expect(tile.partOffset(32, parts: 3, isInner: false) == nil)
    #expect(tile.partOffset(96, parts: 2, isInner: false) == nil)
    #expect(tile.partOffset(8, parts: 2, isInner: false) == nil)
    #expect(tile.partOffset(96, parts: 2, isInner: true) == 96 * 128)
  }

  @Test func boxesWiderThanTheirPatternAreRefused() throws {
    let a = try Tensor(zeros: .bfloat16, [256, 512])
    for (width, pattern) in [(64, 64), (32, 32), (64, 16)] {
      #expect(throws: CUDAError.self) {
        try TensorMapRequest(CUDAProgram.TensorMap(tensor: 0, box: [128, width], swizzle: pattern), a)
      }
    }
  }

  /// A result with columns along rows of the tensor leaves through the same copies, turned on its way.
  @Test func resultsOnTheirSideLeaveInBulk() throws {
    let source = try PipelinedLowering.emit(hedgehogAttention(2)).source
    #expect(source.contains("store_transposed_matrices(buffer + swizzled<128, 0>"))
    #expect(source.contains("copy_out_4(buffer, &a.map["))
  }
}
