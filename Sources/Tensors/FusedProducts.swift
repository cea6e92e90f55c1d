public import Kernels
internal import Memory
internal import Tiles

/// Products together with what follows them: one kernel where nothing is recorded and factors are of 16 bits, the operations one
/// by one elsewhere, whose gradients are known.
extension Variable {
  /// act(this · other + bias) + residual; see ``product(_:transposesSelf:transposesOther:bias:)``.
  ///
  /// - Parameters:
  ///   - other: `[K, N]`, or `[N, K]` where `transposesOther`.
  ///   - bias: `[N]`.
  ///   - activation: of each sum.
  ///   - residual: as the result.
  public func product(
    _ other: Variable, transposesSelf: Bool = false, transposesOther: Bool = false, bias: Variable? = nil,
    activation: Activation?, adding residual: Variable?
  ) throws -> Variable {
    let (device, rank) = (self.device, shape.count)
    guard device.fusesProducts(with: residual), rank > 1, !transposesSelf || rank == 3, other.shape.count == 2
    else {
      let y = try product(
        other, transposesSelf: transposesSelf, transposesOther: transposesOther, bias: bias)
      let z = try activation.map { try y.activated($0) } ?? y
      return try residual.map { try z + $0 } ?? z
    }
    let a = transposesSelf ? self : try reshaped([1, shape.dropLast().reduce(1, *), shape[rank - 1]])
    let n = other.shape[transposesOther ? 0 : 1]
    let sizes = [a.shape[0], a.shape[transposesSelf ? 2 : 1], n]
    var ending = ProductEnding(bias: bias?.value)
    ending.activation = activation
    ending.residual = try residual.map { try device.dense($0.value).reshaped(sizes) }
    let result = try device.empty(sizes, device.factors)
    try device.product(
      a.value, device.dense(other.value).reshaped([1] + other.shape),
      device.form(transposesA: transposesSelf, transposesB: transposesOther), ending: ending, into: result)
    return Variable(transposesSelf ? result : result.reshaped(shape.dropLast() + [n]), on: device)
  }

  /// this · xᵀ + bias for weights `[M, K]`, sequences `[B, N, K]` and a bias `[M]`: `[B, M, N]`.
  public func products(withTransposed x: Variable, bias: Variable?) throws -> Variable {
    guard device.fusesProducts(with: nil), let bias else {
      return try product(x, transposesOther: true, rowBias: bias)
    }
    var ending = ProductEnding()
    ending.bias = (bias.value, .rows)
    let result = try device.empty([x.shape[0], shape[0], x.shape[1]], device.factors)
    try device.product(
      value.reshaped([1] + shape), x.value, device.form(transposesB: true), ending: ending, into: result)
    return Variable(result, on: device)
  }

  /// Rows `[…, blocks · p]` times the transposes of blocks `[blocks, q, p]`, plus a bias and an array: `[…, blocks · q]`.
  public func product(
    blocks weight: Variable, bias: Variable? = nil, adding residual: Variable? = nil
  ) throws -> Variable {
    let isFused = device.fusesProducts(with: residual)
    let y = try product(blocks: weight, bias: bias, inKernel: isFused ? residual : nil)
    return isFused ? y : try residual.map { try y + $0 } ?? y
  }

  /// Rows lie as they are given and taken, none is copied. What is added in the kernel gets no gradient.
  private func product(blocks weight: Variable, bias: Variable?, inKernel residual: Variable?) throws
    -> Variable
  {
    let (device, own, blocks) = (self.device, value.type, BlockRows(self, weight))
    let form = device.form(transposesB: true)
    func cut(_ tensor: Tensor, _ width: Int) throws -> Tensor {
      blocks.cut(try device.dense(device.converted(tensor, to: form.factors)), width)
    }
    // Rounded once, for the gradients too.
    let (a, b) = (try cut(value, blocks.inputs), try device.rightFactor(weight.value, form))
    let result = try device.empty(shape.dropLast() + [blocks.count * blocks.outputs], form.factors)
    var ending = ProductEnding()
    ending.bias = bias.map { ($0.value.reshaped([blocks.count, blocks.outputs]), .columnsOfEach) }
    ending.residual = try residual.map { try cut($0.value, blocks.outputs) }
    try device.product(a, b, form, ending: ending, into: blocks.cut(result, blocks.outputs))
    return device.note(result, from: [self, weight] + (bias.map { [$0] } ?? [])) { g in
      let factor = try cut(g, blocks.outputs)
      var gradients = [Contribution?](repeating: nil, count: bias == nil ? 2 : 3)
      if self.needsGradient {
        let gradient = try device.empty(self.shape, own)
        try device.product(factor, b, form.transposing(), into: blocks.cut(gradient, blocks.inputs))
        gradients[0] = .whole(gradient)
      }
      if weight.needsGradient {
        var form = form.transposing(a: true)
        form.result = weight.value.type
        gradients[1] = .whole(try device.product(factor, a, form))
      }
      if let bias { gradients[2] = .whole(try device.reduced(g, to: bias.shape)) }
      return gradients
    }
  }

