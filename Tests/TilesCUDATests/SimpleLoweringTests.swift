import Glibc
import Kernels
import Memory
import Testing
import Tiles

@testable import TilesCUDA

/// What the simple forms print; whether it computes the right thing is for `godwit kernels check` on a GPU.
@Suite struct SimpleLoweringTests {
  /// y = x · w with a weight a column.
  func scaling(rows: Int, width: Int, type: ElementType = .float32) throws -> Kernel {
    try Kernel("scaling") { k in
      let m = k.extent("M")
      let x = k.input("x", type, [m, Index(width)])
      let w = k.input("w", .float32, [Index(width)])
      let y = k.output("y", type, [m, Index(width)])
      k.grid([m.ceilDiv(Index(rows))]) { task in
        let at = [task[0] * Index(rows), 0]
        let tile = k.load(x, at: at, rows: rows, columns: width)
        k.store(k.map(.multiply, tile, k.load(w, at: [0], columns: width)), to: y, at: at)
      }
    }
  }

  @Test func rowsAreDealtToWarps() throws {
    let layout = try #require(RowsLayout(scaling(rows: 8, width: 512)))
    #expect((layout.lanes, layout.groups, layout.tasks, layout.vector) == (32, 8, 1, 4))
    let program = try SimpleLowering.emit(scaling(rows: 8, width: 512), target: .sm_90a)
    #expect(program.threads == 256 && program.sharedBytes == 0 && program.grid == .tasks)
    #expect(program.source.contains("load_row<float32, 4, 32, true, true>(t0,"))
    // What all rows read is left in the nearest cache.
    #expect(program.source.contains("load_row<float32, 4, 32, false, true>(t1,"))
    #expect(program.source.contains("store_row<float32, 4, 32>(t2,"))
    #expect(program.plan[0].contains("rows in registers, 32 lanes a row, 8 rows at a time of 8"))
  }

