internal import Kernels
internal import Memory
internal import Tiles

/// How one product of matrices is formed.
struct ProductForm {
  /// Whether A lies as `[batch, K, M]`.
  var transposesA = false
  /// Whether B lies as `[batch, N, K]`.
  var transposesB = false
  /// Whether the bias has a number for each row of the result instead of each column.
  var biasesRows = false
  /// Type of the factors.
  var factors: ElementType
  /// Type of the result.
  var result: ElementType

  /// The same types with other transposes.
  func transposing(a: Bool = false, b: Bool = false) -> Self {
    var form = self
    (form.transposesA, form.transposesB) = (a, b)
    return form
  }
}

/// What a product's kernel does with the sums before it stores them.
struct ProductEnding {
  /// A vector that is added, and how it lies.
  var bias: (vector: Tensor, kind: BatchedProduct.Bias)?
  /// What follows it.
  var activation: Activation?
  /// An array as large as the result, and of its type, that is added at the end.
  var residual: Tensor?

  /// - Parameters:
  ///   - bias: `[N]`, or `[M]` where it goes `alongRows`.
  init(bias: Tensor? = nil, alongRows: Bool = false) {
    self.bias = bias.map { ($0, alongRows ? .rows : .columns) }
  }

  /// Whether nothing follows.
  var isEmpty: Bool { bias == nil && activation == nil && residual == nil }
}

extension Device {
  /// C[i] = A[i] · B[i] of `[batch, …, …]` matrices, each transposed or not; A or B may have a batch of 1 for all.
  func product(_ a: Tensor, _ b: Tensor, _ form: ProductForm, bias: Tensor? = nil) throws -> Tensor {
    let (m, inner) = form.transposesA ? (a.shape[2], a.shape[1]) : (a.shape[1], a.shape[2])
    let n = b.shape[form.transposesB ? 1 : 2]
    let batch = max(a.shape[0], b.shape[0])
    precondition(
      inner == b.shape[form.transposesB ? 2 : 1] && [a, b].allSatisfy { [1, batch].contains($0.shape[0]) },
      "\(a.shape)\(form.transposesA ? "ᵀ" : "") · \(b.shape)\(form.transposesB ? "ᵀ" : "") is no product")
    let result = try empty([batch, m, n], form.result)
    try product(a, b, form, ending: ProductEnding(bias: bias, alongRows: form.biasesRows), into: result)
    return result
  }

  /// As ``product(_:_:_:bias:)``, written to an array of any strides.
  func product(
    _ a: Tensor, _ b: Tensor, _ form: ProductForm, ending: ProductEnding = ProductEnding(),
    into result: Tensor
  ) throws {
    let (batch, m, n) = (result.shape[0], result.shape[1], result.shape[2])
    let inner = a.shape[form.transposesA ? 1 : 2]
    guard result.count > 0 else { return }
    guard inner > 0 else {
      return try write(tensor([Float(0)], [1, 1, 1]).broadcast(to: result.shape), into: result)
    }
    let (a, b) = (try converted(a, to: form.factors), try rightFactor(b, form))
    let mayBeCut = hasManyCores && batch == 1 && ending.isEmpty && a.isDense && b.isDense
    // Rows that bulk copies take are whole 16 bytes.
    let isCopied = m % 8 == 0 && n % 8 == 0
    let isGradient = form.transposesA && !form.transposesB
    if mayBeCut, isGradient, isCopied, form.factors != scalar, result.isDense,
      result.type == scalar, let cut = WeightCut(rows: m, columns: n, inner: inner, cores: executor.cores)
    {
      return try product(a, b, form, cut, into: result)
    }
    if mayBeCut, form.factors == scalar || isGradient && !isCopied,
      let parts = inParts(rows: m, columns: n, inner: inner, side: 64)
    {
      // A weight's gradient: few tiles and a long inner side, parts of which become a batch whose results are added.
      var sums = form
      (sums.factors, sums.result) = (scalar, scalar)
      let products = try product(
        converted(a, to: scalar).cut(axis: form.transposesA ? 1 : 2, parts),
        converted(b, to: scalar).cut(axis: form.transposesB ? 2 : 1, parts), sums)
      guard result.isDense, result.type == scalar else {
        return try write(summed(products, axis: 0), into: result)
      }
      return try sum(products, axis: 0, into: result)
    }
    var kind = kind(form, batch: batch, rows: m, columns: n, inner: inner)
    (kind.sharesA, kind.sharesB) = (a.shape[0] < batch, b.shape[0] < batch)
    (kind.type, kind.output) = (kernelType(a), kernelType(result))
    kind.otherType = kernelType(b) == kind.type ? nil : b.type
    kind.bias = ending.bias?.kind ?? .none
    (kind.activation, kind.hasResidual) = (ending.activation, ending.residual != nil)
    (kind.plan, kind.sweepsRows) = (kind.plan(withRoomFor: n), hasManyCores && n > m)
    let more = [ending.bias?.vector, ending.residual].compactMap { $0 }
    try kernel(kind) { try kind.kernel() }.run([a, b] + more + [result])
  }

