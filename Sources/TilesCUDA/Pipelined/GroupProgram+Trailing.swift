internal import Memory
internal import Tiles

/// A step of a loop whose last products run on into the next step: what is done with their results is done there, beside
/// the products that open it.
struct TrailingParts {
  /// Products that need nothing the step computes.
  let opening: [Statement]
  /// What follows them, up to the last product.
  let middle: [Statement]
  /// What is done with the results: no product.
  let tail: [Statement]

  init?(_ body: [Statement]) {
    func product(_ statement: Statement) -> Matmul? {
      if case .matmul(let product) = statement.operation { product } else { nil }
    }
    var opening = 0
    while opening < body.count, let product = product(body[opening]), !product.continuing,
      !body.contains(where: { $0.writes(product.left) || $0.writes(product.right) })
    {
      opening += 1
    }
    guard opening > 0, let last = body.lastIndex(where: { product($0) != nil }), last >= opening,
      last + 1 < body.count
    else { return nil }
    (self.opening, middle) = (Array(body[..<opening]), Array(body[opening...last]))
    tail = Array(body[(last + 1)...])
    // What opens a step must not overwrite what the tail of the step before still reads.
    for product in self.opening.compactMap(product)
    where tail.contains(where: { $0.reads(product.accumulator) }) { return nil }
    // Conditions and loops wait for all products at their ends.
    guard body.allSatisfy(\.isPlain) else { return nil }
  }
}

extension GroupProgram {
  /// Records the loop in that form; `false`, with nothing recorded, where its last products would not run on.
  mutating func trail(_ parts: TrailingParts, rings own: Set<Int>, _ step: Int, _ count: Index) -> Bool {
    let rings = own.sorted()
    guard rings.allSatisfy({ placement.rings[$0].stages > 1 }) else { return false }
    let awaits = rings.map { RoleStep.awaitFull($0) }
    let releases = rings.map { RoleStep.release($0, behind: 1) }
    let advances = rings.map { RoleStep.advance($0) }
    let isUnpublished = !unpublished.isEmpty

    var first = GroupProgram(placement, dirty: isUnpublished ? [] : dirty)
    first.add(parts.opening + parts.middle, rings: [])
    let carried = first.running
    guard !carried.isEmpty, first.unpublished.isEmpty else { return false }

    var start = first.dirty
    var steady = GroupProgram(placement, dirty: start)
    while true {
      steady = GroupProgram(placement, dirty: start)
      steady.running = carried
      steady.result += awaits
      steady.add(parts.opening, rings: [])
      steady.addBehind(parts, own, step, value: .step(step) - 1, opened: parts.opening.count)
      steady.result += releases
      steady.add(parts.middle, rings: [])
      steady.result += advances
      guard steady.running.map(\.product.accumulator) == carried.map(\.product.accumulator),
        steady.unpublished.isEmpty
      else { return false }
      if steady.dirty.isSubset(of: start) { break }
      start.formUnion(steady.dirty)
    }

    var last = GroupProgram(placement, dirty: start)
    last.running = carried
    last.addBehind(parts, own, step, value: count - 1, opened: 0)
    guard last.unpublished.isEmpty else { return false }

    if isUnpublished { meet() }
    result.append(
      .when(
        less: 0, than: count,
        body: [
          .with(step: step, value: 0, body: awaits + first.result + advances),
          .loop(step: step, from: 1, below: count, body: steady.result),
        ] + last.result + releases))
    dirty.formUnion(last.dirty)
    return true
  }

  /// Records what belongs to the step before, with the products of that step at their ends: its slots are given back next.
  private mutating func addBehind(
    _ parts: TrailingParts, _ rings: Set<Int>, _ step: Int, value: Index, opened: Int
  ) {
    let start = result.count
    add(parts.tail, rings: [])
    if running.count > opened { finish(running.count - opened) }
    let steps = Array(result[start...])
    result.removeSubrange(start...)
    result.append(.with(step: step, value: value, body: [.behind(rings.sorted(), body: steps)]))
  }
}

extension Statement {
  /// Whether it has no statements in it but a condition's maps.
  fileprivate var isPlain: Bool {
    if case .when(_, _, let body) = operation { return body.allSatisfy(\.isElementwise) }
    return operation.blocks.isEmpty
  }
}
