/// The upper half of a float32: 8 exponent bits, 7 mantissa bits.
///
/// Swift has no such type on x86; arithmetic is done in `Float`.
public struct BFloat16: Sendable, Hashable, BitwiseCopyable {
  /// Sign, exponent and mantissa, as stored in files.
  public var bitPattern: UInt16

  /// The number with exactly these bits.
  @inlinable public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

  /// Rounds to nearest, ties to even; NaN stays NaN.
  @inlinable public init(_ value: Float) {
    let bits = value.bitPattern
    if value.isNaN {
      bitPattern = UInt16(truncatingIfNeeded: bits >> 16) | 0x0040
    } else {
      bitPattern = UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
    }
  }
}

extension Float {
  /// Exact: every bfloat16 is a float32.
  @inlinable public init(_ value: BFloat16) { self.init(bitPattern: UInt32(value.bitPattern) << 16) }
}
