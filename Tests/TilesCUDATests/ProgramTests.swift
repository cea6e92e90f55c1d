import Testing
import Tiles

@testable import TilesCUDA

@Suite struct ProgramTests {
  @Test func argumentsAreLaidOutWithoutGaps() throws {
    let kernel = try Kernel("copy") { k in
      let n = k.extent("N")
      let x = k.input("x", .float32, [n])
      let y = k.output("y", .float32, [n])
      k.grid([n.ceilDiv(32)]) { task in
        k.store(k.load(x, at: [task[0] * 32], columns: 32), to: y, at: [task[0] * 32])
      }
    }
    let program = CUDAProgram(
      kernel: kernel, entry: "copy", source: "", target: .sm_90a, threads: 128, sharedBytes: 0, grid: .tasks,
      tensorMaps: [CUDAProgram.TensorMap(tensor: 0, box: [32], swizzle: 0)])
    #expect(program.addressOffset == 128)
    #expect(program.orderOffset == 144)
    #expect(program.strideOffset == 152)
    #expect(program.parameterOffset == 168)
    #expect(program.taskCountOffset == 172)
    #expect(program.argumentBytes == 192)
  }
}
