import Engine
import Models
import Testing
import TilesCPU

@Suite struct AttentionCostsTests {
  /// Sequences of one new token over a common run of pages, each with a page of its own.
  private func sequences(_ count: Int, sharedPages: Int) -> [SequenceRows] {
    (0..<count).map { number in
      SequenceRows(
        tokens: [1], firstPosition: sharedPages * 64,
        pages: (0..<Int32(sharedPages)) + [Int32(1000 + number)],
        logits: .last)
    }
  }

  private func sharedRuns(_ costs: AttentionCosts, _ count: Int, sharedPages: Int) -> Int {
    let planner = AttentionPlanner(group: 3, costs: costs)
    return planner.plan(sequences(count, sharedPages: sharedPages)).summary.sharedRuns
  }

  @Test(arguments: [2, 5, 40], [1, 7, 30])
  func plannerTakesTheCheaper(count: Int, pages: Int) {
    // Where a page costs the same whatever its rows, sharing saves all visits but one.
    let sharing = AttentionCosts(page: 1, rowBlock: 0, phase: 0.5)
    #expect(sharedRuns(sharing, count, sharedPages: pages) == 1)
    // Where another phase costs more than all visits, it does not pay.
    let separate = AttentionCosts(page: 1, rowBlock: 0, phase: Double(count * pages))
    #expect(sharedRuns(separate, count, sharedPages: pages) == 0)
    // Just below and above what is saved: a page a sequence but for one visit in each full tile of 32 tokens.
    let saved = Double(pages * (count - (count + 31) / 32))
    #expect(
      sharedRuns(AttentionCosts(page: 1, rowBlock: 0, phase: saved * 0.99), count, sharedPages: pages) == 1)
    #expect(
      sharedRuns(AttentionCosts(page: 1, rowBlock: 0, phase: saved * 1.01), count, sharedPages: pages) == 0)
  }

  @Test func rowsCountInBlocksOfSix() {
    // Two sequences of three rows fill one block of six together and half-fill two apart.
    #expect(sharedRuns(AttentionCosts(page: 0, rowBlock: 1, phase: 3.9), 2, sharedPages: 4) == 1)
    #expect(sharedRuns(AttentionCosts(page: 0, rowBlock: 1, phase: 4.1), 2, sharedPages: 4) == 0)
  }

  @Test func costsAreSolvedFromTimes() throws {
    let given = AttentionCosts(page: 2e-6, rowBlock: 0.5e-6, phase: 3e-6)
    let found = try #require(
      AttentionCosts(
        phase: given.phase, few: 64 * (given.page + given.rowBlock),
        many: 64 * (given.page + 16 * given.rowBlock),
        visits: 64, fewRows: 3, manyRows: 96))
    #expect(abs(found.page - given.page) < 1e-15 && abs(found.rowBlock - given.rowBlock) < 1e-15)
    // Times that no costs explain: more rows took no longer, or rows took all of it.
    #expect(AttentionCosts(phase: 1, few: 2, many: 2, visits: 1, fewRows: 3, manyRows: 96) == nil)
    #expect(AttentionCosts(phase: 1, few: 1, many: 100, visits: 1, fewRows: 3, manyRows: 96) == nil)
    #expect(AttentionCosts(phase: 1, few: .nan, many: 1, visits: 1, fewRows: 3, manyRows: 96) == nil)
  }

  @Test func measuringGivesUsableCosts() throws {
    let costs = try AttentionCosts.measured(for: tinyModel(), executor: CPUExecutor(threads: 2))
    #expect(costs.page > 0 && costs.rowBlock > 0 && costs.phase > 0)
    var options = Generator.Options()
    options.costs = costs
    #expect(
      try run(GeneratorTests.requests, Generator(tinyModel(), options: options)) == GeneratorTests.alone())
  }
}
