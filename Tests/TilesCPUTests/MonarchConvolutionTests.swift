import Kernels
import Memory
import TestSupport
import Testing
import Tiles

/// Convolutions of one tile and the least rows, on the reference executor: it takes a second for each transform.
@Suite struct MonarchConvolutionTests {
  private typealias Plan = MonarchConvolution

  /// y[t] = after[t] · (Σ filter[s] · x[t − s] + skip · x[t]), x = before · u, rows of channels one after the other.
  private func definition(
    _ shape: Plan.Shape, u: [Double], filter: [Double], skip: [Double], before: [Double], after: [Double]
  ) -> [Double] {
    let (n, taps) = (shape.length, shape.filterLength)
    return (0..<shape.batch * shape.channels).flatMap { row in
      let channel = row % shape.channels
      let x = (0..<n).map { u[row * n + $0] * before[row * n + $0] }
      return (0..<n).map { t in
        var sum = skip[channel] * x[t]
        for s in 0..<taps where s <= t || shape.mode == .circular {
          sum += filter[channel * taps + s] * x[(t - s + n) % n]
        }
        return sum * after[row * n + t]
      }
    }
  }

  /// Norm of the difference over the norm of what is right, for the worst row; infinite where a number is missing.
  private func distance(_ found: [Double], _ exact: [Double], row: Int) -> Double {
    guard found.count == exact.count else { return .infinity }
    return stride(from: 0, to: exact.count, by: row).reduce(0) { worst, start in
      var (difference, norm) = (0.0, 0.0)
      for index in start..<(start + row) {
        difference += (found[index] - exact[index]) * (found[index] - exact[index])
        norm += exact[index] * exact[index]
      }
      let ratio = (difference / norm).squareRoot()
      return ratio.isNaN ? .infinity : max(worst, ratio)
    }
  }

  private func ones(_ type: ElementType, _ shape: [Int]) throws -> Tensor {
    let result = try Tensor(zeros: type, shape)
    result.withMutableElements(as: UInt16.self) { span in
      for index in span.indices { span[index] = type == .float16 ? 0x3C00 : 0x3F80 }
    }
    return result
  }

  /// Filters are divided by powers of two, what chunks hand on is kept over them, and spectra are quarters: neither loud nor quiet rows or
  /// filters lose more by that. The last three filters' sizes are beyond the powers of two that spectra are divided by.
  @Test(
    arguments: [(Float(0x1p8), 1), (0x1p-9, 1), (0x1p-9, 0x1p12), (0x1p10, 0x1p-24), (1, 0)]
      as [(Float, Float)], [1024, 8192])
  func rowsAndFiltersOfOtherSizesAreAsExact(sizes given: (Float, Float), length: Int) throws {
    let (size, filterSize) = given
    // Four channels of 1,024 points share a tile, of which others are as they were.
    let shape = Plan.Shape(batch: 1, channels: max(1, 4096 / length), length: length, type: .float16)
    let sizes = [shape.batch, shape.channels, shape.length]
    let u = try uniform(shape.type, sizes, seed: 1)
    let scaled = values(u).map { Float16(Float($0) * size).bitPattern }
    u.withMutableElements(as: UInt16.self) { span in
      for index in span.indices { span[index] = scaled[index] }
    }
    let filter = try uniform([shape.channels, shape.filterLength], seed: 2)
    filter.withMutableElements(as: Float.self) { span in
      for index in span.indices { span[index] *= filterSize }
    }
    let plan = try Plan(shape, executor: ReferenceExecutor<Double>())
    let y = try poisoned(shape.type, sizes)
    try plan.apply(u, try plan.prepare(filter: filter), into: y)
    if filterSize == 0 {
      #expect(values(y).allSatisfy { $0 == 0 })
      return
    }
    let whole = values(try ones(shape.type, sizes))
    let exact = definition(
      shape, u: values(u), filter: values(filter), skip: [Double](repeating: 0, count: shape.channels),
      before: whole, after: whole)
    #expect(distance(values(y), exact, row: shape.length) <= 2e-3)
  }

