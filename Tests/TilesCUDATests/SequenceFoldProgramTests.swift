import Kernels
import Memory
import TestSupport
import Testing
import Tiles

@testable import TilesCUDA

/// Folded sequences as pipelined kernels copy and store them.
@Suite struct SequenceFoldProgramTests {
  /// A product with rows of sequences, in sequences again.
  private func program(
    fold: SequenceFold = SequenceFold(rows: 64, step: 64), row: Index = 0, column: Int = 0,
    isBeside: Bool = false
  ) throws -> CUDAProgram {
    let kernel = try Kernel("fold") { k in
      let a = k.input("a", .float16, [64, 64])
      let (batch, channels, length) = (k.extent("B"), k.extent("H"), k.extent("L"))
      let x = k.input("x", .float16, [batch, channels, length])
      let y = k.output("y", .float16, [batch, channels, length])
      k.grid([channels], schedule: Kernel.Schedule()) { task in
        k.pipeline(
          steps: batch, stages: 2,
          load: { step in
            let at = [step, row + task[0] * Index(64), Index(column)]
            let x = k.load(x, at: at, rows: 64, columns: 64, validRows: 64, validColumns: 64, fold: fold)
            let a = { k.load(a, at: [0, 0], rows: 64, columns: 64, validRows: 64, validColumns: 64) }
            return isBeside ? [x, a(), a()] : [x]
          },
          compute: { step, tiles in
            let a =
              isBeside
              ? tiles[1] : k.load(a, at: [0, 0], rows: 64, columns: 64, validRows: 64, validColumns: 64)
            let product = k.matmul(a, tiles[0])
            if isBeside { k.matmul(into: product, tiles[2], tiles[0]) }
            k.store(product, to: y, at: [step, row + task[0] * Index(64), Index(column)], fold: fold)
          })
      }
    }
    return try PipelinedLowering.emit(kernel)
  }

  /// Every thread of the loader arrives twice: when its copies do, and for what it wrote itself.
  @Test func threadsCopyWhatBulkCopiesCannot() throws {
    let program = try program()
    #expect(program.folds == [1, 2])
    #expect(program.tensorMaps.map(\.tensor) == [0])
    #expect(
      program.source.contains("barrier_init(full0 + 8 * i, 256);")
        || program.source.contains("barrier_init(full1 + 8 * i, 256);"))
    #expect(program.source.contains("copy_folded(") && program.source.contains("store_folded("))
    #expect(program.source.contains("if (thread == 0) copy_in_2("))
  }

  /// Bulk copies beside them count for themselves.
  @Test func bulkCopiesMayFillARingToo() throws {
    let source = try program(isBeside: true).source
    #expect(source.contains("barrier_init(full0 + 8 * i, 257);"))
    #expect(source.contains("barrier_expect(full0 + 8 * slot0, 16384);"))
  }

  @Test func tilesAcrossSequencesAreRefused() throws {
    func refusal(_ make: () throws -> CUDAProgram) -> String { message { _ = try make() } }
    #expect(try program(row: 128).folds == [1, 2])
    #expect(refusal { try program(row: 32) }.contains("neither whole sequences nor a part of one"))
    #expect(
      refusal { try program(fold: SequenceFold(rows: 48, step: 64)) }.contains("neither whole sequences"))
    #expect(refusal { try program(column: 4) }.contains("cannot be copied by threads"))
    #expect(
      refusal { try program(fold: SequenceFold(rows: 64, step: 32)) }.contains("cannot be copied by threads"))
  }

  private func source(_ name: String) throws -> String {
    let entry = try #require(KernelCatalogue.all.first { $0.name == name })
    return try PipelinedLowering.emit(try entry.make()).source
  }

  /// Where sums leave by bulk copies, what threads store waits until those have read the buffers.
  @Test func storesWaitForBulkCopiesBesideThem() throws {
    let mixed = try source("monarch_wide_gradient_gated_keeping_folded_float16")
    let folded = try source("monarch_fused_64_folded_float16")
    #expect(mixed.contains("store_folded(") && folded.contains("store_folded("))
    #expect(mixed.contains("store_wait_read<0>();"))
    #expect(!folded.contains("if (thread == 0) store_wait_read"))
  }

  /// Where bulk copies alone fill a ring in a loop, the loader's threads keep step: none may miss a phase.
  @Test func threadsKeepStepWhereOneFillsARing() throws {
    let barrier = "group_barrier(15, 128);"
    #expect(try source("monarch_outer_twofold_inverse_2_gated2_folded128_float16").contains(barrier))
    #expect(!(try source("monarch_wide_before_after1_folded_float16").contains(barrier)))
    #expect(!(try source("monarch_outer_twofold_inverse_4_gated1_float16").contains(barrier)))
  }

  private func refusal(at address: UInt = 1 << 40, strides: [Int]? = nil) throws -> String {
    let program = try program()
    let (a, y) = (try fakeTensor([64, 64], type: .float16), try fakeTensor([2, 3, 4001], type: .float16))
    let x = try fakeTensor(at: address, [2, 3, 4001], strides: strides, type: .float16)
    return message { _ = try DeviceArguments.tensorMaps(program, [a, x, y]) }
  }

  /// What does not lie from a multiple of 16 bytes on, without gaps, is for another form of the kernel.
  @Test func sequencesOutOfStepAreRefused() throws {
    #expect(try refusal() == "")
    #expect(try refusal(at: 1 << 40 | 16) == "")
    #expect(try refusal(at: 1 << 40 | 8) == "kernel fold: x: it starts 8 bytes past a multiple of 16.")
    #expect(try refusal(strides: [3 * 4008, 4008, 1]) == "kernel fold: x: it is not dense.")
  }
}
