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

  /// How many targets count.
  public static func count(of targets: [Int32]) -> Int { targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) } }
}

extension Variable {
  /// Cross entropy of logits `[…, V]` and as many targets; targets below 0 do not count.
  ///
  /// - Precondition: targets are below V, as data sets guarantee.
  public func crossEntropy(_ targets: [Int32]) throws -> CrossEntropyResult {
    try crossEntropy(Feed(targets))
  }

  /// The same with targets that may be replaced.
  public func crossEntropy(_ feed: Feed<Int32>) throws -> CrossEntropyResult {
    let (device, shape) = (self.device, self.shape)
    let targets = feed.numbers
    let v = shape[shape.count - 1]
    let rows = targets.count
    precondition(rows * v == value.count, "\(rows) targets for logits \(shape)")
    let wanted = try device.integers(of: feed, [[rows]]) { targets in
      precondition(targets.allSatisfy { $0 < v }, "a target is not below \(v)")
      return [targets]
    }[0]
    let share = try device.variable(of: feed, [1]) { [1 / Float(max(1, CrossEntropyResult.count(of: $0)))] }
      .value
    let logits = try device.dense(value).reshaped([rows, v])
    let kind = CrossEntropy(
      columns: min(1024, max(8, v.nextPowerOfTwo)), type: device.kernelType(logits))
    let results = try (0..<3).map { _ in try device.empty([rows]) }
    try device.kernel(kind) { try kind.kernel() }.run([logits, wanted] + results)
    let total = try device.summed(results[0], axis: 0)
    let loss = try device.pointwise(.product, [total, share])[0]
    let noted = device.note(loss, from: [self]) { g in
      let factor = try device.pointwise(.product, [device.dense(g), share])[0]
      let dx = try device.empty([rows, v], logits.type)
      try device.kernel(CrossEntropyGradientKey(kind: kind)) { try kind.gradient() }
        .run([logits, wanted, results[1], factor, dx])
      return [.whole(dx.reshaped(shape))]
    }
    return CrossEntropyResult(
      loss: noted, losses: results[0], correct: results[2], count: CrossEntropyResult.count(of: targets))
  }
}

private struct CrossEntropyGradientKey: Hashable { let kind: CrossEntropy }