  /// A weight's gradient: few tiles and a long inner side, parts of which are tasks of their own.
  private func product(
    _ a: Tensor, _ b: Tensor, _ form: ProductForm, _ cut: WeightCut, into result: Tensor
  ) throws {
    let (m, n, chunks) = (a.shape[2], b.shape[2], a.shape[1] / WeightCut.chunk)
    let parts = cut.parts > 1 ? try empty([cut.parts, m, n], scalar) : result.reshaped([1, m, n])
    var kind = BatchedProduct(plan: .gpu(columns: cut.columns))
    (kind.transposesA, kind.sumsBatch) = (true, true)
    (kind.type, kind.output) = (kernelType(a), kernelType(parts))
    let factors = [a, b].map { $0.reshaped([chunks, WeightCut.chunk, $0.shape[2]]) }
    try kernel(kind) { try kind.kernel() }.run(factors + [parts], integers: [cut.share])
    if cut.parts > 1 { try sum(parts, axis: 0, into: result) }
  }

  /// Σ A[i] · B[i] over the batch, `[1, …, …]`.
  func summedProduct(_ a: Tensor, _ b: Tensor, _ form: ProductForm) throws -> Tensor {
    let batch = max(a.shape[0], b.shape[0])
    guard batch > 1 else { return try product(a, b, form) }
    let (m, inner) = form.transposesA ? (a.shape[2], a.shape[1]) : (a.shape[1], a.shape[2])
    let n = b.shape[form.transposesB ? 1 : 2]
    guard hasManyCores, a.shape[0] == batch, b.shape[0] == batch, m * n * inner > 0 else {
      return try summed(product(a, b, form), axis: 0)
    }
    // Parts of the batch keep the machine busy and are added afterwards.
    var kind = kind(form, batch: batch, rows: m, columns: n, inner: inner)
    kind.sumsBatch = true
    let tiles =
      ((m + kind.plan.rows - 1) / kind.plan.rows) * ((n + kind.plan.columns - 1) / kind.plan.columns)
    let share = max(1, (batch * tiles + 2 * executor.cores - 1) / (2 * executor.cores))
    let parts = try empty([(batch + share - 1) / share, m, n], scalar)
    let factors = try [a, b].map { try converted($0, to: form.factors) }
    (kind.type, kind.output) = (kernelType(factors[0]), kernelType(parts))
    try kernel(kind) { try kind.kernel() }.run(factors + [parts], integers: [share])
    return try converted(summed(parts, axis: 0), to: form.result)
  }

  /// A right factor as kernels take it: in the form's type, or in the 16 bits in which a weight is kept.
  func rightFactor(_ tensor: Tensor, _ form: ProductForm) throws -> Tensor {
    keepsWeightsInHalf && Self.halves.contains(tensor.type) ? tensor : try converted(tensor, to: form.factors)
  }

  private func kind(
    _ form: ProductForm, batch: Int, rows m: Int, columns n: Int, inner: Int
  ) -> BatchedProduct {
    var kind = BatchedProduct(
      plan: hasManyCores && form.factors != scalar
        ? .gpu(batch: batch, rows: m, columns: n)
        : plan(form, batch: batch, rows: m, columns: n, inner: inner))
    (kind.transposesA, kind.transposesB) = (form.transposesA, form.transposesB)
    return kind
  }

  /// Parts of an inner side that give the machine as many tasks as it has cores, where whole it would not.
  private func inParts(rows m: Int, columns n: Int, inner: Int, side: Int) -> Int? {
    let tasks = ((m + side - 1) / side) * ((n + side - 1) / side)
    return [128, 64, 32, 16, 8, 4, 2].first { parts in
      inner % parts == 0 && inner >= 64 * parts && tasks * parts <= 2 * executor.cores
        && m * n * parts <= 1 << 26
    }
  }

  private func plan(_ form: ProductForm, batch: Int, rows m: Int, columns n: Int, inner: Int) -> Gemm.Plan {
    guard !hasManyCores else { return Gemm.Plan(rows: 64, columns: 64, inner: 32) }
    var plan = Gemm.Plan.cpu(
      rows: m, columns: n, threads: batch >= 4 ? 1 : 2, transposesB: form.transposesB)
    // No wider than there are numbers: what a tile can hold is memory of each thread.
    plan.rows = min(plan.rows, max(8, m.nextPowerOfTwo))
    plan.columns = min(plan.columns, max(16, n.nextPowerOfTwo))
    plan.inner = min(plan.inner, max(16, inner.nextPowerOfTwo))
    if batch == 1, m <= plan.rows, n <= plan.columns, m >= 128 { plan.rows = ((m + 1) / 2 + 7) & ~7 }
    plan.stages = 1
    return plan
  }
}

