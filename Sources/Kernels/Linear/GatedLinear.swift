public import Memory
public import Tiles

/// Two linear layers joined by a gate, y = act(x · Gᵀ) ∘ (x · Uᵀ), in one pass: the products never reach memory.
///
/// Shazeer, “GLU Variants Improve Transformer”, 2020, arXiv:2002.05202.
public enum GatedLinear {
  /// y `[M, out]` of type `output` (float32, bfloat16, or q16_rows, ready for the next integer layer).
  ///
  /// Arguments: x, G, U, y.
  public static func kernel(
    _ shape: Linear.Shape, weights: (gate: ElementType, up: ElementType), arithmetic: Linear.Arithmetic,
    activation: Activation = .silu, output: ElementType
  ) throws(TileError) -> Kernel {
    try Kernel("gated_\(activation)_\(weights.gate.rawValue)_\(arithmetic)") { k in
      let m = k.extent("M")
      let (inputs, outputs) = (Index(shape.inputs), Index(shape.outputs))
      let x = k.input("x", arithmetic.activation, [m, inputs])
      let gate = k.input("G", weights.gate, [outputs, inputs])
      let up = k.input("U", weights.up, [outputs, inputs])
      let y = k.output("y", output, [m, outputs])
      let (rows, columns) = (Index(shape.rows), Index(shape.columns))
      k.grid([outputs.ceilDiv(columns), m.ceilDiv(rows)], schedule: shape.schedule) { task in
        let (row, column) = (task[1] * rows, task[0] * columns)
        let products = Linear.products(k, x, [gate, up], row: row, column: column, shape, arithmetic)
        let result = k.map(.multiply, activation.apply(to: products[0], k), products[1])
        k.store(
          output == .q16_rows ? k.quantize(result) : result, to: y, at: [row, column],
          rowAxis: shape.axes.row, columnAxis: shape.axes.column)
      }
    }
  }
}