  /// act(g) · h of the halves of ``product(blocks:bias:adding:)``, `[…, blocks · q / 2]`; the number of blocks is even.
  public func gatedProduct(blocks weight: Variable, _ activation: Activation) throws -> Variable {
    let (blocks, q, p) = (weight.shape[0], weight.shape[1], weight.shape[2])
    guard device.fusesProducts(with: nil), blocks % 2 == 0 else {
      let halves = try product(blocks: weight).split(axis: shape.count - 1, 2)
      return try halves[0].map(halves[1]) { activation.apply(to: $0) * $1 }
    }
    let rows = shape.dropLast().reduce(1, *)
    let kind = GatedBlockProduct(activation: activation, type: device.factors)
    let factors = try [device.dense(value), weight.value].map { try device.converted($0, to: kind.type) }
    let result = try device.empty([rows, blocks / 2 * q], kind.type)
    try device.kernel(kind) { try kind.kernel() }.run([
      factors[0].reshaped([rows, blocks, p]).permuted([1, 0, 2]), factors[1],
      result.reshaped([rows, blocks / 2, q]).permuted([1, 0, 2]),
    ])
    return Variable(result.reshaped(shape.dropLast() + [blocks / 2 * q]), on: device)
  }

  /// Sequences `[B, L, D]` as `[B, D, L]`: in memory of their own where nothing is recorded and factors are of 16 bits, else a view.
  public func turned() throws -> Variable {
    guard device.fusesProducts(with: self) else { return try permuted([0, 2, 1]) }
    let result = try device.empty([shape[0], shape[2], shape[1]], device.factors)
    try device.turn(value, into: result)
    return Variable(result, on: device)
  }

  /// This parameter as products take it: rounded once and kept, where the device ``Device/isKeeping``, else itself.
  public func asFactor() throws -> Variable {
    guard device.isKeeping, device.factors != device.scalar else { return self }
    return try device.keeping(for: self, device.factors) { try converted(to: device.factors) }
  }
}

extension Variable {
  /// This parameter as the right factor of products: as ``asFactor()``, and on cores, where the device ``Device/isKeeping`` and each number
  /// is one of 16 bits, in those, which take half as long to read and give the same bits.
  public func asRightFactor() throws -> Variable {
    guard device.keepsWeightsInHalf else { return try asFactor() }
    return try device.keeping(for: self, "in half") { () -> Variable? in
      try Device.halves.first(where: value.holds).map { try converted(to: $0) }
    } ?? self
  }
}

extension Device {
  /// Types in which weights may be kept.
  static let halves: [ElementType] = [.bfloat16, .float16]

  /// Whether weights are kept in 16 bits where that changes none.
  var keepsWeightsInHalf: Bool {
    isKeeping && executor.sharesHostMemory && scalar == .float32 && factors == scalar
  }
}

extension Tensor {
  /// Whether each number, of float32, is one of another type.
  fileprivate func holds(_ type: ElementType) -> Bool {
    guard self.type == .float32, isDense else { return false }
    return withElements(as: Float.self) { span in
      span.indices.allSatisfy { index in
        type == .float16
          ? Float(Float16(span[index])) == span[index] : span[index].bitPattern & 0xFFFF == 0
      }
    }
  }
}

/// Rows that consist of blocks, as a batch of matrices that lie beside each other.
private struct BlockRows {
  /// How many blocks there are.
  let count: Int
  let rows: Int
  /// Numbers of a block before the product, and behind it.
  let (inputs, outputs): (Int, Int)

  /// - Parameter weight: `[blocks, outputs, inputs]`.
  init(_ x: Variable, _ weight: Variable) {
    (count, outputs, inputs) = (weight.shape[0], weight.shape[1], weight.shape[2])
    rows = x.shape.dropLast().reduce(1, *)
  }

  /// `[blocks, rows, width]` of dense rows.
  func cut(_ tensor: Tensor, _ width: Int) -> Tensor {
    tensor.reshaped([rows, count, width]).permuted([1, 0, 2])
  }
}

extension Device {
  /// y `[B, copies · C, R]` = the sum of x `[B, parts · R, C]`'s parts, turned, copied so often; 16-bit numbers.
  func turn(_ x: Tensor, parts: Int = 1, into y: Tensor, copies: Int = 1) throws {
    let kind = Turn(type: x.type, parts: parts, copies: copies)
    let ones = try once(Turn(type: x.type)) { try executor.place(kind.ones()) }
    try kernel(kind) { try kind.kernel() }.run(kind.arguments(ones: ones, x, into: y))
  }

  /// Whether that is faster than reading numbers one by one.
  func turnsFast(_ x: Tensor, into y: Tensor) -> Bool {
    hasManyCores && executor.prefersSixteenBit && (x.type == .bfloat16 || x.type == .float16)
      && Turn(type: x.type).isFast(x, into: y)
  }

  /// Whether products do what follows them in their own kernel.
  ///
  /// - Parameter residual: what is added at the end, which must be of the result's type then.
  func fusesProducts(with residual: Variable?) -> Bool {
    hasManyCores && factors != scalar && !recordsGradients
      && residual.map { $0.value.type == factors } ?? true
  }

  /// Factors and results of the type of factors.
  func form(transposesA: Bool = false, transposesB: Bool = false) -> ProductForm {
    ProductForm(transposesA: transposesA, transposesB: transposesB, factors: factors, result: factors)
  }
}