extension Tensor {
  /// `[1, …, …]` as a batch of parts along an axis.
  fileprivate func cut(axis: Int, _ parts: Int) -> Tensor {
    var (shape, strides) = (shape, strides)
    shape[axis] /= parts
    (shape[0], strides[0]) = (parts, shape[axis] * strides[axis])
    return Tensor(
      unchecked: storage, byteOffset: byteOffset, type: type, shape: shape, strides: strides)
  }
}

extension Variable {
  /// Matrix products: this `[…, M, K]` times `other`, `[K, N]` for all or `[…, K, N]` for each.
  ///
  /// Factors are rounded to the device's ``Device/factors``, results are of that type.
  ///
  /// - Parameters:
  ///   - transposesSelf: this lies as `[…, K, M]`.
  ///   - transposesOther: `other` lies as `[N, K]` or `[…, N, K]`, as weights do.
  ///   - bias: `[N]`, added to every row.
  ///   - rowBias: `[M]`, added to every column; where this is one matrix for a batch.
  /// - Returns: `[…, M, N]`.
  public func product(
    _ other: Variable, transposesSelf: Bool = false, transposesOther: Bool = false, bias: Variable? = nil,
    rowBias: Variable? = nil
  ) throws -> Variable {
    var form = ProductForm(
      transposesA: transposesSelf, transposesB: transposesOther, factors: device.factors,
      result: device.factors)
    let rank = shape.count
    if let rowBias {
      precondition(
        bias == nil && rank == 2 && other.shape.count == 3,
        "a number for each row of \(shape) · \(other.shape)")
      form.biasesRows = true
      return try reshaped([1] + shape).batched(other, form, bias: rowBias)
    }
    if rank == 2, other.shape.count == 2 {
      let result = try reshaped([1] + shape).batched(other.reshaped([1] + other.shape), form, bias: bias)
      return try result.reshaped(Array(result.shape.dropFirst()))
    }
    if rank == 2 { return try reshaped([1] + shape).batched(other, form, bias: bias) }
    if other.shape.count == 2, transposesSelf {
      precondition(rank == 3, "\(shape), transposed, times one matrix; three axes are possible")
      return try batched(other.reshaped([1] + other.shape), form, bias: bias)
    }
    if other.shape.count == 2 {
      // The rows of a whole batch are one matrix.
      let rows = shape.dropLast().reduce(1, *)
      let flat = try reshaped([1, rows, shape[rank - 1]])
      let result = try flat.batched(other.reshaped([1] + other.shape), form, bias: bias)
      return try result.reshaped(shape.dropLast() + [result.shape[2]])
    }
    precondition(
      other.shape.count == rank && other.shape.dropLast(2) == shape.dropLast(2),
      "batches of \(shape) and \(other.shape) differ")
    let batch = shape.dropLast(2).reduce(1, *)
    let result = try reshaped([batch] + shape.suffix(2)).batched(
      other.reshaped([batch] + other.shape.suffix(2)), form, bias: bias)
    return try result.reshaped(shape.dropLast(2) + result.shape.suffix(2))
  }

  private func batched(_ other: Variable, _ form: ProductForm, bias: Variable?) throws -> Variable {
    let device = self.device
    let (own, others) = (value.type, other.value.type)
    // Rounded once, for the gradients too.
    let (a, b) = (
      try device.converted(value, to: form.factors), try device.rightFactor(other.value, form)
    )
    let result = try device.product(a, b, form, bias: bias?.value)
    return device.note(result, from: [self, other] + (bias.map { [$0] } ?? [])) { g in
      let factor = try device.converted(g, to: form.factors)
      func product(
        _ x: Tensor, _ y: Tensor, _ transposesX: Bool, _ transposesY: Bool, sums: Bool, as type: ElementType
      ) throws -> Tensor {
        let form = ProductForm(
          transposesA: transposesX, transposesB: transposesY, factors: form.factors, result: type)
        return try sums ? device.summedProduct(x, y, form) : device.product(x, y, form)
      }
      var first: Tensor?
      if self.needsGradient {
        first =
          try form.transposesA
          ? product(b, factor, form.transposesB, true, sums: a.shape[0] == 1, as: own)
          : product(factor, b, false, !form.transposesB, sums: a.shape[0] == 1, as: own)
      }
      var second: Tensor?
      if other.needsGradient {
        second =
          try form.transposesB
          ? product(factor, a, true, form.transposesA, sums: b.shape[0] == 1, as: others)
          : product(a, factor, !form.transposesA, false, sums: b.shape[0] == 1, as: others)
      }
      let third = try bias.map { bias in
        guard form.biasesRows else { return try device.reduced(g, to: bias.shape) }
        return try device.reduced(g, to: bias.shape + [1]).reshaped(bias.shape)
      }
      return [first, second, third].prefix(bias == nil ? 2 : 3).map { $0.map { .whole($0) } }
    }
  }
}
