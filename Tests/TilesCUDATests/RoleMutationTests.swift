import Kernels
import Testing
import Tiles

@testable import TilesCUDA

/// Broken programs must be rejected, each site of each kind of mistake for what it is.
@Suite struct RoleMutationTests {
  typealias Problem = RoleError.Problem

  /// Kernels that between them have every step, with parameters that run every step: many steps a task, and one, where
  /// no ring's turns imply another's.
  static func subjects() throws -> [(kernel: Kernel, parameters: [[Int]])] {
    let streamed = Gemm.Plan(
      rows: 128, columns: 128, inner: 64, stages: 3, schedule: Kernel.Schedule(groups: 2))
    let forward = try [(true, true), (false, false)].map { overlaps, alternates in
      try attention(.causal, groups: 2, overlaps: overlaps, alternates: alternates, stages: 2)
    }
    let backward = try [true, false].map { overlaps in
      try attentionBackward(.causal, groups: 2, overlaps: overlaps, alternates: false, stages: 2)
    }
    return [(try Gemm.kernel(type: .bfloat16, plan: streamed), [[256, 256, 500]])]
      + forward.map { ($0, [[1, 300, 500], [3, 30, 50]]) }
      + backward.map { ($0, [[1, 300, 500], [3, 30, 50]]) }
      + [
        (try selectiveScan(2, 1), [[2, 500]]), (try taylorAttention(2, 1), [[2, 500], [2, 64]]),
        (try hedgehogAttention(2), [[2, 500], [2, 64], [2, 0]]),
      ]
  }