  /// Rows that a group goes through one after the other read weights once and, where they are whole, several at a time.
  @Test func rowsOneAfterTheOtherShareWhatTheyCan() throws {
    func body(_ kernel: Kernel) throws -> String {
      let source = try SimpleLowering.emit(kernel, target: .sm_90a).source
      return String(try #require(source.split(separator: "extern \"C\"").last))
    }
    func count(_ text: String, _ part: String) -> Int { text.ranges(of: part).count }
    let several = try body(scaling(rows: 32, width: 256, type: .bfloat16))
    // Whole rows and ragged ones: the weight's load stands before the loop of both.
    let loops = several.ranges(of: "for (int pass = 0; pass < 4; ++pass)")
    let weights = several.ranges(of: "(t1,")
    #expect(loops.count == 2 && weights.count == 2)
    #expect(zip(weights, loops).allSatisfy { $0.lowerBound < $1.lowerBound })
    #expect(count(several, "#pragma unroll 4") == 1 && count(several, "#pragma unroll 1\n") == 1)
    // Wide rows have fewer under way, and one at a time has nothing to share.
    let wide = try body(scaling(rows: 32, width: 1024))
    #expect(count(wide, "#pragma unroll 4") == 0)
    let single = try body(scaling(rows: 8, width: 256, type: .bfloat16))
    #expect(!single.contains("int pass") && single.contains("const int row = group;"))
  }

  /// A tile that is also written is each row's own, whatever is loaded into it.
  @Test func whatIsWrittenIsNotShared() throws {
    let kernel = try Kernel("running") { k in
      let m = k.extent("M")
      let x = k.update("x", .float32, [m, 256])
      let w = k.update("w", .float32, [256])
      k.grid([m.ceilDiv(32)]) { task in
        let total = k.load(w, at: [0], columns: 256)
        let rows = k.load(x, at: [task[0] * 32, 0], rows: 32, columns: 256)
        k.store(k.map(.add, rows, total), to: x, at: [task[0] * 32, 0])
      }
    }
    let source = try SimpleLowering.emit(kernel, target: .sm_90a).source
    let loop = try #require(source.firstRange(of: "for (int pass"))
    let load = try #require(source.firstRange(of: "(t0,"))
    #expect(loop.lowerBound < load.lowerBound)
  }

  /// Lanes add up what is theirs, and each other's once a loop is done: not in every turn.
  @Test func sumsOfALoopAreJoinedAtItsEnd() throws {
    let kernel = try Kernel("summing") { k in
      let (m, n) = (k.extent("M"), k.extent("N"))
      let x = k.input("x", .float32, [m, n])
      let y = k.output("y", .float32, [m])
      k.grid([m.ceilDiv(8)]) { task in
        let row = task[0] * 8
        let total = k.filled(0, rows: 8, columns: 1, validRows: (m - row).min(8), validColumns: 1)
        k.loop(n.ceilDiv(128)) { step in
          k.rowSum(k.load(x, at: [row, step * 128], rows: 8, columns: 128), addingTo: total)
        }
        k.store(total, to: y, at: [row], rowAxis: 0)
      }
    }
    let source = try SimpleLowering.emit(kernel, target: .sm_90a).source
    let body = try #require(source.split(separator: "extern \"C\"").last)
    let loop = try #require(body.firstRange(of: "for (int step0"))
    let joined = try #require(body.firstRange(of: "lanes_sum<32>(d0)"))
    #expect(loop.lowerBound < joined.lowerBound)
    #expect(!body.contains("lanes_sum<32>(sum0)"))
  }

  @Test func windowsThatBeginWithinAVectorAreReadByWholeOnes() throws {
    let kernel = try Kernel("window") { k in
      let (m, n) = (k.extent("M"), k.extent("N"))
      let x = k.input("x", .bfloat16, [m, n])
      let y = k.output("y", .float32, [m, n])
      k.grid([m.ceilDiv(8), n.ceilDiv(256)]) { task in
        let (row, column) = (task[0] * 8, task[1] * 256)
        let window = k.load(
          x, at: [row, column - 2], rows: 8, columns: 256, as: .float32, paddedAxis: 1)
        k.store(window, to: y, at: [row, column])
      }
    }
    let source = try SimpleLowering.emit(kernel, target: .sm_90a).source
    // Two numbers before a vector are six behind the one before it.
    #expect(source.contains("load_shifted<bfloat16, 8, 32, 6, true>("))
  }

  @Test func shortRowsShareAWarpAndLongOnesTakeSeveral() throws {
    let short = try #require(RowsLayout(scaling(rows: 64, width: 64, type: .bfloat16)))
    #expect((short.lanes, short.groups, short.passes, short.vector) == (8, 32, 2, 8))
    let long = try #require(RowsLayout(scaling(rows: 2, width: 16384)))
    #expect((long.lanes, long.groups, long.passes) == (512, 1, 2))
    // Tasks of one short row share a block, which then stays.
    let single = try #require(RowsLayout(scaling(rows: 1, width: 128)))
    #expect((single.taskThreads, single.tasks) == (32, 4))
    let program = try SimpleLowering.emit(scaling(rows: 1, width: 128), target: .sm_90a)
    #expect(program.grid == .persistent(perMultiprocessor: 16))
    // No lane is without numbers because a row is shorter than a warp, unless lanes add up what they have.
    let narrow = try #require(RowsLayout(scaling(rows: 1, width: 128, type: .bfloat16)))
    #expect((narrow.lanes, narrow.groups, narrow.tasks) == (16, 1, 8))
  }

  /// A row may be changed where it lies by whoever reads it, but not read at one place and written at another.
  @Test func rowsAreChangedInPlace() throws {
    func kernel(shift: Int) throws -> Kernel {
      try Kernel("changed") { k in
        let m = k.argument("M")
        let x = k.update("x", .float32, [m + 1, 64])
        k.grid([m.ceilDiv(8)]) { task in
          let row = task[0] * 8
          let tile = k.load(x, at: [row, 0], rows: 8, columns: 64, validRows: (m - row).min(8))
          k.store(k.map(.add, tile, 1.0), to: x, at: [row + Index(shift), 0])
        }
      }
    }
    #expect(try RowsLayout(kernel(shift: 0)) != nil)
    #expect(try RowsLayout(kernel(shift: 1)) == nil)
    let shape = DiagonalStep.Shape(width: 768, modes: 16, activation: nil, type: .bfloat16)
    let layout = try #require(RowsLayout(DiagonalStep.kernel(shape)))
    // Tiles of 16 columns leave no lane without numbers.
    #expect((layout.lanes, layout.groups, layout.vector) == (4, 16, 4))
  }

  @Test func sumsOfRowsAreMadeByLanes() throws {
    let norm = Normalisation.rms(epsilon: 1e-5)
    let one = try SimpleLowering.emit(norm.kernel(width: 1024), target: .sm_90a).source
    #expect(one.contains("lanes_sum<32>(sum0)"))
    // Columns past the edge stay out of the sum; where the lanes hold none, nothing is asked.
    #expect(!one.contains("if (column < 1024)"))
    #expect(
      try SimpleLowering.emit(norm.kernel(width: 1000), target: .sm_90a).source
        .contains("if (column < 1000) sum0"))
    let several = try SimpleLowering.emit(norm.kernel(width: 8192), target: .sm_90a).source
    #expect(
      several.contains("warps_sum<8>(sum0, partial)") && several.contains("__shared__ float partial[8]"))
  }

  @Test func productsReadTheirFactorsInPlace() throws {
    let program = try SimpleLowering.emit(
      Gemm.kernel(transposesB: true, plan: Gemm.Plan(rows: 64, columns: 64, inner: 256)), target: .sm_90a)
    #expect(program.threads == 256)
    #expect(program.sharedBytes == BlockLowering.stageBytes + 64 * 64 * 4)
    #expect(program.source.contains("multiply<true, true, true>((float *)memory, m1, m2, n1,"))
    #expect(
      program.source.contains(
        "element<float32>((const u8 *)a.tensor[1], o2 + (column) * a.stride[2] + (step) * a.stride[3])"))
  }

  @Test func tasksThatDoNotFitAreCutIntoSlabs() throws {
    let program = try SimpleLowering.emit(Gemm.kernel(plan: .cpu), target: .sm_90a)
    #expect(program.sharedBytes <= CUDATarget.sm_90a.sharedBytesPerBlock)
    #expect(program.plan[0].hasSuffix("task cut into slabs"))
  }

  @Test func whatCannotBeCutIsRefusedWithBothNumbers() throws {
    let kernel = try Kernel("chain") { k in
      let n = k.extent("N")
      let x = k.input("x", .float32, [n, n])
      let y = k.output("y", .float32, [n, n])
      k.grid([1]) { _ in
        let a = k.load(x, at: [0, 0], rows: 512, columns: 512)
        let b = k.matmul(a, a)
        k.store(k.matmul(b, b), to: y, at: [0, 0])
      }
    }
    let error = #expect(throws: ExecutionError.self) { try SimpleLowering.emit(kernel, target: .sm_90a) }
    #expect(
      error?.description
        == "kernel chain: its tiles take 2106880 bytes of shared memory, 2106880 when cut as "
        + "far as its sums allow; a block has 232448. Use smaller tiles.")
  }

  @Test func numbersArePrintedExactly() {
    #expect(Float(0).printed == "0.0f")
    #expect((-Float.infinity).printed == "-INFINITY_F")
    #expect(Float(0.1).printed == "__int_as_float(0x3dcccccd)")
    #expect((-Float.zero).printed == "__int_as_float(0x80000000)")
    #expect(Float(1e30).printed == "__int_as_float(0x7149f2ca)")
  }
}

