public import Memory
public import Tiles

/// Pointwise nonlinearities.
public enum Activation: String, Sendable, Hashable, CaseIterable {
  /// x · sigmoid(x).
  case silu
  /// x · Φ(x) with the Gauss error function.
  case gelu
  /// GELU in its tanh form (“gelu_new”, “gelu_pytorch_tanh”).
  case geluTanh
  /// max(x, 0).
  case relu

  /// The activation of every element of a tile.
  public func apply(to x: Tile, _ k: Recorder) -> Tile {
    switch self {
    case .silu: return k.map(.multiply, x, k.map(.sigmoid, x))
    case .relu: return k.map(.max, x, 0.0)
    case .gelu:
      let half = k.map(.multiply, x, 0.5)
      return k.map(.fma, half, k.map(.erf, k.map(.multiply, x, 0.5.squareRoot())), half)
    case .geluTanh:
      // 0.5 x (1 + tanh u) with u = √(2/π) (x + 0.044715 x³), which is x / (1 + exp(−2u)): a power of two and a reciprocal are far
      // fewer instructions than a tanh, and what a product's kernel does with its sums runs beside no product.
      let square = k.map(.multiply, x, x)
      let scale = -2 * 0.7978845608028654 * 1.4426950408889634
      let exponent = k.map(.multiply, x, k.map(.fma, square, Float(0.044715 * scale), Float(scale)))
      return k.map(.multiply, x, k.map(.reciprocal, k.map(.add, k.map(.exp2, exponent), 1.0)))
    }
  }
}

extension Activation {
  /// y `[M, N]` = act(x), as float32, bfloat16 or as integer groups for the next layer. Arguments: x, y.
  public func kernel(columns: Int, output: ElementType) throws(TileError) -> Kernel {
    try Kernel("activation_\(rawValue)") { k in
      let m = k.extent("M")
      let x = k.input("x", .float32, [m, Index(columns)])
      let y = k.output("y", output, [m, Index(columns)])
      k.grid([m.ceilDiv(8)]) { task in
        let result = apply(to: k.load(x, at: [task[0] * 8, 0], rows: 8, columns: columns), k)
        k.store(output == .q16_rows ? k.quantize(result) : result, to: y, at: [task[0] * 8, 0])
      }
    }
  }
}
