import Kernels
import Testing
import Tiles

@testable import TilesCUDA

@Suite struct CataloguePrintTests {
  @Test func everyKernelIsPrinted() throws {
    let target = CUDATarget.sm_90a
    for entry in KernelCatalogue.all {
      let program = try Emitter.emit(try entry.make(), target: target)
      #expect(program.source.contains(program.entry), "\(entry.name)")
      #expect(program.sharedBytes <= target.sharedBytesPerBlock, "\(entry.name)")
      #expect(program.argumentBytes <= 4096, "\(entry.name)")
      #expect((1...1024).contains(program.threads) && program.threads % 32 == 0, "\(entry.name)")
    }
  }
}
