internal import Glibc
public import Memory

/// Diagonal state spaces, one for each channel: x[i + 1] = λ x[i] + b u[i], y[i] = Re Σ c x[i + 1], with m complex states.
///
/// Each is a causal convolution with f[i] = Re Σ c λ^i b.
///
/// Gu et al., “On the parameterization and initialization of diagonal state space models”, 2022, arXiv:2206.11893.
public struct DiagonalStateSpace: Sendable {
  /// Channels, H.
  public let channels: Int
  /// States of a channel, m.
  public let states: Int
  /// λ of each channel and state, row-major `[H, m]`: real and imaginary parts.
  public let poles: [(real: Double, imaginary: Double)]
  /// c · b of each, which is all that outputs depend on.
  public let residues: [(real: Double, imaginary: Double)]

  /// - Parameters:
  ///   - channels: H.
  ///   - poles: λ, `[H, m]`; none outside the unit circle.
  ///   - residues: c · b, `[H, m]`.
  /// - Throws: ``StateSpaceError``.
  public init(
    channels: Int, poles: [(real: Double, imaginary: Double)], residues: [(real: Double, imaginary: Double)]
  ) throws {
    guard channels >= 1, !poles.isEmpty, poles.count % channels == 0, poles.count == residues.count else {
      throw StateSpaceError.counts(poles: poles.count, residues: residues.count, channels: channels)
    }
    for (index, pole) in poles.enumerated() {
      let size = (pole.real * pole.real + pole.imaginary * pole.imaginary).squareRoot()
      guard size <= 1 else { throw StateSpaceError.unstable(index: index, size: size) }
    }
    self.channels = channels
    self.poles = poles
    self.residues = residues
    states = poles.count / channels
  }

  /// λ^n, by polar form, so that no error builds up.
  func power(_ index: Int, _ exponent: Int) -> (real: Double, imaginary: Double) {
    if exponent == 0 { return (1, 0) }
    let pole = poles[index]
    let size = hypot(pole.real, pole.imaginary)
    guard size > 0 else { return (0, 0) }
    let radius = pow(size, Double(exponent))
    let angle = atan2(pole.imaginary, pole.real) * Double(exponent)
    return (radius * cos(angle), radius * sin(angle))
  }

  /// The filters `[H, length]`, float32: f[i] = Re Σ c b λ^i.
  public func filters(length: Int) throws -> Tensor {
    let result = try Tensor(zeros: .float32, [channels, length])
    result.withMutableElements(as: Float.self) { f in
      for channel in 0..<channels {
        for i in 0..<length {
          var sum = 0.0
          for index in channel * states..<(channel + 1) * states {
            let p = power(index, i)
            sum += residues[index].real * p.real - residues[index].imaginary * p.imaginary
          }
          f[channel * length + i] = Float(sum)
        }
      }
    }
    return result
  }
}

/// A state space that cannot be.
public enum StateSpaceError: Error, Equatable {
  /// Lists that do not fit each other.
  case counts(poles: Int, residues: Int, channels: Int)
  /// A pole outside the unit circle.
  case unstable(index: Int, size: Double)
}

extension StateSpaceError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .counts(let poles, let residues, let channels):
      "\(poles) poles and \(residues) residues for \(channels) channels: both must be the same multiple of the channels."
    case .unstable(let index, let size):
      "pole \(index) has size \(size): states grow without bound. Keep it at 1 or below."
    }
  }
}
