import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Kernels

@Suite struct CatalogueTests {
  /// Products of 16-bit tiles, transposes and sums of tasks are for GPUs so far.
  static let entries = KernelCatalogue.all.filter { entry in
    ![
      "gemm_bfloat16", "gemm_float16", "attention_bfloat16", "attention_backward", "prefix_states",
      "suffix_attention", "selective_scan", "taylor_attention", "monarch_fused", "monarch_spectrum",
      "monarch_gradient",
      "monarch_filter",
    ].contains { entry.name.hasPrefix($0) }
  }

  @Test(arguments: entries.map(\.name)) func agreesWithFloat64(name: String) throws {
    let entry = try #require(Self.entries.first { $0.name == name })
    let executor = try CPUExecutor(threads: 2)
    for given in entry.cases {
      for finding in try entry.check(given, on: executor) {
        #expect(finding.error <= 1, "\(finding.tensor), \(given.title)")
      }
    }
  }

  @Test func namesAreUniqueAndFound() {
    #expect(Set(KernelCatalogue.all.map(\.name)).count == KernelCatalogue.all.count)
    #expect(
      KernelCatalogue.entries(matching: ["merge"]).map(\.name) == ["merge_states", "merge_states_bfloat16"])
    #expect(KernelCatalogue.entries(matching: []).count == KernelCatalogue.all.count)
  }

  @Test func sizesNameParameters() throws {
    for entry in KernelCatalogue.all {
      let kernel = try entry.make()
      for given in entry.cases {
        #expect(Set(given.sizes.keys) == Set(kernel.parameters), "\(entry.name)")
      }
    }
  }

  /// A case of which neither side does anything does not pass.
  @Test(arguments: [0, 1]) func theJudgeRejectsWhatDoesNothing(tasks: Int) throws {
    let entry = CatalogueEntry(
      "idle", tolerance: .sums(1), cases: [CatalogueEntry.Case(["N": 8, "tasks": tasks])]
    ) {
      try Kernel("idle") { k in
        let n = k.extent("N")
        let (x, y) = (k.input("x", .float32, [n]), k.update("y", .float32, [n]))
        k.grid([k.argument("tasks")]) { _ in k.store(k.load(x, at: [0], columns: 8), to: y, at: [0]) }
      }
    }
    let found = try entry.check(entry.cases[0], on: CPUExecutor(threads: 1))
    #expect(found.map(\.error) == [tasks == 0 ? .infinity : 0])
  }

  @Test func theJudgeRejectsWhatIsMissing() {
    let tolerance = CatalogueEntry.Tolerance(absolute: 0.5, relative: 0.1)
    #expect(tolerance.largest([10.75], exact: [10]) == 0.5)
    #expect(tolerance.largest([-2], exact: [2]) > 1)
    #expect(tolerance.largest([.nan], exact: [0]) == .infinity)
    #expect(tolerance.largest([0], exact: [.nan]) == .infinity)
    #expect(tolerance.largest([1], exact: [1, 2]) == .infinity)
    // What neither wrote, and infinities of the same sign.
    #expect(tolerance.largest([.nan, -.infinity], exact: [.nan, -.infinity]) == 0)
    #expect(tolerance.largest([.infinity], exact: [-.infinity]) == .infinity)
  }
}