  /// What a float16 row may have as its mean, as one tile, as two and as four chunks, where the filter has one sign, which makes products of
  /// spectra as large as they get: a quarter of the row's own at the most, of two chunks all of it, and half as much again, since bounds are of parts.
  /// With filters of either sign it may be as large as the row's own quarter allows.
  @Test(arguments: [(4096, Float(4000), true), (8192, 1000, true), (32_768, 4000, true), (4096, 5800, false)])
  func meansAreFarFromInfinite(length: Int, mean: Float, hasOneSign: Bool) throws {
    let shape = Plan.Shape(batch: 1, channels: 1, length: length, type: .float16)
    let sizes = [shape.batch, shape.channels, shape.length]
    let u = try uniform(shape.type, sizes, seed: 3)
    let raised = values(u).map { Float16(Float($0) + mean).bitPattern }
    u.withMutableElements(as: UInt16.self) { span in
      for index in span.indices { span[index] = raised[index] }
    }
    let filter = try uniform([shape.channels, shape.filterLength], seed: 4)
    filter.withMutableElements(as: Float.self) { span in
      for index in span.indices { span[index] = (hasOneSign ? abs(span[index]) : span[index]) * 0x1p-10 }
    }
    let plan = try Plan(shape, executor: ReferenceExecutor<Double>())
    let y = try poisoned(shape.type, sizes)
    try plan.apply(u, try plan.prepare(filter: filter), into: y)
    let whole = values(try ones(shape.type, sizes))
    let exact = definition(
      shape, u: values(u), filter: values(filter), skip: [0], before: whole, after: whole)
    #expect(distance(values(y), exact, row: shape.length) <= 2e-3)
  }

  private static let shapes = [
    Plan.Shape(batch: 2, channels: 3, length: 64),
    Plan.Shape(batch: 1, channels: 3, length: 1001, filterLength: 17, type: .float16),
    Plan.Shape(batch: 2, channels: 3, length: 1020, filterLength: 17, type: .float16),
    Plan.Shape(batch: 1, channels: 2, length: 2048, mode: .circular),
    Plan.Shape(batch: 2, channels: 1, length: 8192, type: .float16),
    Plan.Shape(batch: 3, channels: 2, length: 5001),
    Plan.Shape(batch: 1, channels: 1, length: 16384, type: .float16),
    Plan.Shape(batch: 1, channels: 2, length: 8192, filterLength: 5000, mode: .circular, type: .float16),
  ]

  @Test(arguments: shapes, [false, true])
  func agreesWithTheDefinition(shape: MonarchConvolution.Shape, isGated: Bool) throws {
    let sizes = [shape.batch, shape.channels, shape.length]
    let executor = ReferenceExecutor<Double>()
    let plan = try Plan(shape, executor: executor)
    let u = try uniform(shape.type, sizes, seed: 1)
    let gates = try (2...3).map {
      isGated ? try uniform(shape.type, sizes, seed: UInt64($0)) : try ones(shape.type, sizes)
    }
    let filter = try uniform([shape.channels, shape.filterLength], seed: 4)
    let skip = try uniform([shape.channels], seed: 5)
    let y = try poisoned(shape.type, sizes)
    let spectrum = try plan.prepare(filter: filter, skip: isGated ? skip : nil)
    try plan.apply(
      u, spectrum, before: isGated ? gates[0] : nil, after: isGated ? gates[1] : nil, into: y)
    let exact = definition(
      shape, u: values(u), filter: values(filter),
      skip: isGated ? values(skip) : [Double](repeating: 0, count: shape.channels),
      before: values(gates[0]), after: values(gates[1]))
    // Bounds of the emulation in 16 bits with a margin of two.
    let bound = shape.type == .float16 ? 2e-3 : 1.5e-2
    #expect(distance(values(y), exact, row: shape.length) <= bound)
    // The judge refuses zeros and another row's result.
    #expect(distance([Double](repeating: 0, count: exact.count), exact, row: shape.length) > 0.5)
    #expect(distance(Array(exact.reversed()), exact, row: shape.length) > 0.5)
  }

  /// Of rows of 60 positions, which go by way of padded ones, of 51, which are read where they lie, and of 8,192, with both gates.
  @Test(arguments: [
    Plan.Shape(batch: 2, channels: 1, length: 60, filterLength: 50),
    Plan.Shape(batch: 3, channels: 1, length: 51, filterLength: 50),
    Plan.Shape(batch: 1, channels: 1, length: 8192, type: .float16),
  ])
  func gradientsAgreeWithTheirDefinition(shape: MonarchConvolution.Shape) throws {
    let sizes = [shape.batch, shape.channels, shape.length]
    let executor = ReferenceExecutor<Double>()
    let plan = try Plan(shape, executor: executor)
    let inputs = try (1...4).map { try uniform(shape.type, sizes, seed: UInt64($0)) }
    let filter = try uniform([1, shape.filterLength], seed: 5)
    let targets = try (0..<3).map { _ in try poisoned(shape.type, sizes) }
    let filterTarget = try poisoned([1, shape.filterLength])
    try plan.gradients(
      inputs[0], u: inputs[1], try plan.prepare(filter: filter), before: inputs[2], after: inputs[3],
      into: Plan.Gradients(u: targets[0], before: targets[1], after: targets[2], filter: filterTarget))
    let (dy, u, before, after) = (values(inputs[0]), values(inputs[1]), values(inputs[2]), values(inputs[3]))
    let (taps, n) = (values(filter), shape.length)
    var exact = [[Double]](repeating: [Double](repeating: 0, count: dy.count), count: 3)
    var exactFilter = [Double](repeating: 0, count: taps.count)
    for row in 0..<shape.batch {
      for t in 0..<n {
        for s in 0...t where t - s < taps.count {
          // y[t] holds after[t] · taps[t − s] · before[s] · u[s].
          let (i, j, tap) = (row * n + t, row * n + s, taps[t - s])
          exact[0][j] += dy[i] * after[i] * tap * before[j]
          exact[1][j] += dy[i] * after[i] * tap * u[j]
          exact[2][i] += dy[i] * tap * before[j] * u[j]
          exactFilter[t - s] += dy[i] * after[i] * before[j] * u[j]
        }
      }
    }
    for (target, exact) in zip(targets, exact) {
      #expect(distance(values(target), exact, row: n) <= 1.5e-2)
    }
    #expect(distance(values(filterTarget), exactFilter, row: taps.count) <= 1.5e-2)
    #expect(distance(values(targets[0]), exact[1], row: n) > 0.5)
  }

