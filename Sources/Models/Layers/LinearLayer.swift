internal import Kernels
internal import Memory
internal import Tiles

/// Weights of a linear layer with the kernel that applies them.
struct LinearLayer: Sendable {
  let weight: Tensor
  let bias: Tensor?
  let arithmetic: Linear.Arithmetic
  private let kernel: any CompiledKernel

  /// - Parameters:
  ///   - weight: `[out, in]`.
  ///   - addsResidual: whether ``callAsFunction(_:residual:into:)`` is given a tensor to add.
  init(
    _ weight: Tensor, bias: Tensor? = nil, exact: Bool, addsResidual: Bool = false, kernels: KernelCache
  ) throws {
    self.weight = weight
    self.bias = bias
    arithmetic = Self.arithmetic(weight, exact: exact)
    let epilogue: Linear.Epilogue =
      switch (bias != nil, addsResidual) {
      case (false, false): .none
      case (true, false): .bias
      case (false, true): .residual
      case (true, true): .biasAndResidual
      }
    let shape = Linear.Shape(inputs: weight.shape[1], outputs: weight.shape[0])
    let arithmetic = self.arithmetic
    kernel = try kernels.kernel("linear \(shape) \(weight.type) \(arithmetic) \(epilogue)") {
      try Linear.kernel(shape, weight: weight.type, arithmetic: arithmetic, epilogue: epilogue)
    }
  }

  /// Integers for block-quantised weights unless exactness is asked for.
  static func arithmetic(_ weight: Tensor, exact: Bool) -> Linear.Arithmetic {
    weight.type.isBlocked && !exact ? .integer : .exact
  }

  func callAsFunction(_ x: Tensor, residual: Tensor? = nil, into y: Tensor) throws {
    try kernel.run([x, weight] + [bias, residual].compactMap { $0 } + [y])
  }
}

/// Kernels compiled so far, by what they do: layers of equal size share one.
final class KernelCache {
  private let executor: any Executor
  private var kernels: [String: any CompiledKernel] = [:]

  init(_ executor: any Executor) { self.executor = executor }

  /// The kernel known by that description, recorded and compiled on first use.
  func kernel(_ description: String, _ record: () throws -> Kernel) throws -> any CompiledKernel {
    if let known = kernels[description] { return known }
    let compiled = try executor.compile(try record())
    kernels[description] = compiled
    return compiled
  }
}
