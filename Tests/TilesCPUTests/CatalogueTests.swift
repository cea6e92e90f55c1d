import Kernels
import Testing
import Tiles
import TilesCPU

/// Every kernel of the catalogue, by the measure that other back ends are judged by.
@Suite struct CatalogueTests {
  @Test(arguments: KernelCatalogue.all.map(\.name)) func agreesWithTheReference(name: String) throws {
    let entry = try #require(KernelCatalogue.all.first { $0.name == name })
    let executor = try CPUExecutor(threads: 2)
    // The reference is slow: larger cases only where there are no others.
    let small = entry.cases.filter { $0.sizes.values.allSatisfy { $0 <= 128 } }
    for given in small.isEmpty ? Array(entry.cases.prefix(1)) : small {
      for finding in try entry.check(given, on: executor) {
        #expect(finding.error <= 1, "\(given.title): \(finding.tensor)")
      }
    }
  }
}
