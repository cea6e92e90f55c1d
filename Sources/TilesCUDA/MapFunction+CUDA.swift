internal import Memory
internal import Tiles

extension MapFunction {
  /// The function as C, within about 2 units in the last place.
  func printed(_ v: [String]) -> String {
    switch self {
    case .add: "\(v[0]) + \(v[1])"
    case .subtract: "\(v[0]) - \(v[1])"
    case .multiply: "\(v[0]) * \(v[1])"
    case .divide: "\(v[0]) / \(v[1])"
    case .min: "smaller(\(v[0]), \(v[1]))"
    case .max: "larger(\(v[0]), \(v[1]))"
    case .fma: "fmaf(\(v[0]), \(v[1]), \(v[2]))"
    case .selectGreaterEqual: "\(v[0]) >= \(v[1]) ? \(v[2]) : \(v[3])"
    case .negate: "-\(v[0])"
    case .abs: "fabsf(\(v[0]))"
    case .sqrt: "sqrtf(\(v[0]))"
    case .rsqrt: "rsqrtf(\(v[0]))"
    case .reciprocal: "1.0f / \(v[0])"
    case .exp: "expf(\(v[0]))"
    case .exp2: "exp2_fast(\(v[0]))"
    case .log: "logf(\(v[0]))"
    case .tanh: "tanhf(\(v[0]))"
    case .erf: "erff(\(v[0]))"
    case .sigmoid: "reciprocal_fast(1.0f + expf(-\(v[0])))"
    case .sin: "sine(\(v[0]), 0)"
    case .cos: "sine(\(v[0]), 1)"
    case .atan2: "atan2f(\(v[0]), \(v[1]))"
    }
  }
}

extension MapStep.Reduction {
  /// Two partial results as one, as C.
  func combined(_ a: String, _ b: String) -> String { self == .sum ? "\(a) + \(b)" : "larger(\(a), \(b))" }

  /// What a row without columns gives.
  var identity: String { self == .sum ? "0.0f" : "-INFINITY_F" }

  /// Name of the function that combines lanes.
  var name: String { self == .sum ? "sum" : "max" }
}

extension Float {
  /// The number as a C expression with exactly these bits.
  var printed: String {
    if isNaN { return "__int_as_float(0x7FC00000)" }
    if isInfinite { return self < 0 ? "-INFINITY_F" : "INFINITY_F" }
    if self == rounded(), Swift.abs(self) < 0x1p24, self != 0 || sign == .plus { return "\(self)f" }
    return "__int_as_float(0x\(String(bitPattern, radix: 16)))"
  }
}

extension ElementType {
  /// Name of the type that reads it in ``Prelude/elements`` and ``Prelude/blocks``.
  var cName: String { self == .boolean ? "uint8" : rawValue }

  /// A value as a tile of this type would hold it.
  func rounded(_ value: String) -> String {
    switch self {
    case .bfloat16: "round_bf16(\(value))"
    case .float16: "round_f16(\(value))"
    case .int8: "round_int8(\(value))"
    default: value
    }
  }

  /// Whether a tile of this type holds what a tensor of type `source` holds without rounding.
  func holds(_ source: ElementType) -> Bool {
    self == source || self == .float32 || ![.bfloat16, .float16, .int8].contains(self)
  }
}
