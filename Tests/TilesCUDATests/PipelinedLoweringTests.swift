import Kernels
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
}
