internal import Glibc
internal import Memory

/// Angles of rotary embedding: inverse frequencies, and a factor on cosine and sine.
public struct RotaryTable: Sendable, Hashable {
  /// Radians a position, one for each pair.
  public let inverseFrequencies: [Double]
  /// Factor on both, as YaRN scaling needs; 1 otherwise.
  public let magnitude: Double

  /// Angles with a factor on both functions.
  public init(inverseFrequencies: [Double], magnitude: Double = 1) {
    self.inverseFrequencies = inverseFrequencies
    self.magnitude = magnitude
  }

  /// Cosines and sines `[M, R/2]` of the rows' positions, computed in float64.
  func fill(cos cosines: Tensor, sin sines: Tensor, positions: [Int32]) {
    let width = inverseFrequencies.count
    cosines.withMutableElements(as: Float.self) { c in
      sines.withMutableElements(as: Float.self) { s in
        for (row, position) in positions.enumerated() {
          for pair in 0..<width {
            let angle = Double(position) * inverseFrequencies[pair]
            c[row * width + pair] = Float(magnitude * Glibc.cos(angle))
            s[row * width + pair] = Float(magnitude * Glibc.sin(angle))
          }
        }
      }
    }
  }
}
