import Fourier
import Testing

@Suite struct PlanSearchTests {
  private func search(_ length: Int) throws -> PlanSearch {
    PlanSearch(try ConvolutionShape(mode: .causal, length: length, filterLength: length))
  }

  @Test func theEstimateIsTheFirstCandidate() throws {
    let search = try search(1000)
    #expect(search.candidates(5).first == search.estimate)
    #expect(search.candidates(5).count == 5)
    #expect(search.candidates(0).count == 1)
    #expect(search.candidates(20).allSatisfy { $0.size >= 1000 })
  }

  @Test func theFastestByTheClockIsChosen() throws {
    let search = try search(1024)
    let plans = search.candidates(6)
    let chosen = search.measured(6) { $0 == plans[4] ? 1 : 2 }
    #expect(chosen == plans[4])
  }

  @Test func oneSlowRunDoesNotDecide() throws {
    let search = try search(1024)
    let plans = search.candidates(6)
    var seen: [Int] = []
    let chosen = search.measured(6) { plan in
      let number = plans.firstIndex(of: plan) ?? 0
      defer { seen.append(number) }
      // Something else ran while the best was timed first.
      if number == 2 { return seen.contains(2) ? 1 : 2.5 }
      return number == 5 ? 2 : 3
    }
    #expect(chosen == plans[2])
  }
}