  /// Changes each step that `change` maps to something, one at a time, and expects the problem each time.
  ///
  /// - Returns: how many programs were broken.
  @discardableResult
  func mutate(
    loader changesLoader: Bool = false, sites wanted: ClosedRange<Int> = 1...1000, rings: Int = 1,
    subjects: Range<Int> = 0..<8,
    _ change: (RoleStep) -> [RoleStep]?, expect isRight: (Problem) -> Bool
  ) throws -> Int {
    var broken = 0
    for (kernel, parameters) in try Self.subjects()[subjects] {
      let whole = try Programs(kernel)
      guard whole.rings.count >= rings else { continue }
      let steps = changesLoader ? whole.loader : whole.group
      for site in 0... {
        guard let mutated = steps.replacing(site: site, change) else { break }
        var programs = whole
        if changesLoader { programs.loader = mutated.steps } else { programs.group = mutated.steps }
        let found = programs.firstError(parameters)
        broken += 1
        #expect(
          found.map { isRight($0.problem) } ?? false,
          "\(kernel.name): \(mutated.label) at \(site): \(found?.description ?? "nothing found")")
      }
    }
    #expect(wanted.contains(broken))
    return broken
  }

  @Test func aDroppedAwaitFull() throws {
    try mutate {
      if case .awaitFull = $0 { [] } else { nil }
    } expect: {
      switch $0 {
      case .slotNotHeld, .advancedEarly, .releasedUnheld: true
      default: false
      }
    }
  }

  @Test func aDroppedRelease() throws {
    try mutate {
      if case .release = $0 { [] } else { nil }
    } expect: {
      switch $0 {
      case .deadlock, .leftover: true
      default: false
      }
    }
  }

  @Test func aDoubledRelease() throws {
    try mutate {
      if case .release = $0 { [$0, $0] } else { nil }
    } expect: {
      if case .releasedUnheld = $0 { true } else { false }
    }
  }

  @Test func aReleaseOfTheWrongSlot() throws {
    // Where rings have one slot, none is wrong.
    try mutate(subjects: 0..<7) {
      if case .release(let ring, let behind) = $0 { [.release(ring, behind: 1 - behind)] } else { nil }
    } expect: {
      switch $0 {
      case .releasedUnheld, .releasedWhileRead, .slotNotHeld, .deadlock: true
      default: false
      }
    }
  }

  @Test func droppedAwaitsOfProducts() throws {
    try mutate {
      if case .awaitProducts = $0 { [] } else { nil }
    } expect: {
      Self.isProductError($0)
    }
  }

  @Test func awaitsOfTooFewProducts() throws {
    try mutate {
      if case .awaitProducts(let pending, let finished) = $0 {
        [.awaitProducts(pending: pending + 1, finished: finished)]
      } else {
        nil
      }
    } expect: {
      Self.isProductError($0)
    }
  }

  static func isProductError(_ problem: Problem) -> Bool {
    switch problem {
    case .productRuns, .releasedWhileRead, .notPinned, .productNeverAwaited, .overwritten: true
    default: false
    }
  }

  @Test func aFinishedSumThatIsNotNamed() throws {
    try mutate {
      if case .awaitProducts(let pending, let finished) = $0, !finished.isEmpty {
        [.awaitProducts(pending: pending, finished: [])]
      } else {
        nil
      }
    } expect: {
      if case .notPinned = $0 { true } else { false }
    }
  }

  @Test func aDroppedAdvance() throws {
    try mutate {
      if case .advance = $0 { [] } else { nil }
    } expect: {
      Self.isTurnError($0)
    }
    try mutate(loader: true) {
      if case .advance = $0 { [] } else { nil }
    } expect: {
      Self.isTurnError($0)
    }
  }

  @Test func aDoubledAdvance() throws {
    try mutate {
      if case .advance = $0 { [$0, $0] } else { nil }
    } expect: {
      Self.isTurnError($0)
    }
    try mutate(loader: true) {
      if case .advance = $0 { [$0, $0] } else { nil }
    } expect: {
      Self.isTurnError($0)
    }
  }

  static func isTurnError(_ problem: Problem) -> Bool {
    switch problem {
    case .awaitedAgain, .advancedEarly, .phaseAliased, .wrongContents, .leftover, .deadlock, .bytesDiffer,
      .tooManyArrivals, .copiedOverReader, .releasedUnheld, .slotNotHeld:
      true
    default: false
    }
  }

  @Test func anAdvanceOfAnotherRing() throws {
    try mutate(rings: 2) {
      if case .advance(let ring) = $0 { [.advance(ring == 0 ? 1 : 0)] } else { nil }
    } expect: {
      Self.isTurnError($0)
    }
  }

  @Test func aLoaderThatDoesNotWait() throws {
    func isRight(_ problem: Problem) -> Bool {
      if case .copiedOverReader = problem { true } else { false }
    }
    // In the others the wait for one ring says that another is empty too.
    try mutate(loader: true, subjects: 0..<3) {
      if case .awaitEmpty = $0 { [] } else { nil }
    } expect: {
      isRight($0)
    }
    for (kernel, parameters) in try Self.subjects() {
      var programs = try Programs(kernel)
      programs.loader = programs.loader.replacingAll { if case .awaitEmpty = $0 { [] } else { nil } }
      let problem = programs.firstError(parameters)?.problem
      #expect(problem.map(isRight) ?? false)
    }
  }

  @Test func aDroppedCopy() throws {
    try mutate(loader: true) {
      if case .copy = $0 { [] } else { nil }
    } expect: {
      switch $0 {
      case .bytesDiffer, .skipped: true
      default: false
      }
    }
  }

  @Test func aDoubledCopy() throws {
    try mutate(loader: true) {
      if case .copy = $0 { [$0, $0] } else { nil }
    } expect: {
      $0 == .unexpectedStatement
    }
  }

  @Test func copiesIntoEachOthersRings() throws {
    for (kernel, parameters) in try Self.subjects()[1...] {
      let whole = try Programs(kernel)
      var first: [Int: Int] = [:]
      for (tile, place) in whole.placement.places {
        if case .ring(let ring, slot: 0) = place { first[ring] = min(tile, first[ring] ?? tile) }
      }
      guard let a = first[0], let b = first[1] else { continue }
      var programs = whole
      programs.loader = whole.loader.replacingAll {
        if case .copy(let tile) = $0, tile == a || tile == b { [.copy(a + b - tile)] } else { nil }
      }
      let problem = programs.firstError(parameters)?.problem
      #expect(problem != nil)
    }
  }

  @Test func aPackWhileTheProductRuns() throws {
    for (kernel, parameters) in try Self.subjects()[1...] {
      var programs = try Programs(kernel)
      let placement = programs.placement
      programs.group = programs.group.replacingAll {
        if case .issue(let product) = $0, placement.isLeftInRegisters(product.left), !product.transposesLeft {
          [$0, .pack(product.left)]
        } else {
          nil
        }
      }
      let problem = programs.firstError(parameters)?.problem
      guard case .productRuns = problem else {
        Issue.record("\(kernel.name): \(problem?.description ?? "nothing found")")
        continue
      }
    }
  }

  @Test func aReleaseBeforeTheProductHasFinished() throws {
    let (kernel, parameters) = try Self.subjects()[0]
    var programs = try Programs(kernel)
    programs.group = programs.group.replacingAll {
      if case .issue = $0 { [$0, .release(0, behind: 0)] } else { nil }
    }
    let problem = programs.firstError(parameters)?.problem
    guard case .releasedWhileRead(ring: 0, slot: 0, _) = problem else {
      Issue.record("\(problem?.description ?? "nothing found")")
      return
    }
  }

  @Test func aDroppedExpect() throws {
    try mutate(loader: true) {
      if case .expect = $0 { [] } else { nil }
    } expect: {
      if case .bytesDiffer = $0 { true } else { false }
    }
  }

  @Test func wrongBytes() throws {
    for change in [-16, 16] {
      for (kernel, parameters) in try Self.subjects() {
        var simulator = try RoleSimulator(kernel, parameters: parameters[0])
        for ring in simulator.rings.indices {
          simulator.expectedBytes[ring] += change
          let error = #expect(throws: RoleError.self) { try simulator.run(seed: 1) }
          guard case .bytesDiffer(ring, _, let expected, let copied) = error?.problem else {
            Issue.record("\(error?.description ?? "nothing")")
            continue
          }
          #expect(expected - copied == change)
          simulator.expectedBytes[ring] -= change
        }
      }
    }
  }

  @Test func droppedTurns() throws {
    try mutate(sites: 1...1) {
      if case .passTurn = $0 { [] } else { nil }
    } expect: {
      if case .deadlock = $0 { true } else { false }
    }
    try mutate(sites: 1...1) {
      if case .passTurn = $0 { [$0, $0] } else { nil }
    } expect: {
      if case .turnPassedTwice = $0 { true } else { false }
    }
  }

  @Test func droppedMeets() throws {
    try mutate {
      if case .meet = $0 { [] } else { nil }
    } expect: {
      switch $0 {
      case .unpublished, .overwritten: true
      default: false
      }
    }
  }

  @Test func meetsWithoutAFence() throws {
    try mutate {
      if case .meet(fences: true) = $0 { [.meet(fences: false)] } else { nil }
    } expect: {
      if case .unpublished = $0 { true } else { false }
    }
  }

  @Test func droppedCombinations() throws {
    try mutate(subjects: 7..<8) {
      if case .combine = $0 { [] } else { nil }
    } expect: {
      if case .wrongContents = $0 { true } else { false }
    }
  }

  @Test func droppedPacksAndStages() throws {
    try mutate {
      switch $0 {
      case .pack, .stage: []
      default: nil
      }
    } expect: {
      if case .wrongContents = $0 { true } else { false }
    }
  }

  @Test func droppedAndDoubledStatements() throws {
    func isStatement(_ step: RoleStep) -> Bool {
      switch step {
      case .map, .issue, .fill, .read, .store, .add, .transpose: true
      default: false
      }
    }
    try mutate {
      isStatement($0) ? [] : nil
    } expect: {
      if case .skipped = $0 { true } else { false }
    }
    try mutate {
      isStatement($0) ? [$0, $0] : nil
    } expect: {
      switch $0 {
      case .unexpectedStatement, .productRuns: true
      default: false
      }
    }
  }

  @Test func aStepThatIsOff() throws {
    try mutate {
      if case .with(let step, let value, let body) = $0 {
        [.with(step: step, value: value + 1, body: body)]
      } else {
        nil
      }
    } expect: {
      switch $0 {
      case .unexpectedStatement, .skipped: true
      default: false
      }
    }
  }

  @Test func aTailThatReadsThePresentSlot() throws {
    try mutate {
      if case .behind(_, let body) = $0, !$0.isEmptyBehind { body } else { nil }
    } expect: {
      switch $0 {
      case .wrongContents, .slotNotHeld, .releasedUnheld: true
      default: false
      }
    }
  }
}

