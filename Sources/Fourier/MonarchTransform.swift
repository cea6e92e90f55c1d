/// Complex numbers as two lists, float64.
public struct ComplexVector: Sendable, Equatable {
  /// Real parts.
  public var real: [Double]
  /// Imaginary parts, as many.
  public var imaginary: [Double]

  /// - Precondition: as many imaginary as real parts.
  public init(real: [Double], imaginary: [Double]) {
    precondition(real.count == imaginary.count, "two parts of a number")
    self.real = real
    self.imaginary = imaginary
  }

  /// Zeros.
  public init(zeros count: Int) {
    self.init(real: .init(repeating: 0, count: count), imaginary: .init(repeating: 0, count: count))
  }

  /// How many numbers.
  public var count: Int { real.count }

  /// Products one by one, of the conjugate of `other` where that is asked for.
  public func times(_ other: ComplexVector, conjugated: Bool = false) -> ComplexVector {
    let sign = conjugated ? -1.0 : 1.0
    var product = self
    for i in 0..<count {
      product.real[i] = real[i] * other.real[i] - sign * imaginary[i] * other.imaginary[i]
      product.imaginary[i] = imaginary[i] * other.real[i] + sign * real[i] * other.imaginary[i]
    }
    return product
  }
}

/// The Monarch form of the discrete Fourier transform in float64, the oracle of every fast form: a matrix of N₁ numbers for
/// the first digit, factors, then the same for the digits that are left.
///
/// X[k] = Σ x[n] exp(−2πi (k − shift) n / N); `shift` 1/4 is the right-angle transform, folded into the first matrix and the
/// first factors. Each stage may have a matrix of its own in place of the Fourier matrix: learned butterflies. Outputs lie with
/// digits reversed: position (k₁, k₂, …), first digit slowest, holds frequency k₁ + N₁k₂ + N₁N₂k₃ + ….
///
/// - Complexity: O(N (N₁ + … + N_p)).
///
/// Dao et al., “Monarch”, 2022, arXiv:2204.00595; Fu et al., 2023, arXiv:2311.05908.
public struct MonarchTransform: Sendable {
  /// The factors N₁ … N_p.
  public let factors: [Int]
  /// Quarters of a step by which frequencies are shifted: 0, or 1 for the right-angle transform.
  public let quarters: Int
  /// For each factor the matrix of its stage, row-major N_i × N_i.
  public let matrices: [ComplexVector]

  /// - Parameters:
  ///   - factors: any positive integers.
  ///   - quarters: 0, or 1 for the right-angle transform.
  ///   - matrices: what replaces the Fourier matrices; as many as factors, each with N_i² numbers.
  public init(_ factors: [Int], quarters: Int = 0, matrices: [ComplexVector]? = nil) {
    self.factors = factors
    self.quarters = quarters
    self.matrices =
      matrices
      ?? factors.enumerated().map { Self.fourierMatrix($1, quarters: $0 == 0 ? quarters : 0) }
    precondition(
      self.matrices.count == factors.count && zip(self.matrices, factors).allSatisfy { $0.count == $1 * $1 },
      "a square matrix for each factor")
  }

  /// Points.
  public var count: Int { factors.reduce(1, *) }

  /// exp(−2πi (k − quarters/4) n / size) at [k, n].
  public static func fourierMatrix(_ size: Int, quarters: Int = 0) -> ComplexVector {
    var matrix = ComplexVector(zeros: size * size)
    for k in 0..<size {
      for n in 0..<size {
        let root = UnitRoot(-(4 * k - quarters) * n, of: 4 * size)
        matrix.real[k * size + n] = root.cosine
        matrix.imaginary[k * size + n] = root.sine
      }
    }
    return matrix
  }

  /// The transform of `count` numbers, digits reversed.
  public func forward(_ x: ComplexVector) -> ComplexVector {
    var x = x
    var block = count
    for (stage, factor) in factors.enumerated() {
      let part = block / factor
      for start in stride(from: 0, to: count, by: block) {
        for m in 0..<part {
          apply(matrices[stage], factor, to: &x, at: start + m, step: part, adjoint: false)
          for k in 0..<factor where stage + 1 < factors.count {
            twist(&x, at: start + k * part + m, by: root(stage, k: k, m: m, block: block), conjugated: false)
          }
        }
      }
      block = part
    }
    return x
  }

  /// The adjoint, which with Fourier matrices undoes ``forward(_:)`` up to a factor of `count`.
  public func adjoint(_ x: ComplexVector) -> ComplexVector {
    var x = x
    var part = 1
    for (stage, factor) in factors.enumerated().reversed() {
      let block = part * factor
      for start in stride(from: 0, to: count, by: block) {
        for m in 0..<part {
          for k in 0..<factor where stage + 1 < factors.count {
            twist(&x, at: start + k * part + m, by: root(stage, k: k, m: m, block: block), conjugated: true)
          }
          apply(matrices[stage], factor, to: &x, at: start + m, step: part, adjoint: true)
        }
      }
      part = block
    }
    return x
  }

  /// The frequency at a position of the transform.
  public func frequency(at position: Int) -> Int {
    frequencyWithReversedDigits(of: position, radices: factors)
  }

  private func root(_ stage: Int, k: Int, m: Int, block: Int) -> UnitRoot {
    // Only the first stage is shifted: k − 1/4 there, k in what is left.
    UnitRoot(-(4 * k - (stage == 0 ? quarters : 0)) * m, of: 4 * block)
  }

  private func twist(_ x: inout ComplexVector, at i: Int, by root: UnitRoot, conjugated: Bool) {
    let (re, im) = (x.real[i], x.imaginary[i])
    let sine = conjugated ? -root.sine : root.sine
    x.real[i] = re * root.cosine - im * sine
    x.imaginary[i] = re * sine + im * root.cosine
  }

  private func apply(
    _ matrix: ComplexVector, _ size: Int, to x: inout ComplexVector, at start: Int, step: Int, adjoint: Bool
  ) {
    var sums: [(Double, Double)] = []
    for row in 0..<size {
      var (re, im) = (0.0, 0.0)
      for column in 0..<size {
        let entry = adjoint ? column * size + row : row * size + column
        let (a, b) = (matrix.real[entry], adjoint ? -matrix.imaginary[entry] : matrix.imaginary[entry])
        let (c, d) = (x.real[start + column * step], x.imaginary[start + column * step])
        re += a * c - b * d
        im += a * d + b * c
      }
      sums.append((re, im))
    }
    for (row, sum) in sums.enumerated() {
      x.real[start + row * step] = sum.0
      x.imaginary[start + row * step] = sum.1
    }
  }
}