  /// Forth and back, against the two kernels for one stage each, which leave the same rows in the same order.
  @Test(arguments: [2, 4]) func twoStagesInOnePassAreTwoStages(few: Int) throws {
    let (executor, type, columns) = (ReferenceExecutor<Double>(), ElementType.float16, 64)
    let stages = [
      (MonarchOuter.Shape(MonarchConstants(radix: 64, isShifted: true), type: type), few * columns, 64),
      (
        MonarchOuter.Shape(MonarchConstants(radix: few, isShifted: false), type: type, isComplex: true),
        columns,
        64 * few
      ),
    ]
    let twiddles = try stages.map { try MonarchOuter.twiddles($0.0.constants, columns: $0.1) }
    let matrices = try stages.map { try MonarchOuter.matrices($0.0) }
    let both = MonarchOuterTwofold.Shape(few: few, type: type)
    func run(_ kernel: Kernel, _ constants: [Tensor], _ rows: [Tensor], _ sizes: [Int]) throws {
      try executor.compile(kernel).run(constants + rows.map { $0.reshaped(sizes) }, integers: [1])
    }
    func one(_ stage: Int, _ kernel: Kernel, _ rows: [Tensor]) throws {
      let sizes = [1, stages[stage].2, stages[stage].1]
      try run(kernel, [matrices[stage]] + twiddles[stage], rows, sizes)
    }
    let count = 64 * few * columns
    func planes() throws -> [Tensor] { try (0..<2).map { _ in try poisoned(type, [count]) } }
    let constants = [matrices[0]] + twiddles[0] + twiddles[1]
    let x = try uniform(type, [count], seed: 1)
    let (first, two, found) = (try planes(), try planes(), try planes())
    try one(0, try MonarchOuter.forward(stages[0].0), [x] + first)
    try one(1, try MonarchOuter.forward(stages[1].0), first + two)
    try run(try MonarchOuterTwofold.forward(both), constants, [x] + found, [1, 64, few, columns])
    for (found, two) in zip(found, two) {
      #expect(distance(values(found), values(two), row: count) <= 2e-3)
      #expect(distance(values(found), values(two).reversed(), row: count) > 0.5)
    }
    let (back, y, again) = (try planes(), try poisoned(type, [count]), try poisoned(type, [count]))
    try one(1, try MonarchOuter.inverse(stages[1].0), two + back)
    try one(0, try MonarchOuter.inverse(stages[0].0), back + [y])
    try run(try MonarchOuterTwofold.inverse(both), constants, two + [again], [1, 64, few, columns])
    #expect(distance(values(again), values(y), row: count) <= 2e-3)
    // Rotations by even powers of two give what was there, by odd ones half of it.
    let scale = few == 2 ? 0.5 : 1
    #expect(distance(values(again), values(x).map { scale * $0 }, row: count) <= 3e-3)
  }

  @Test func whatHasNoPlanIsNamed() {
    func reason(_ shape: MonarchConvolution.Shape) -> String {
      message { _ = try MonarchConvolution(shape, executor: ReferenceExecutor<Float>()) }
    }
    #expect(reason(Plan.Shape(batch: 0, channels: 1, length: 64)).contains("batch is 0"))
    #expect(
      reason(Plan.Shape(batch: 1, channels: 1, length: 100, mode: .circular)).contains("power of two"))
    #expect(
      reason(Plan.Shape(batch: 1, channels: 1, length: 64, filterLength: 65)).contains("filterLength is 65"))
    #expect(reason(Plan.Shape(batch: 1, channels: 1, length: 64, type: .float32)).contains("float32"))
  }
}
