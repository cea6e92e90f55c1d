internal import Memory
internal import Tiles

/// A step of a loop that is ended in the next: what is done with the results of its last products is done there, beside the
/// products that open it.
struct TrailingParts {
  /// Products that need nothing the step computes but what loaded tiles were made to, and what makes that.
  let opening: [Statement]
  /// What follows them, up to the last product.
  let middle: [Statement]
  /// What is done with the results: no product.
  let tail: [Statement]

  /// - Parameters:
  ///   - body: without loads, which rings do.
  ///   - narrowSums: tiles whose registers sums have, by sum.
  init?(_ body: [Statement], _ narrowSums: [Int: Tile]) {
    func product(_ statement: Statement) -> Matmul? {
      if case .matmul(let product) = statement.operation { product } else { nil }
    }
    var opening = 0
    while opening < body.count, body[opening].isElementwise { opening += 1 }
    let made = body[..<opening].flatMap(\.operation.tilesWritten)
    let prepared = opening
    while opening < body.count, let product = product(body[opening]), !product.continuing,
      !body[prepared...].contains(where: { $0.writes(product.left) || $0.writes(product.right) })
    {
      opening += 1
    }
    guard opening > prepared, let last = body.lastIndex(where: { product($0) != nil }), last >= opening,
      last + 1 < body.count
    else { return nil }
    (self.opening, middle) = (Array(body[..<opening]), Array(body[opening...last]))
    tail = Array(body[(last + 1)...])
    // What opens a step must not overwrite what the tail of the step before still reads.
    let sums = self.opening.compactMap { product($0)?.accumulator }
    for tile in made + sums + sums.compactMap({ narrowSums[$0.id] })
    where tail.contains(where: { $0.reads(tile) }) { return nil }
    // Conditions and loops wait for all products at their ends.
    guard body.allSatisfy(\.isPlain) else { return nil }
  }
}

extension GroupProgram {
  /// Records the loop in that form; `false`, with nothing recorded, where the tail reads what the next step overwrites.
  ///
  /// No product runs across the end of a turn: the compiler would then wait for each that reads or writes registers.
  mutating func trail(_ parts: TrailingParts, rings own: Set<Int>, _ step: Int, _ count: Index) -> Bool {
    let (early, late, last) = (
      read(by: parts.opening, of: own), read(by: parts.middle, of: own), read(by: parts.tail, of: own)
    )
    // The tail reads slots of the step before: they must be its own.
    guard last.isDisjoint(with: early.union(late)) else { return false }
    if !unpublished.isEmpty { meet() }
    let kept = early.intersection(late)
    func turn(_ program: inout GroupProgram, tail: Bool) {
      program.result += kept.sorted().map { .awaitFull($0) }
      program.add(parts.opening, rings: early.subtracting(kept))
      if tail {
        let start = program.result.count
        program.add(parts.tail, rings: last)
        let steps = Array(program.result[start...])
        program.result.removeSubrange(start...)
        program.result.append(.with(step: step, value: .step(step) - 1, body: steps))
      }
      program.add(parts.middle, rings: late, awaited: kept)
      program.finish()
    }
    var first = GroupProgram(placement, dirty: dirty)
    turn(&first, tail: false)
    dirty.formUnion(first.dirty)
    let steady = repeated { turn(&$0, tail: true) }
    var end = GroupProgram(placement, dirty: dirty)
    end.add(parts.tail, rings: last)
    end.finish()
    dirty.formUnion(end.dirty)
    result.append(
      .when(
        less: 0, than: count,
        body: [
          .with(step: step, value: 0, body: first.result),
          .loop(step: step, from: 1, below: count, body: steady),
          .with(step: step, value: count - 1, body: end.result),
        ]))
    return true
  }
}

extension GroupProgram {
  /// Those of the rings that a list of statements reads.
  private func read(by statements: [Statement], of own: Set<Int>) -> Set<Int> {
    statements.reduce(into: Set<Int>()) { $0.formUnion(rings(readBy: $1)) }.intersection(own)
  }
}

extension Statement {
  /// Whether it has no statements in it but a condition's maps.
  fileprivate var isPlain: Bool {
    if case .when(_, _, let body) = operation { return body.allSatisfy(\.isElementwise) }
    return operation.blocks.isEmpty
  }
}
