extension Chart {
  /// What is taken from measurements.
  public struct Selection: Sendable {
    /// Operations whose names are given; all where there are none.
    public var ops: [String] = []
    /// Part of the shape that runs along the horizontal axis; by default the first of L, N, M and K that varies.
    public var axis: String?
    /// Whether times are divided by the numbers B, H and L or N of the shape, as far as it has them.
    public var isPerNumber = false

    /// All operations against the length.
    public init() {}
  }

  /// A line for each program and operation, the fastest time at each length; the floors are a line of their own.
  ///
  /// Where one program has several shapes of a length, the rest of the shape tells its lines apart.
  ///
  /// - Throws: ``ChartError/nothing(wanted:found:)`` where no measurement has what is asked for.
  public init(
    _ measurements: [Measurement], _ selection: Selection = Selection(), title: String? = nil
  ) throws(ChartError) {
    let known = measurements.map(\.op).unique
    let chosen = measurements.filter { selection.ops.isEmpty || selection.ops.contains($0.op) }
    guard !chosen.isEmpty else {
      throw .nothing(
        wanted: selection.ops.isEmpty ? "a line" : "the op \(selection.ops.joined(separator: " or "))",
        found: known.isEmpty ? "none at all" : "the ops \(known.joined(separator: ", "))")
    }
    let candidates = selection.axis.map { [$0] } ?? ["L", "N", "M", "K"]
    func values(_ part: String) -> [Double] { chosen.compactMap { $0.size(part) }.unique }
    guard
      let axis = candidates.first(where: { values($0).count > 1 })
        ?? candidates.first(where: { !values($0).isEmpty })
    else {
      throw .nothing(
        wanted: "a number \(candidates.map { "\($0)=" }.joined(separator: ", "))",
        found: "the shapes \(chosen.map(\.shape).unique.prefix(3).joined(separator: "; "))")
    }
    let ops = chosen.map(\.op).unique
    let divisor = selection.isPerNumber ? ["B", "H", axis] : []
    self.init(
      title: title ?? ops.joined(separator: ", "), horizontal: axis,
      vertical: divisor.isEmpty
        ? "milliseconds" : "milliseconds for each of \(divisor.joined(separator: " · "))",
      series: [])
    var floor: [Double: Double] = [:]
    for op in ops {
      for peer in chosen.filter({ $0.op == op }).map(\.peer).unique {
        let own = chosen.filter { $0.op == op && $0.peer == peer && $0.size(axis) != nil }
        // Other sizes that go with the length are no reason for a line of their own.
        let isAmbiguous = Dictionary(grouping: own) { $0.size(axis) ?? 0 }.values.contains {
          $0.map(\.shape).unique.count > 1
        }
        for rest in (isAmbiguous ? own.map { $0.rest(without: axis) } : [""]).unique {
          var fastest: [Double: Double] = [:]
          for one in own where !isAmbiguous || one.rest(without: axis) == rest {
            guard let x = one.size(axis) else { continue }
            let scale = divisor.reduce(1) { $0 / (one.size($1) ?? 1) }
            fastest[x] = min(fastest[x] ?? .infinity, one.milliseconds * scale)
            if let least = one.floorMilliseconds { floor[x] = min(floor[x] ?? .infinity, least * scale) }
          }
          let name = [ops.count > 1 ? op : "", peer, rest].filter { !$0.isEmpty }.joined(separator: " ")
          add(name, fastest, isFloor: peer == "floor")
        }
      }
    }
    add("floor", floor, isFloor: true)
  }

  private mutating func add(_ name: String, _ points: [Double: Double], isFloor: Bool) {
    guard !points.isEmpty else { return }
    let sorted = points.sorted { $0.key < $1.key }.map { Point(x: $0.key, y: $0.value) }
    series.append(Series(name: name, points: sorted, isFloor: isFloor))
  }
}

extension Sequence where Element: Hashable {
  /// The elements without repeats, in order of their first.
  fileprivate var unique: [Element] {
    var seen: Set<Element> = []
    return filter { seen.insert($0).inserted }
  }
}
