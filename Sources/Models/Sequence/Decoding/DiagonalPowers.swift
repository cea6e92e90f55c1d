internal import Kernels
internal import Memory
internal import Tensors
internal import Tiles

/// Powers of a diagonal state space's poles as kernels take them, and the kernel that brings states to a prompt's end.
struct DiagonalPowers {
  /// What prompts are taken up by.
  let shape: DiagonalStates.Shape
  /// Of ``Kernels/DiagonalStates``: powers for the positions of a chunk, and for the chunk, real and imaginary.
  let tensors: [Tensor]
  private let kernel: any CompiledKernel

  /// - Parameters:
  ///   - known: residues and poles, as ``DiagonalFilter/discretised(_:)`` gives them.
  ///   - modes: of a channel.
  init(_ known: [Variable], modes: Int, _ shared: StepMemory) throws {
    let shape = DiagonalStates.Shape(modes: modes, type: shared.device.factors)
    self.shape = shape
    kernel = try shared.preparation.kernel("\(shape)") { try DiagonalStates.kernel(shape) }
    tensors = try shared.device.precisely {
      try Self.entering(known, chunk: shape.chunk, shape.type) + Self.across(known, chunk: shape.chunk)
    }
  }

  // From `[lags, H, N]`.

  /// Powers Ā^(chunk − 1 − i) by which inputs of a chunk enter states, real and imaginary, `[H, parts, chunk, N]`.
  static func entering(_ known: [Variable], chunk: Int, _ type: ElementType) throws -> [Tensor] {
    try DiagonalFilter.powers(known, (0..<chunk).map { chunk - 1 - $0 }).map {
      try parts($0.permuted([1, 0, 2]), type).dense().value
    }
  }

  /// What states give to the positions of a chunk behind them: the real part of c Ā^(t+1), and minus the imaginary, `[H, parts, N, chunk]`.
  static func leaving(_ known: [Variable], chunk: Int, _ type: ElementType) throws -> [Tensor] {
    let turned = try DiagonalFilter.powers(known, Array(1...chunk))
    return try Variable.pointwise([known[0], known[1]] + turned) { x in
      [x[0] * x[2] - x[1] * x[3], -(x[0] * x[3] + x[1] * x[2])]
    }.map { try parts($0.permuted([1, 2, 0]), type).dense().value }
  }

  /// Ā^chunk, real and imaginary, float32 `[H, N]`.
  static func across(_ known: [Variable], chunk: Int) throws -> [Tensor] {
    try DiagonalFilter.powers(known, [chunk]).map {
      try $0.reshaped(Array($0.shape.dropFirst())).dense().value
    }
  }

  /// Numbers `[H, rows, columns]` as sums of one or two numbers of a type, `[H, parts, rows, columns]`.
  static func parts(_ numbers: Variable, _ type: ElementType) throws -> Variable {
    let extents = [numbers.shape[0], 1] + numbers.shape.dropFirst()
    guard type != .float32 else { return try numbers.reshaped(extents) }
    let first = try numbers.converted(to: type)
    let rest = try (numbers - first.converted(to: numbers.value.type)).converted(to: type)
    return try .joined([first.reshaped(extents), rest.reshaped(extents)], axis: 1)
  }

  /// Poles and residues of a step, real and imaginary, `[H, N]` each.
  static func step(_ known: [Variable], width: Int, modes: Int) throws -> [Tensor] {
    try (DiagonalFilter.powers(known, [1]) + [known[0], known[1]]).map {
      try $0.reshaped([width, modes]).dense().value
    }
  }

  /// Zeros before sequences of so many positions, which change nothing, so that the last chunk is whole.
  func excess(_ length: Int) -> Int { (shape.chunk - length % shape.chunk) % shape.chunk }

  /// Writes the states, real and imaginary, `[B, D, N]`, of inputs `[B, D, L]`.
  func bring(_ state: [Tensor], to x: Variable) throws {
    let padded = try x.converted(to: shape.type).padded(axis: 2, before: excess(x.shape[2])).dense()
    try kernel.run([padded.value] + tensors + state)
  }
}
