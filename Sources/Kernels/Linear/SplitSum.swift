public import Memory
public import Tiles

/// The second half of a product whose inner side was cut into parts: y = Σ parts, and what is done to it.
///
/// Parts are added in order, so that a number is the same bits in every run.
public enum SplitSum {
  /// y `[M, N]` of float32, bfloat16 or float16 from parts `[splits, M, N]` of float32.
  ///
  /// Arguments: parts, then bias `[N]` and residual `[M, N]` in float32 where the epilogue has them, y. Floor: what is read
  /// and written over the memory bandwidth; parts of few rows are still in the second-level cache.
  ///
  /// - Parameter activation: of what the epilogue gives.
  public static func kernel(
    splits: Int, epilogue: Linear.Epilogue = .none, activation: Activation? = nil,
    output: ElementType = .float32
  ) throws(TileError) -> Kernel {
    let last = activation.map { "\($0.rawValue)_" } ?? ""
    return try Kernel("split_sum_\(splits)_\(epilogue)_\(last)\(output.rawValue)") { k in
      let (m, n) = (k.extent("M"), k.extent("N"))
      let parts = k.input("parts", .float32, [Index(splits), m, n])
      let bias = epilogue.hasBias ? k.input("bias", .float32, [n]) : nil
      let residual = epilogue.hasResidual ? k.input("residual", .float32, [m, n]) : nil
      let y = k.output("y", output, [m, n])
      // Narrow, so that a single row is shared by many cores.
      let (rows, width) = (4, 128)
      k.grid([m.ceilDiv(Index(rows)), n.ceilDiv(Index(width))], schedule: .early) { task in
        let place = [task[0] * Index(rows), task[1] * Index(width)]
        func part(_ number: Int) -> Tile {
          k.load(
            parts, at: [Index(number)] + place, rows: rows, columns: width, rowAxis: 1, columnAxis: 2)
        }
        var sum = part(0)
        for number in 1..<max(1, splits) { sum = k.map(.add, sum, part(number)) }
        if let bias { sum = k.map(.add, sum, k.load(bias, at: [place[1]], columns: width)) }
        if let residual { sum = k.map(.add, sum, k.load(residual, at: place, rows: rows, columns: width)) }
        if let activation { sum = activation.apply(to: sum, k) }
        k.store(sum, to: y, at: place)
      }
    }
  }
}

extension SplitSum {
  /// y = Σ parts + bias + residual, and its normalised rows: what stands between two layers.
  ///
  /// Arguments: parts `[splits, M, D]`, then bias `[D]` where there is one, residual `[M, D]`, weight and (layer only) bias of the norm
  /// `[D]`, y `[M, D]`, all of float32, and z `[M, D]`. A task is a row. Floor: as ``kernel(splits:epilogue:activation:output:)``.
  public static func normalised(
    splits: Int, width: Int, hasBias: Bool, by norm: Normalisation, output: ElementType
  ) throws(TileError) -> Kernel {
    try Kernel("split_sum_\(splits)_\(hasBias ? "bias_" : "")\(norm)_\(output.rawValue)") { k in
      let (m, d) = (k.extent("M"), Index(width))
      let parts = k.input("parts", .float32, [Index(splits), m, d])
      let bias = hasBias ? k.input("bias", .float32, [d]) : nil
      let residual = k.input("residual", .float32, [m, d])
      let weight = k.input("weight", .float32, [d])
      let shift: TensorParameter? = if case .layer = norm { k.input("shift", .float32, [d]) } else { nil }
      let y = k.output("y", .float32, [m, d])
      let z = k.output("z", output, [m, d])
      var schedule = Kernel.Schedule.early
      schedule.prefetched = Set(([bias, shift].compactMap { $0 } + [weight]).map(\.number))
      k.grid([m], schedule: schedule) { task in
        func vector(_ tensor: TensorParameter) -> Tile { k.load(tensor, at: [0], columns: width) }
        let known = (bias: bias.map(vector), weight: vector(weight), shift: shift.map(vector))
        var sum = k.load(residual, at: [task[0], 0], columns: width)
        for number in 0..<splits {
          sum = k.map(.add, sum, k.load(parts, at: [Index(number), task[0], 0], columns: width))
        }
        if let bias = known.bias { sum = k.map(.add, sum, bias) }
        k.store(sum, to: y, at: [task[0], 0])
        k.store(norm.apply(to: sum, weight: known.weight, bias: known.shift, k), to: z, at: [task[0], 0])
      }
    }
  }
}

/// The steps of one part of an inner side that is cut into parts of whole steps.
struct SplitRange {
  /// Steps of the part: none where others have taken all.
  let count: Index
  private let first: Index
  private let step: Index

  /// - Parameter split: which part; all of the inner side where there is none.
  init(inner: Index, step: Int, splits: Int, split: Index?) {
    self.step = Index(step)
    let all = inner.ceilDiv(Index(step))
    guard let split else {
      (count, first) = (all, 0)
      return
    }
    let each = all.ceilDiv(Index(splits))
    (count, first) = ((all - split * each).min(each).max(0), split * each)
  }

  /// Where a step starts along the inner side.
  func start(_ number: Index) -> Index { (first + number) * step }
}
