internal import Kernels
internal import Memory
internal import Tiles

extension Device {
  /// C[i] = A[i] · B[i] of `[batch, …, …]` matrices, each transposed or not; B may have a batch of 1 for all.
  func product(
    _ a: Tensor, _ b: Tensor, transposesA: Bool = false, transposesB: Bool = false, bias: Tensor? = nil
  ) throws -> Tensor {
    let (m, inner) = transposesA ? (a.shape[2], a.shape[1]) : (a.shape[1], a.shape[2])
    let n = b.shape[transposesB ? 1 : 2]
    precondition(
      inner == b.shape[transposesB ? 2 : 1] && (b.shape[0] == a.shape[0] || b.shape[0] == 1),
      "\(a.shape)\(transposesA ? "ᵀ" : "") · \(b.shape)\(transposesB ? "ᵀ" : "") is no product")
    let result = try empty([a.shape[0], m, n])
    try product(a, b, transposesA: transposesA, transposesB: transposesB, bias: bias, into: result)
    return result
  }

  /// As ``product(_:_:transposesA:transposesB:bias:)``, written to an array of any strides.
  func product(
    _ a: Tensor, _ b: Tensor, transposesA: Bool = false, transposesB: Bool = false, bias: Tensor? = nil,
    into result: Tensor
  ) throws {
    let (m, n, inner) = (result.shape[1], result.shape[2], a.shape[transposesA ? 1 : 2])
    guard result.count > 0 else { return }
    guard inner > 0 else {
      return try write(tensor([Float(0)], [1, 1, 1]).broadcast(to: result.shape), into: result)
    }
    var kind = BatchedProduct(plan: plan(batch: a.shape[0], rows: m, columns: n, inner: inner))
    (kind.transposesA, kind.transposesB) = (transposesA, transposesB)
    kind.sharesB = b.shape[0] == 1 && a.shape[0] > 1
    kind.hasBias = bias != nil
    try kernel(kind) { try kind.kernel() }.run([a, b] + (bias.map { [$0] } ?? []) + [result])
  }

  private func plan(batch: Int, rows m: Int, columns n: Int, inner: Int) -> Gemm.Plan {
    guard executor.sharesHostMemory else { return Gemm.Plan(rows: 64, columns: 64, inner: 32) }
    var plan = Gemm.Plan.cpu(rows: m, columns: n, threads: batch >= 4 ? 1 : 2)
    // No wider than there are numbers: what a tile can hold is memory of each thread.
    plan.rows = min(plan.rows, max(8, m.nextPowerOfTwo))
    plan.columns = min(plan.columns, max(16, n.nextPowerOfTwo))
    plan.inner = min(plan.inner, max(16, inner.nextPowerOfTwo))
    if batch == 1, m <= plan.rows, n <= plan.columns, m >= 128 { plan.rows = (m + 1) / 2 + 7 & ~7 }
    plan.stages = 1
    return plan
  }
}

extension Variable {
  /// Matrix products: this `[…, M, K]` times `other`, `[K, N]` for all or `[…, K, N]` for each.
  ///
  /// - Parameters:
  ///   - transposesSelf: this lies as `[…, K, M]`.
  ///   - transposesOther: `other` lies as `[N, K]` or `[…, N, K]`, as weights do.
  ///   - bias: `[N]`, added to every row.
  /// - Returns: `[…, M, N]`.
  public func product(
    _ other: Variable, transposesSelf: Bool = false, transposesOther: Bool = false, bias: Variable? = nil
  ) throws -> Variable {
    let rank = shape.count
    if rank == 2, other.shape.count == 2 {
      let result = try reshaped([1] + shape).batched(
        other.reshaped([1] + other.shape), transposesSelf: transposesSelf, transposesOther: transposesOther,
        bias: bias)
      return try result.reshaped(Array(result.shape.dropFirst()))
    }
    if other.shape.count == 2 {
      // The rows of a whole batch are one matrix.
      precondition(!transposesSelf, "a transposed batch times one matrix. Permute it first")
      let rows = shape.dropLast().reduce(1, *)
      let flat = try reshaped([1, rows, shape[rank - 1]])
      let result = try flat.batched(
        other.reshaped([1] + other.shape), transposesOther: transposesOther, bias: bias)
      return try result.reshaped(shape.dropLast() + [result.shape[2]])
    }
    precondition(
      other.shape.count == rank && other.shape.dropLast(2) == shape.dropLast(2),
      "batches of \(shape) and \(other.shape) differ")
    let batch = shape.dropLast(2).reduce(1, *)
    let result = try reshaped([batch] + shape.suffix(2)).batched(
      other.reshaped([batch] + other.shape.suffix(2)), transposesSelf: transposesSelf,
      transposesOther: transposesOther, bias: bias)
    return try result.reshaped(shape.dropLast(2) + result.shape.suffix(2))
  }

  private func batched(
    _ other: Variable, transposesSelf: Bool = false, transposesOther: Bool = false, bias: Variable?
  ) throws -> Variable {
    let (a, b, device) = (value, other.value, self.device)
    let result = try device.product(
      a, b, transposesA: transposesSelf, transposesB: transposesOther, bias: bias?.value)
    return device.note(result, from: [self, other] + (bias.map { [$0] } ?? [])) { g in
      let first =
        !self.needsGradient
        ? nil
        : try transposesSelf
          ? device.product(b, g, transposesA: transposesOther, transposesB: true)
          : device.product(g, b, transposesB: !transposesOther)
      let second =
        !other.needsGradient
        ? nil
        : try transposesOther
          ? device.product(g, a, transposesA: true, transposesB: transposesSelf)
          : device.product(a, g, transposesA: !transposesSelf)
      let third = try bias.map { try device.reduced(g, to: $0.shape) }
      return [first, second, third].prefix(bias == nil ? 2 : 3).map { $0.map { .whole($0) } }
    }
  }
}