/// The programs of a kernel, to be broken.
struct Programs {
  let placement: Placement
  let rings: [Ring]
  var loader: [RoleStep]
  var group: [RoleStep]

  init(_ kernel: Kernel) throws {
    placement = Placement(kernel)
    rings = PipelinedLowering.plannedRings(kernel)
    loader = LoaderProgram(placement: placement).steps()
    group = GroupProgram.steps(placement)
  }

  /// What the simulator says under many schedules.
  func firstError(_ parameters: [[Int]]) -> RoleError? {
    for each in parameters { if let error = firstError(each) { return error } }
    return nil
  }

  private func firstError(_ parameters: [Int]) -> RoleError? {
    let scope = RunScope(parameters: parameters, element: { _, _ in 0 })
    let simulator = RoleSimulator(
      placement, loader: loader, group: group, rings: rings,
      tasks: RoleSimulator.tasks(of: placement.kernel, scope, limit: 3), scope: scope)
    for seed in 0..<20 {
      do {
        try simulator.run(seed: UInt64(seed))
      } catch {
        return error
      }
    }
    return nil
  }
}

extension RoleStep {
  /// Whether no ring is read one turn back.
  var isEmptyBehind: Bool { if case .behind(let rings, _) = self { rings.isEmpty } else { false } }

