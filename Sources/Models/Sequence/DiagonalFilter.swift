internal import Kernels
internal import Tensors

/// The filters of diagonal state spaces with complex poles: K[l] = 2 Re Σ_n C_n B̄_n Ā_n^l.
///
/// Powers are computed for blocks of 64 lags and for lags within a block; their products are a product of matrices, so cost is
/// O(H · N · (L / 64 + 64)) exponentials and O(H · N · L) multiply-adds. Angles are float32 numbers without whole turns: the error of K[l]
/// grows as l · 2⁻²⁴ · |Ā|^l. Lengths are below 2²⁷: beyond, angles of blocks have no sine.
///
/// Gu et al., “On the parameterization and initialization of diagonal state space models”, 2022, arXiv:2206.11893.
struct DiagonalFilter {
  /// How a state space in continuous time becomes one in steps.
  enum Discretisation: String, Sendable, Hashable, CaseIterable {
    /// Ā = (1 + ΔA/2) / (1 − ΔA/2), B̄ = ΔB / (1 − ΔA/2).
    case bilinear
    /// Ā = exp(ΔA), B̄ = B (Ā − 1) / A.
    case zeroOrderHold
  }

  /// Imaginary parts of the poles at the beginning.
  enum Measure: String, Sendable, Hashable, CaseIterable {
    /// π n.
    case linear
    /// (N / π) (N / (1 + 2n) − 1).
    case inverse

    func frequency(_ n: Int, states: Int) -> Float {
      let size = Double(states)
      switch self {
      case .linear: return Float(Double.pi * Double(n))
      case .inverse: return Float(size / Double.pi * (size / Double(1 + 2 * n) - 1))
      }
    }
  }

  /// What is known of each mode before time is discretised.
  struct Modes {
    /// log Δ, `[H]`.
    var logStep: Variable
    /// log of minus the real part of A, `[H, N/2]` or `[1, N/2]` for all channels.
    var logDecay: Variable
    /// Imaginary part of A, likewise.
    var frequency: Variable
    /// C · B, or C and B: real and imaginary parts, `[…, N/2, 2]`.
    var residues: [Variable]
  }

  let discretisation: Discretisation
  /// Lags of a block.
  static let block = 64
  /// Poles are at least so far left of the imaginary axis.
  static let leastDecay: Float = 1e-4

  /// `[H, length]`.
  func callAsFunction(_ modes: Modes, length: Int) throws -> Variable {
    let steps = try discretised(modes)
    let block = min(Self.block, length)
    let blocks = (length + block - 1) / block
    let within = try Self.powers(steps, Array(0..<block))
    var first = [steps[0], steps[1]]
    if blocks > 1 {
      let numbers = try modes.logStep.device.constant((0..<blocks).map { Float($0) }, [blocks, 1, 1])
      let lag = Float(block)
      first = try Variable.pointwise(steps + [numbers]) { x in
        let size = (x[2] * lag * x[4]).exp
        let angle = Self.withoutTurns(x[3] * lag) * x[4]
        let (real, imaginary) = (size * angle.cos, size * angle.sin)
        return [x[0] * real - x[1] * imaginary, x[0] * imaginary + x[1] * real]
      }
    }
    // From `[lags, H, N/2]`, where modes lie beside each other, to a product for each channel.
    let (a, b) = (
      try first.map { try $0.permuted([1, 0, 2]) }, try within.map { try $0.permuted([1, 0, 2]) }
    )
    let real = try a[0].product(b[0], transposesOther: true)
    let all = try real - a[1].product(b[1], transposesOther: true)
    return try all.reshaped([all.shape[0], blocks * block]).sliced(axis: 1, 0..<length)
  }

  /// Poles to the power of each lag, real and imaginary, `[lags, H, N/2]`.
  ///
  /// - Parameter known: as ``discretised(_:)`` gives it.
  static func powers(_ known: [Variable], _ lags: [Int]) throws -> [Variable] {
    let lag = try known[2].device.constant(lags.map { Float($0) }, [lags.count, 1, 1])
    return try Variable.pointwise([known[2], known[3], lag]) { x in
      let (size, angle) = ((x[0] * x[2]).exp, x[1] * x[2])
      return [size * angle.cos, size * angle.sin]
    }
  }

  /// `[1, H, N/2]` each: real and imaginary part of 2 C B̄, log |Ā| and the angle of Ā.
  func discretised(_ modes: Modes) throws -> [Variable] {
    let residues = try modes.residues.flatMap { residue in
      let parts = try residue.reshaped(Array(residue.shape.suffix(3))).parts
      let shape = [1] + parts.real.shape.dropLast()
      return [try parts.real.reshaped(shape), try parts.imaginary.reshaped(shape)]
    }
    let logStep = try modes.logStep.reshaped([1, modes.logStep.shape[0], 1])
    return try Variable.pointwise([logStep, modes.logDecay, modes.frequency] + residues) { x in
      let step = x[0].exp
      let decay = x[1].exp.max(x[1].constant(Self.leastDecay))
      var c = (real: x[3], imaginary: x[4])
      for place in stride(from: 5, to: x.count, by: 2) { c = product(c, (x[place], x[place + 1])) }
      switch discretisation {
      case .bilinear:
        let (real, imaginary) = (decay * step * -0.5, x[2] * step * 0.5)
        let (up, down) = ((1 + real, imaginary), (1 - real, -imaginary))
        let square = down.0 * down.0 + down.1 * down.1
        let factor = 2 * step / square
        let b = product(c, (down.0 * factor, -down.1 * factor))
        let size = 0.5 * ((up.0 * up.0 + up.1 * up.1) / square).log
        return [b.0, b.1, size, up.1.angle(abscissa: up.0) - down.1.angle(abscissa: down.0)]
      case .zeroOrderHold:
        let (real, imaginary) = (-(decay * step), x[2] * step)
        let size = real.exp
        let numerator = (size * imaginary.cos - 1, size * imaginary.sin)
        // (Ā − 1) / A = (Ā − 1) · A* / |A|².
        let square = decay * decay + x[2] * x[2]
        let quotient = product(numerator, (-decay / square, -x[2] / square))
        let b = product(c, quotient)
        return [2 * b.0, 2 * b.1, real, Self.withoutTurns(imaginary)]
      }
    }
  }

  /// An angle less its whole turns: multiples of large ones are inexact, and sines of very large ones are none.
  private static func withoutTurns(_ angle: Term) -> Term { angle.sin.angle(abscissa: angle.cos) }

  private func product(_ a: (Term, Term), _ b: (Term, Term)) -> (Term, Term) {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
  }
}

extension Variable {
  /// Real and imaginary parts of `[…, 2]`, each `[…, 1]`.
  var parts: (real: Variable, imaginary: Variable) {
    get throws {
      let last = shape.count - 1
      return (try sliced(axis: last, 0..<1), try sliced(axis: last, 1..<2))
    }
  }
}