@Suite struct TileArenaTests {
  /// A chain whose second map reads a sum of rows beside the numbers it replaces.
  @Test func whatOtherThreadsReadIsNotOverwritten() throws {
    let kernel = try Kernel("softmax") { k in
      let n = k.extent("N")
      let x = k.input("x", .float32, [n, 64])
      let y = k.output("y", .float32, [n, 64])
      k.grid([1]) { _ in
        let tile = k.map(.exp, k.load(x, at: [0, 0], rows: 16, columns: 64))
        k.store(k.map(.divide, tile, k.rowSum(tile)), to: y, at: [0, 0])
      }
    }
    let lowering = BlockLowering(kernel, body: kernel.body)
    let tiles = lowering.lifetimes.tiles
    let sums = try #require(tiles.values.first { $0.columns == 1 })
    let full = tiles.values.filter { $0.columns == 64 && lowering.offsets[$0.id] != nil }
    // The quotient takes the place of the exponentials, beside the sums.
    #expect(full.count == 2 && Set(full.compactMap { lowering.offsets[$0.id] }).count == 1)
    let at = try #require(lowering.offsets[sums.id])
    #expect(full.allSatisfy { abs((lowering.offsets[$0.id] ?? 0) - at) >= 64 })
    #expect(lowering.sharedBytes == BlockLowering.stageBytes + 16 * 64 * 4 + 16 * 4)
  }
}