  var body: [RoleStep] {
    switch self {
    case .loop(_, _, _, let body), .with(_, _, let body), .when(_, _, let body), .behind(_, let body): body
    default: []
    }
  }

  func with(body: [RoleStep]) -> RoleStep {
    switch self {
    case .loop(let step, let from, let below, _): .loop(step: step, from: from, below: below, body: body)
    case .with(let step, let value, _): .with(step: step, value: value, body: body)
    case .when(let lower, let upper, _): .when(less: lower, than: upper, body: body)
    case .behind(let rings, _): .behind(rings, body: body)
    default: self
    }
  }
}

extension [RoleStep] {
  /// The program with all steps that `change` takes replaced.
  func replacingAll(_ change: (RoleStep) -> [RoleStep]?) -> [RoleStep] {
    flatMap { change($0) ?? [$0.with(body: $0.body.replacingAll(change))] }
  }

  /// The program with the `site`-th step that `change` takes replaced; `nil` where there are not so many.
  func replacing(
    site: Int, _ change: (RoleStep) -> [RoleStep]?
  ) -> (steps: [RoleStep], label: String)? {
    var left = site
    var label: String?
    func rewrite(_ steps: [RoleStep]) -> [RoleStep] {
      steps.flatMap { step -> [RoleStep] in
        if label == nil, let changed = change(step) {
          if left == 0 {
            label = step.label
            return changed
          }
          left -= 1
        }
        return [step.with(body: rewrite(step.body))]
      }
    }
    let steps = rewrite(self)
    return label.map { (steps, $0) }
  }
}
