internal import Tensors

/// The last positions of sequences, and their sum with a short filter.
final class RecentPositions {
  /// Taps, the oldest position's first, `[1, H, K]`.
  private let taps: Variable
  /// The last K − 1 positions, the oldest first, `[B, H, K − 1]`; zeros before the beginning.
  private var recent: Variable

  /// - Parameters:
  ///   - taps: `[H, K]`, the oldest position's first.
  ///   - x: sequences so far, `[B, H, L]`.
  init(taps: Variable, after x: Variable) throws {
    let (h, k, length) = (taps.shape[0], taps.shape[1], x.shape[2])
    self.taps = try taps.reshaped([1, h, k])
    let known = min(length, k - 1)
    let zeros = try x.device.constant(
      [Float](repeating: 0, count: x.shape[0] * h * (k - 1 - known)), [x.shape[0], h, k - 1 - known])
    let last = try x.sliced(axis: 2, length - known..<length).converted(to: x.device.scalar)
    recent = known == k - 1 ? last : known == 0 ? zeros : try .joined([zeros, last], axis: 2)
  }

  /// Σ taps · positions with the next position `[B, H]`, which becomes the last.
  func step(_ x: Variable) throws -> Variable {
    let newest = try x.reshaped(x.shape + [1])
    let count = taps.shape[2]
    let window = count == 1 ? newest : try .joined([recent, newest], axis: 2)
    if count > 1 { recent = try window.sliced(axis: 2, 1..<count) }
    return try (window * taps).sum(axes: [2]).reshaped(x.shape)
  }
}
