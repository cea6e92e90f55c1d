import Kernels
import Memory
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// Attention as it is defined, in float64 on flat arrays, with magnitudes from which bounds are derived.
struct AttentionDefinition: CustomTestStringConvertible, Sendable {
  var (m, n, size, kvHeads, group): (Int, Int, Int, Int, Int)
  var mask: Attention.Mask
  var type: ElementType
  var batch = 1

  var testDescription: String {
    "M \(m), N \(n), D \(size), \(kvHeads) x \(group) heads, \(mask), \(type.rawValue), batch \(batch)"
  }
  var scale: Double { Double(Float(1 / Double(size).squareRoot())) }
  /// Query rows in all.
  var rows: Int { batch * kvHeads * group * m }
  var work: Int { rows * n * size }

  /// Keys that a query row sees.
  func seen(row: Int) -> Range<Int> {
    let position = row % m + n - m
    switch mask {
    case .full: return 0..<n
    case .causal: return 0..<max(0, min(n, position + 1))
    case .window(let width):
      let end = max(0, min(n, position + 1))
      return min(end, max(0, position + 1 - width))..<end
    }
  }

  /// First number of a key of the head that a query row reads.
  func key(_ key: Int, row: Int) -> Int { (row / (group * m) * n + key) * size }

  func dot(_ a: [Double], _ i: Int, _ b: [Double], _ j: Int) -> Double {
    (0..<size).reduce(0) { $0 + a[i + $1] * b[j + $1] }
  }

  /// Weights of the keys that a row sees, and their log-sum-exp.
  func weights(_ q: [Double], _ k: [Double], row: Int) -> (weights: [Double], lse: Double) {
    let scores = seen(row: row).map { scale * dot(q, row * size, k, key($0, row: row)) }
    guard let top = scores.max() else { return ([], -.infinity) }
    let lse = top + log(scores.reduce(0) { $0 + exp($1 - top) })
    return (scores.map { exp($0 - lse) }, lse)
  }

  struct Forward {
    var y: [Double] = []
    var lse: [Double] = []
    /// Σ w|v|.
    var magnitude: [Double] = []
  }

  func forward(_ q: [Double], _ k: [Double], _ v: [Double]) -> Forward {
    var result = Forward()
    for row in 0..<rows {
      let (weights, lse) = weights(q, k, row: row)
      result.lse.append(lse)
      for d in 0..<size {
        let terms = zip(seen(row: row), weights).map { $1 * v[key($0, row: row) + d] }
        result.y.append(terms.reduce(0, +))
        result.magnitude.append(terms.reduce(0) { $0 + abs($1) })
      }
    }
    return result
  }

  /// Gradients of Σ dy·y, and bounds of their errors where weights, their gradients, y and the results are rounded to
  /// `type`.
  struct Gradients {
    var (q, k, v): ([Double], [Double], [Double])
    var (qBound, kBound, vBound): ([Double], [Double], [Double])
  }

  func gradients(_ q: [Double], _ k: [Double], _ v: [Double], _ dy: [Double]) -> Gradients {
    func zeros(_ a: [Double]) -> [Double] { [Double](repeating: 0, count: a.count) }
    var g = Gradients(
      q: zeros(q), k: zeros(k), v: zeros(v), qBound: zeros(q), kBound: zeros(k), vBound: zeros(v))
    let y = forward(q, k, v)
    // Float32 sums of some hundred terms add little to a rounding to 16 bits; 2⁻¹⁶ covers scores and exponentials.
    let (u, float, tiny) = (1.01 * roundoff(type), 0x1p-16, underflow(type))
    for row in 0..<rows {
      let at = row * size
      let weights = weights(q, k, row: row).weights
      let delta = dot(dy, at, y.y, at)
      let deltaMagnitude = (0..<size).reduce(0) { $0 + abs(dy[at + $1]) * y.magnitude[at + $1] }
      for (key, weight) in zip(seen(row: row), weights) {
        let from = self.key(key, row: row)
        let dWeight = dot(dy, at, v, from)
        let dWeightMagnitude = (0..<size).reduce(0) { $0 + abs(dy[at + $1] * v[from + $1]) }
        let dScore = weight * (dWeight - delta)
        // The kernel's delta comes from y as the forward kernel rounded it: the result, and the weights in it.
        let dScoreBound =
          weight * (2 * u * deltaMagnitude + float * (dWeightMagnitude + deltaMagnitude)) + u * abs(dScore)
          + tiny
        for d in 0..<size {
          g.v[from + d] += weight * dy[at + d]
          g.vBound[from + d] += ((u + float) * weight + tiny) * abs(dy[at + d])
          g.q[at + d] += scale * dScore * k[from + d]
          g.qBound[at + d] += scale * (dScoreBound + float * abs(dScore)) * abs(k[from + d])
          g.k[from + d] += scale * dScore * q[at + d]
          g.kBound[from + d] += scale * (dScoreBound + float * abs(dScore)) * abs(q[at + d])
        }
      }
    }
    // The results are rounded once more.
    func rounded(_ bounds: [Double], _ exact: [Double]) -> [Double] {
      zip(bounds, exact).map { $0 + u * (abs($1) + $0) + tiny }
    }
    (g.qBound, g.kBound, g.vBound) = (rounded(g.qBound, g.q), rounded(g.kBound, g.k), rounded(g.vBound, g.v))
    return g
  }

  /// Tensors of uniform numbers: queries, keys, values and the gradient of the result.
  func inputs(seed: UInt64) throws -> (q: Tensor, k: Tensor, v: Tensor, dy: Tensor) {
    let (queries, keys) = ([batch, kvHeads, group * m, size], [batch, kvHeads, n, size])
    return (
      try uniform(type, queries, seed: seed), try uniform(type, keys, seed: seed + 1),
      try uniform(type, keys, seed: seed + 2), try uniform(type, queries, seed: seed + 3)
    )
  }
}
