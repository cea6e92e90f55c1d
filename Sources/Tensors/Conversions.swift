internal import Kernels
public import Memory

extension Device {
  /// The same numbers in another type; the array itself where it has that type.
  func converted(_ tensor: Tensor, to type: ElementType) throws -> Tensor {
    if tensor.type == type { return tensor }
    return try pointwise(.identity, [tensor], types: [type])[0]
  }

  /// What kernels call an array's type: float64 arrays stand for float32 ones.
  func kernelType(_ tensor: Tensor) -> ElementType { tensor.type == .float64 ? .float32 : tensor.type }

  /// Runs `body`, whose products, norms and convolutions take and give what ``scalar`` says, whatever ``factors`` is.
  ///
  /// For what parameters are made into, such as filters: few numbers, on which many depend.
  public func precisely<Result>(_ body: () throws -> Result) rethrows -> Result {
    let before = factors
    factors = scalar
    defer { factors = before }
    return try body()
  }
}

extension Variable {
  /// The same numbers in another type.
  public func converted(to type: ElementType) throws -> Variable {
    if value.type == type { return self }
    let (device, own) = (self.device, value.type)
    return device.note(try device.converted(value, to: type), from: [self]) {
      [.whole(try device.converted($0, to: own))]
    }
  }
}
