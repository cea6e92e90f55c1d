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
  /// statistics. Ioffe and Szegedy, “Batch normalization”, 2015, arXiv:1502.03167. Cost: two reads of x and one
  /// of its size written; backward two of x and of the gradient, and one of their size written.
  public func batchNormalised(
    _ statistics: BatchStatistics, weight: Variable, bias: Variable, epsilon: Float = 1e-5
  ) throws -> Variable {
    guard device.isTraining else {
      // What is the same in all rows first, so that no number is divided.
      let factor = try statistics.variance.map(weight) { $1 / ($0 + epsilon).squareRoot }
      return try Self.pointwise([self, statistics.mean, factor, bias]) { terms in
        [(terms[0] - terms[1]) * terms[2] + terms[3]]
      }[0]
    }
    let (device, shape) = (self.device, self.shape)
    let width = shape[shape.count - 1]
    let rows = value.count / max(1, width)
    let x = try device.dense(value).reshaped([rows, width])
    let found = try device.moments(of: x, statistics, weight: weight.value, epsilon)
    let normalised = PointwiseFunction(inputs: 4) { [($0[0] - $0[1]) * $0[2] + $0[3]] }
    let result = try device.pointwise(
      normalised, [x, found.mean, found.factor, bias.value], types: [x.type])[0]
    let inputs = [self, weight, bias]
    return device.noteAdding([result.reshaped(shape)], from: inputs) { gradients, inputGradients in
      guard let gradient = gradients[0] else { return [] }
      let g = try device.dense(gradient).reshaped([rows, width])
      let terms = PointwiseFunction(inputs: 4) { [$0[0], $0[0] * ($0[1] - $0[2]) * $0[3]] }
      let sums = try device.columnSums(terms, [g, x, found.mean, found.inverse])
      // What is the same in all rows, so that no number is divided.
      let share = 1 / Float(max(1, rows))
      let constants = PointwiseFunction(inputs: 4) { terms in
        let (factor, inverse) = (terms[0], terms[1])
        return [factor * terms[2] * -share, factor * inverse * terms[3] * -share]
      }
      let same = try device.pointwise(constants, [found.factor, found.inverse, sums[0], sums[1]])
      // What goes past the norm has been gone through before.
      let before = inputGradients.known(0).flatMap {
        $0.isDense && $0.type == x.type ? $0.reshaped([rows, width]) : nil
      }
      let change = PointwiseFunction(inputs: before == nil ? 6 : 7) { terms in
        let own = terms[0] * terms[2] + (terms[1] - terms[3]) * terms[5] + terms[4]
        return [before == nil ? own : own + terms[6]]
      }
      let dx = try device.pointwise(
        change, [g, x, found.factor, found.mean, same[0], same[1]] + (before.map { [$0] } ?? []),
        types: [x.type])[0]
        .reshaped(shape)
      return [
        before == nil ? .whole(dx) : .total(dx), .whole(sums[1].reshaped([width])),
        .whole(sums[0].reshaped([width])),
      ]
    }[0]
  }
}

extension Device {
  /// What a batch normalisation needs of all rows, each `[1, D]`.
  fileprivate struct Moments {
    let mean: Tensor
    /// 1 / √(variance + ε).
    let inverse: Tensor
    /// That times the weight.
    let factor: Tensor
  }

  /// Moments of rows `[R, D]`, towards which the statistics move.
  ///
  /// One pass: sums of what is left of x and of its square when the mean of the first rows is taken off. That mean is at most
  /// √(R / 64) standard deviations from the mean of all (Cauchy and Schwarz), so that the difference of both sums keeps all but a factor
  /// of 1 + R / 64 of its precision, and hardly loses any where the first rows are like the others.
  fileprivate func moments(
    of x: Tensor, _ statistics: BatchStatistics, weight: Tensor, _ epsilon: Float
  ) throws -> Moments {
    let (rows, width) = (x.shape[0], x.shape[1])
    let first = min(64, rows)
    let (share, shareOfFirst) = (1 / Float(max(1, rows)), 1 / Float(max(1, first)))
    let shift = try summed(x.sliced(axis: 0, 0..<first), axis: 0)
    let powers = PointwiseFunction(inputs: 2) { terms in
      let left = terms[0] - terms[1] * shareOfFirst
      return [left, left * left]
    }
    let sums = try columnSums(powers, [x, shift])
    let unbiased = Float(rows) / Float(max(1, rows - 1))
    let momentum = statistics.momentum
    let finish = PointwiseFunction(inputs: 6) { terms in
      let left = terms[1] * share
      let mean = terms[0] * shareOfFirst + left
      let variance = (terms[2] * share - left * left).max(left.constant(0))
      let inverse = variance.constant(1) / (variance + epsilon).squareRoot
      let (runningMean, runningVariance) = (terms[4], terms[5])
      return [
        mean, inverse, inverse * terms[3], runningMean + (mean - runningMean) * momentum,
        runningVariance + (variance * unbiased - runningVariance) * momentum,
      ]
    }
    let running = [statistics.mean.value, statistics.variance.value].map { $0.reshaped([1, width]) }
    let found = try pointwise(
      finish, [shift, sums[0], sums[1], weight.reshaped([1, width])] + running,
      into: [nil, nil, nil] + running)
    parameterWasWritten()
    return Moments(mean: found[0], inverse: found[1], factor: found[2])
  }
}
