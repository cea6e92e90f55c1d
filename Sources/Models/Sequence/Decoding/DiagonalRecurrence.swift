internal import Kernels
internal import Tensors

/// A diagonal state space as a recurrence: s ← Ā · s + x, y = Re Σ_n c_n s_n, at constant cost a position.
///
/// Gives what the convolution with ``DiagonalFilter`` gives, from any position on.
final class DiagonalRecurrence {
  /// Of c: real and imaginary part; of Ā: logarithm of the size, and angle; `[1, H, N/2]` each.
  private let modes: [Variable]
  /// Real and imaginary part, `[B, H, N/2]`.
  private var state: (real: Variable, imaginary: Variable)?

  /// Positions that are taken up at a time.
  private static let block = 64

  init(_ filter: DiagonalFilter, _ modes: DiagonalFilter.Modes) throws {
    self.modes = try filter.discretised(modes)
  }

  /// Takes up sequences from their beginning, `[B, H, L]`.
  func begin(_ x: Variable) throws {
    let (device, length) = (x.device, x.shape[2])
    state = nil
    // The short block first: none is before it.
    var start = 0
    while start < length {
      let count = start == 0 && length % Self.block != 0 ? length % Self.block : Self.block
      let part = try x.sliced(axis: 2, start..<start + count).converted(to: device.scalar).permuted([1, 0, 2])
      let sums = try powers(count).map { try part.product($0).permuted([1, 0, 2]) }
      guard let before = state else {
        state = (sums[0], sums[1])
        start += count
        continue
      }
      let lag = Float(count)
      let next = try Variable.pointwise(
        [modes[2], modes[3], before.real, before.imaginary, sums[0], sums[1]]
      ) { t in
        let (size, angle) = ((t[0] * lag).exp, t[1] * lag)
        let (real, imaginary) = (size * angle.cos, size * angle.sin)
        return [
          real * t[2] - imaginary * t[3] + t[4], real * t[3] + imaginary * t[2] + t[5],
        ]
      }
      state = (next[0], next[1])
      start += count
    }
  }

  /// Ā to the powers count − 1 … 0, real and imaginary, `[H, count, N/2]`.
  private func powers(_ count: Int) throws -> [Variable] {
    try DiagonalFilter.powers(modes, (0..<count).map { count - 1 - $0 }).map { try $0.permuted([1, 0, 2]) }
  }

  /// The next position, `[B, H]` → `[B, H]`.
  func step(_ x: Variable) throws -> Variable {
    guard let before = state else { preconditionFailure("a step before the beginning") }
    let input = try x.reshaped(x.shape + [1])
    let next = try Variable.pointwise(
      [modes[0], modes[1], modes[2], modes[3], before.real, before.imaginary, input]
    ) { t in
      let size = t[2].exp
      let (a, b) = (size * t[3].cos, size * t[3].sin)
      let (real, imaginary) = (a * t[4] - b * t[5] + t[6], a * t[5] + b * t[4])
      return [real, imaginary, t[0] * real - t[1] * imaginary]
    }
    state = (next[0], next[1])
    return try next[2].sum(axes: [2]).reshaped(x.shape)
  }
}
