internal import Memory
internal import Tiles

/// A step of a loop that is ended in the next: what is done with the results of its last products is done there, beside the
/// products that open it.
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
  /// Records the loop in that form; `false`, with nothing recorded, where the tail reads what the next step overwrites.
  ///
  /// No product runs across the end of a turn: the compiler would then wait for each that reads or writes registers.
  mutating func trail(_ parts: TrailingParts, rings own: Set<Int>, _ step: Int, _ count: Index) -> Bool {
    guard parts.tail.allSatisfy({ rings(readBy: $0).isEmpty }) else { return false }
    if !unpublished.isEmpty { meet() }
    let early = own.filter { ring in parts.opening.contains { rings(readBy: $0).contains(ring) } }
    func turn(_ program: inout GroupProgram, tail: Bool) {
      program.result += early.sorted().map { .awaitFull($0) }
      program.add(parts.opening, rings: [])
      if tail {
        let start = program.result.count
        program.add(parts.tail, rings: [])
        let steps = Array(program.result[start...])
        program.result.removeSubrange(start...)
        program.result.append(.with(step: step, value: .step(step) - 1, body: steps))
      }
      program.result += own.subtracting(early).sorted().map { .awaitFull($0) }
      program.add(parts.middle, rings: [])
      program.finish()
      program.result += own.sorted().flatMap { [.release($0, behind: 0), .advance($0)] }
    }
    var first = GroupProgram(placement, dirty: dirty)
    turn(&first, tail: false)
    dirty.formUnion(first.dirty)
    let steady = repeated { turn(&$0, tail: true) }
    var last = GroupProgram(placement, dirty: dirty)
    last.add(parts.tail, rings: [])
    dirty.formUnion(last.dirty)
    result.append(
      .when(
        less: 0, than: count,
        body: [
          .with(step: step, value: 0, body: first.result),
          .loop(step: step, from: 1, below: count, body: steady),
          .with(step: step, value: count - 1, body: last.result),
        ]))
    return true
  }
}

extension Statement {
  /// Whether it has no statements in it but a condition's maps.
  fileprivate var isPlain: Bool {
    if case .when(_, _, let body) = operation { return body.allSatisfy(\.isElementwise) }
    return operation.blocks.isEmpty
  }
}
