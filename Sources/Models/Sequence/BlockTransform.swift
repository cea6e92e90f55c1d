internal import Glibc
internal import Kernels
internal import Tensors

/// Real and imaginary parts of complex numbers.
struct ComplexVariable {
  /// Real parts.
  var real: Variable
  /// Imaginary parts, of the same shape.
  var imaginary: Variable

  /// Products, place by place.
  static func * (a: ComplexVariable, b: ComplexVariable) throws -> ComplexVariable {
    let parts = try Variable.pointwise([a.real, a.imaginary, b.real, b.imaginary]) { x in
      [x[0] * x[2] - x[1] * x[3], x[0] * x[3] + x[1] * x[2]]
    }
    return ComplexVariable(real: parts[0], imaginary: parts[1])
  }

  /// Matrix products of batches, `[H, M, K]` times `[H, K, N]`.
  func product(_ other: ComplexVariable) throws -> ComplexVariable {
    let (a, b) = (real, imaginary)
    return ComplexVariable(
      real: try a.product(other.real) - b.product(other.imaginary),
      imaginary: try a.product(other.imaginary) + b.product(other.real))
  }

  /// The same operation on both parts.
  func mapped(_ body: (Variable) throws -> Variable) rethrows -> ComplexVariable {
    ComplexVariable(real: try body(real), imaginary: try body(imaginary))
  }
}

/// A Fourier transform in blocks whose small matrices are parameters, and begin as exact ones.
///
/// A transform of N = 16 n is transforms of 16, turns by roots of unity, and transforms of n, which recurse while n is above 16:
/// a product of Monarch matrices. Parameters `mat_2`, `mat_4`, `mat_8`, `mat_16`, `[channels, n, n, 2]`, each for all blocks of
/// its size.
///
/// Fu et al., “Simple hardware-efficient long convolutions for sequence modeling”, 2023, arXiv:2302.06646.
struct BlockTransform {
  /// Sizes of blocks.
  private static let sizes = [2, 4, 8, 16]
  private static let largest = 16
  private let matrices: [Int: ComplexVariable]
  private let device: Device

  /// - Parameter channels: that have matrices of their own; 1 for the same ones for all.
  init(_ scope: ParameterScope, channels: Int) throws {
    var matrices: [Int: ComplexVariable] = [:]
    for size in Self.sizes {
      let pairs = try scope(
        "mat_\(size)", [channels, size, size, 2],
        .values { (place: Int) -> Float in
          let (row, column) = (place / 2 / size % size, place / 2 % size)
          return Self.root(row * column, of: size)[place % 2]
        }, .stateSpace)
      let parts = try pairs.parts
      matrices[size] = try ComplexVariable(real: parts.real, imaginary: parts.imaginary)
        .mapped { try $0.reshaped([channels, size, size]) }
    }
    self.matrices = matrices
    device = scope.device
  }

  /// The exact transform.
  init(on device: Device) throws {
    self.device = device
    matrices = try Dictionary(
      uniqueKeysWithValues: Self.sizes.map { size in
        (size, try Self.roots([1, size, size], on: device) { ($0 / size * ($0 % size), size) })
      })
  }

  /// exp(−2π i · power / n).
  private static func root(_ power: Int, of n: Int) -> [Float] {
    let angle = -2 * Double.pi * Double(power % n) / Double(n)
    return [Float(cos(angle)), Float(sin(angle))]
  }

  /// Roots of unity by place.
  private static func roots(
    _ shape: [Int], on device: Device, _ power: (Int) -> (power: Int, of: Int)
  ) throws -> ComplexVariable {
    let numbers = (0..<shape.reduce(1, *)).map { place in
      let (power, n) = power(place)
      return root(power, of: n)
    }
    return ComplexVariable(
      real: try device.constant(numbers.map { $0[0] }, shape),
      imaginary: try device.constant(numbers.map { $0[1] }, shape))
  }

  /// `[channels, R, N]` → `[channels, R, N]`, N a power of two of at least 2.
  func callAsFunction(_ x: ComplexVariable) throws -> ComplexVariable {
    let (h, rows, count) = (x.real.shape[0], x.real.shape[1], x.real.shape[2])
    precondition(count >= 2 && count & (count - 1) == 0, "a block transform of \(count)")
    guard count > Self.largest else {
      return try times(count, x.mapped { try $0.permuted([0, 2, 1]) }).mapped { try $0.permuted([0, 2, 1]) }
    }
    let (m, n) = (Self.largest, count / Self.largest)
    let columns = try x.mapped { try $0.reshaped([h, rows, m, n]).permuted([0, 2, 1, 3]) }
    let outer = try times(m, columns.mapped { try $0.reshaped([h, m, rows * n]) })
    let turns = try Self.roots([1, m, 1, n], on: device) { ($0 / n * ($0 % n), count) }
    let turned = try outer.mapped { try $0.reshaped([h, m, rows, n]) } * turns
    if n <= Self.largest {
      let inner = try times(
        n, turned.mapped { try $0.permuted([0, 3, 2, 1]).reshaped([h, n, rows * m]) })
      return try inner.mapped {
        try $0.reshaped([h, n, rows, m]).permuted([0, 2, 1, 3]).reshaped([h, rows, count])
      }
    }
    let inner = try self(
      turned.mapped { try $0.permuted([0, 2, 1, 3]).reshaped([h, rows * m, n]) })
    return try inner.mapped {
      try $0.reshaped([h, rows, m, n]).permuted([0, 1, 3, 2]).reshaped([h, rows, count])
    }
  }

  /// The way back, where the matrices are exact: conj(F(conj x)) / N.
  func inverse(_ x: ComplexVariable) throws -> ComplexVariable {
    let scale = 1 / Float(x.real.shape[2])
    let found = try self(ComplexVariable(real: x.real, imaginary: x.imaginary * -1))
    return ComplexVariable(real: try found.real * scale, imaginary: try found.imaginary * -scale)
  }

  private func times(_ size: Int, _ x: ComplexVariable) throws -> ComplexVariable {
    guard let matrix = matrices[size] else { preconditionFailure("no block has \(size) rows") }
    return try matrix.product(x)
  }
}
