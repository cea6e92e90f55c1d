internal import Kernels
internal import Memory
internal import Tiles

/// What a batch normalisation has seen so far, each `[D]`: updated while training, used otherwise.
public struct BatchStatistics {
  /// Running mean.
  public let mean: Variable
  /// Running variance, without the bias of small batches.
  public let variance: Variable
  /// What a batch counts for.
  public let momentum: Float

  /// - Parameters:
  ///   - mean: dense, of its own memory.
  ///   - variance: likewise.
  public init(mean: Variable, variance: Variable, momentum: Float = 0.1) {
    (self.mean, self.variance, self.momentum) = (mean, variance, momentum)
  }
}

extension Variable {
  /// (x − mean) / √(variance + ε) times a weight `[D]`, plus a bias `[D]`, for `[…, D]`.
  ///
  /// Where the device trains, mean and variance are those of all rows, and the statistics move towards them; otherwise they are the
  /// statistics. Ioffe and Szegedy, “Batch normalization”, 2015, arXiv:1502.03167. Cost: three reads of x and one
  /// of its size written; backward two of x and of the gradient, and one of their size written.
  public func batchNormalised(
    _ statistics: BatchStatistics, weight: Variable, bias: Variable, epsilon: Float = 1e-5
  ) throws -> Variable {
    guard device.isTraining else {
      return try Self.pointwise([self, statistics.mean, statistics.variance, weight, bias]) { terms in
        [terms[0].normalised(mean: terms[1], variance: terms[2], epsilon) * terms[3] + terms[4]]
      }[0]
    }
    let (device, shape) = (self.device, self.shape)
    let width = shape[shape.count - 1]
    let rows = value.count / max(1, width)
    let share = 1 / Float(max(1, rows))
    let x = try device.dense(value).reshaped([rows, width])
    let scaled = PointwiseFunction(inputs: 1) { [$0[0] * share] }
    let mean = try device.pointwise(scaled, [device.summed(x, axis: 0)])[0]
    let squares = PointwiseFunction(inputs: 2) { [($0[0] - $0[1]) * ($0[0] - $0[1])] }
    let variance = try device.pointwise(scaled, device.columnSums(squares, [x, mean]))[0]
    try device.move(statistics, towards: mean, variance, rows: rows)
    let normalised = PointwiseFunction(inputs: 5) { terms in
      [terms[0].normalised(mean: terms[1], variance: terms[2], epsilon) * terms[3] + terms[4]]
    }
    let result = try device.pointwise(
      normalised, [x, mean, variance, weight.value, bias.value], types: [x.type])[0]
    return device.note(result.reshaped(shape), from: [self, weight, bias]) { gradient in
      let g = try device.dense(gradient).reshaped([rows, width])
      let terms = PointwiseFunction(inputs: 4) { terms in
        [terms[0], terms[0] * terms[1].normalised(mean: terms[2], variance: terms[3], epsilon)]
      }
      let sums = try device.columnSums(terms, [g, x, mean, variance])
      let (biasGradient, weightGradient) = (sums[0], sums[1])
      let change = PointwiseFunction(inputs: 7) { terms in
        let (g, x, variance) = (terms[0], terms[1], terms[3])
        let normalised = x.normalised(mean: terms[2], variance: variance, epsilon)
        let centred = g - terms[6] * share - normalised * terms[5] * share
        return [centred * terms[4] / (variance + epsilon).squareRoot]
      }
      let dx = try device.pointwise(
        change, [g, x, mean, variance, weight.value, weightGradient, biasGradient], types: [x.type])[0]
      return [
        .whole(dx.reshaped(shape)), .whole(weightGradient.reshaped([width])),
        .whole(biasGradient.reshaped([width])),
      ]
    }
  }
}

extension Device {
  fileprivate func move(
    _ statistics: BatchStatistics, towards mean: Tensor, _ variance: Tensor, rows: Int
  ) throws {
    let width = mean.count
    let unbiased = Float(rows) / Float(max(1, rows - 1))
    for (running, found, factor) in [(statistics.mean, mean, 1), (statistics.variance, variance, unbiased)] {
      let function = PointwiseFunction(inputs: 2) { terms in
        [terms[0] + (terms[1] * Float(factor) - terms[0]) * statistics.momentum]
      }
      let moved = try pointwise(function, [running.value, found.reshaped([width])])[0]
      try write(moved, into: running.value)
    }
    parameterWasWritten()
  }
}

extension Term {
  fileprivate func normalised(mean: Term, variance: Term, _ epsilon: Float) -> Term {
    (self - mean) / (variance + epsilon).squareRoot
  }
}
