internal import Kernels
public import Memory
internal import Tiles

/// What a cross entropy found.
public struct CrossEntropyResult {
  /// The mean loss over rows whose target counts, `[1]`, in nats.
  public let loss: Variable
  /// Loss of each row, 0 where the target does not count.
  public let losses: Tensor
  /// 1 for each row whose target counts and has the largest logit.
  public let correct: Tensor
  /// Rows whose target counts.
  public let count: Int
}

extension Variable {
  /// Cross entropy of logits `[…, V]` and as many targets; targets below 0 do not count.
  ///
  /// - Precondition: targets are below V, as data sets guarantee.
  public func crossEntropy(_ targets: [Int32]) throws -> CrossEntropyResult {
    let (device, shape) = (self.device, self.shape)
    let v = shape[shape.count - 1]
    let rows = targets.count
    precondition(rows * v == value.count, "\(rows) targets for logits \(shape)")
    precondition(targets.allSatisfy { $0 < v }, "a target is not below \(v)")
    let count = targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) }
    let wanted = try device.tensor(targets, [rows])
    let logits = try device.dense(value).reshaped([rows, v])
    let kind = CrossEntropy(
      columns: min(1024, max(8, v.nextPowerOfTwo)), type: device.kernelType(logits))
    let results = try (0..<3).map { _ in try device.empty([rows]) }
    try device.kernel(kind) { try kind.kernel() }.run([logits, wanted] + results)
    let mean = 1 / Float(max(1, count))
    let total = try device.summed(results[0], axis: 0)
    let loss = try device.pointwise(device.scaling(by: mean), [total])[0]
    let noted = device.note(loss, from: [self]) { g in
      let factor = try device.pointwise(device.scaling(by: mean), [device.dense(g)])[0]
      let dx = try device.empty([rows, v], logits.type)
      try device.kernel(CrossEntropyGradientKey(kind: kind)) { try kind.gradient() }
        .run([logits, wanted, results[1], factor, dx])
      return [.whole(dx.reshaped(shape))]
    }
    return CrossEntropyResult(loss: noted, losses: results[0], correct: results[2], count: count)
  }
}

extension Device {
  func scaling(by factor: Float) -> PointwiseFunction {
    PointwiseFunction(inputs: 1) { [$0[0] * factor] }
  }
}

private struct CrossEntropyGradientKey: Hashable { let kind: CrossEntropy }
