internal import Glibc

/// A matrix as Σ σ_i u_i v_iᵀ with orthonormal u and v, the largest σ first; float64.
///
/// One-sided Jacobi rotations: pairs of columns are turned until all are orthogonal, O(m · n²) a sweep, some ten sweeps. Accurate
/// for small σ too. Demmel and Veselić, “Jacobi's method is more accurate than QR”, 1992.
struct SingularValues: Sendable {
  /// σ, falling; as many as the shorter side has numbers.
  private(set) var values: [Double] = []
  /// u_i, each as long as a column.
  private(set) var left: [[Double]] = []
  /// v_i, each as long as a row.
  private(set) var right: [[Double]] = []

  /// - Parameters:
  ///   - matrix: row by row.
  ///   - rows: at least 1.
  ///   - columns: at least 1.
  init(_ matrix: [Double], rows: Int, columns: Int) {
    precondition(
      matrix.count == rows * columns && rows >= 1 && columns >= 1,
      "\(matrix.count) numbers, \(rows)×\(columns)")
    let isWide = columns > rows
    // Columns of the matrix or, where it is wide, of its transpose.
    var turned = (0..<min(rows, columns)).map { i in
      isWide
        ? (0..<columns).map { matrix[i * columns + $0] } : (0..<rows).map { matrix[$0 * columns + i] }
    }
    var rotations = turned.indices.map { i in turned.indices.map { $0 == i ? 1.0 : 0.0 } }
    var sweeps = 0
    while sweeps < 60, Self.sweep(&turned, &rotations) > 0 { sweeps += 1 }
    let sizes = turned.map { Self.dot($0, $0).squareRoot() }
    for i in turned.indices.sorted(by: { sizes[$0] > sizes[$1] }) {
      values.append(sizes[i])
      let unit = sizes[i] > 0 ? turned[i].map { $0 / sizes[i] } : turned[i]
      left.append(isWide ? rotations[i] : unit)
      right.append(isWide ? unit : rotations[i])
    }
  }

  /// Turns every pair of columns once; how many were not orthogonal.
  private static func sweep(_ columns: inout [[Double]], _ rotations: inout [[Double]]) -> Int {
    var turns = 0
    for i in columns.indices {
      for j in columns.indices.dropFirst(i + 1) {
        let (a, b) = (dot(columns[i], columns[i]), dot(columns[j], columns[j]))
        let c = dot(columns[i], columns[j])
        guard abs(c) > 0x1p-51 * (a * b).squareRoot() else { continue }
        turns += 1
        let zeta = (b - a) / (2 * c)
        let tangent = (zeta < 0 ? -1 : 1) / (abs(zeta) + (1 + zeta * zeta).squareRoot())
        let cosine = 1 / (1 + tangent * tangent).squareRoot()
        turn(&columns, i, j, cosine, cosine * tangent)
        turn(&rotations, i, j, cosine, cosine * tangent)
      }
    }
    return turns
  }

  private static func turn(_ v: inout [[Double]], _ i: Int, _ j: Int, _ cosine: Double, _ sine: Double) {
    for place in v[i].indices {
      let (x, y) = (v[i][place], v[j][place])
      v[i][place] = cosine * x - sine * y
      v[j][place] = sine * x + cosine * y
    }
  }

  private static func dot(_ a: [Double], _ b: [Double]) -> Double {
    var sum = 0.0
    for place in a.indices { sum += a[place] * b[place] }
    return sum
  }
}
