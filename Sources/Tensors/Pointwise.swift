public import Kernels
public import Memory
internal import Tiles

extension Device {
  /// How a pointwise kernel is started.
  private struct PointwiseLaunch {
    let broadcast: Broadcast
    let tile: (rows: Int, columns: Int)

    /// - Parameters:
    ///   - inputs: results that have places too.
    ///   - results: how many others there are.
    init(_ inputs: [Tensor], results: Int = 0, isRandom: Bool = false, on device: Device) {
      broadcast = Broadcast(inputs)
      if device.hasManyCores, !isRandom, inputs.contains(where: broadcast.isTurned) {
        tile = broadcast.squareTile
        return
      }
      let cores = device.executor.cores
      // Random numbers belong to the columns of a tile, and are to be the same for any number of cores: tiles of up to 1,024 are never
      // cut in columns.
      guard device.hasManyCores else {
        tile = broadcast.tile(
          atLeast: cores > 1 ? 2 * cores : 4, columns: isRandom ? 1024 : 2048,
          numbers: isRandom ? 4096 : 8192, prefersWhole: false)
        return
      }
      // Few numbers a lane and many lanes: more loads are under way than with many numbers in few lanes, and of many arrays there are
      // registers for fewer. A lane has several rows, of which it may read ahead, and reads what they have in common once.
      let most = inputs.count + results > 4 ? 512 : 1024
      tile = broadcast.tile(
        atLeast: 8 * cores, columns: isRandom ? 1024 : most, numbers: 8192, prefersWhole: !isRandom)
    }
  }

  /// Results of a function at every place of arrays that go together; they lie in memory as the first array of full size.
  ///
  /// - Parameter types: of the results; by default that of the inputs of full size, of which float32 prevails.
  func pointwise(
    _ function: PointwiseFunction, _ inputs: [Tensor], stream: Int = 0, types: [ElementType]? = nil
  ) throws -> [Tensor] {
    var inputs = inputs
    // Numbers are drawn by place in memory: a gradient, and another machine, are to draw the same ones whatever lies how. A number that
    // is everywhere lies like anything.
    if function.isRandom { inputs = try inputs.map { $0.isEverywhere ? $0 : try dense($0) } }
    if let order = inputs.memoryOrder {
      var inverse = order
      for (place, axis) in order.enumerated() { inverse[axis] = place }
      let turned = inputs.map { $0.extended(to: order.count).permuted(order) }
      return try pointwise(function, turned, stream: stream, types: types).map { $0.permuted(inverse) }
    }
    let launch = PointwiseLaunch(
      inputs, results: function.outputCount, isRandom: function.isRandom, on: self)
    let common = commonType(inputs)
    let outputs = try (0..<function.outputCount).map {
      try empty(launch.broadcast.shape, types?[$0] ?? common)
    }
    try run(function, inputs, outputs, launch, stream)
    return outputs
  }

  /// The same, of a function that draws nothing, with results written to what is there for them, which may be parts of something, or
  /// inputs of the same place in memory.
  ///
  /// - Parameter targets: of the results' shape; memory of their own is taken where there is none.
  func pointwise(
    _ function: PointwiseFunction, _ inputs: [Tensor], into targets: [Tensor?]
  ) throws -> [Tensor] {
    precondition(!function.isRandom, "random numbers belong to dense results")
    // Targets count for the order of axes.
    let places = targets.compactMap { $0 }
    let launch = PointwiseLaunch(inputs + places, results: targets.count - places.count, on: self)
    let common = commonType(inputs)
    let outputs = try targets.map { target in
      precondition(
        target == nil || target?.shape == launch.broadcast.shape,
        "\(launch.broadcast.shape) for a target of another shape")
      return try target ?? empty(launch.broadcast.shape, common)
    }
    try run(function, inputs, outputs, launch, 0)
    return outputs
  }

  /// The type of the inputs of full size, of which float32 prevails.
  private func commonType(_ inputs: [Tensor]) -> ElementType {
    let most = inputs.map(\.count).max() ?? 0
    let whole = inputs.filter { $0.count == most }
    return whole.allSatisfy { $0.type == whole[0].type } ? whole.first?.type ?? scalar : scalar
  }

  private func run(
    _ function: PointwiseFunction, _ inputs: [Tensor], _ outputs: [Tensor], _ launch: PointwiseLaunch,
    _ stream: Int
  ) throws {
    guard launch.broadcast.shape.reduce(1, *) > 0 else { return }
    let joined = inputs.map(launch.broadcast.joined)
    let kernel = Pointwise(
      function, spans: joined.map(\.spans), rows: launch.tile.rows, columns: launch.tile.columns,
      types: inputs.map(kernelType), outputTypes: outputs.map(kernelType))
    let compiled = try self.kernel(kernel) {
      precondition(
        kernel.coversOutputs(extents: launch.broadcast.extents),
        "a result of a pointwise function of \(inputs.map(\.shape)) is smaller than \(launch.broadcast.shape)"
      )
      return try kernel.kernel()
    }
    let random = try function.isRandom ? [seedTensor()] : []
    try compiled.run(
      joined.map(\.tensor) + random + outputs.map { launch.broadcast.joined($0).tensor },
      integers: function.isRandom ? [stream] : [])
  }

  /// a + b.
  func sum(_ a: Tensor, _ b: Tensor) throws -> Tensor {
    try pointwise(.sum, [a, b])[0]
  }

  /// Writes `source` to `target`, which may be a part of something.
  func write(_ source: Tensor, into target: Tensor) throws {
    // Both count for the order of axes; the second is not read.
    let launch = PointwiseLaunch([source, target], on: self)
    precondition(launch.broadcast.shape == target.shape, "\(source.shape) does not fill \(target.shape)")
    try run(.first, [source, target], [target], launch, 0)
  }

  /// The same numbers in memory of their own.
  func copied(_ tensor: Tensor) throws -> Tensor {
    let result = try empty(tensor.shape, tensor.type)
    try write(tensor, into: result)
    return result
  }

  /// The same numbers in row-major order without gaps.
  func dense(_ tensor: Tensor) throws -> Tensor { tensor.isDense ? tensor : try copied(tensor) }

  /// Sums of a gradient over the axes along which an operand was broadcast.
  func reduced(_ gradient: Tensor, to shape: [Int]) throws -> Tensor {
    var result = gradient
    let shift = gradient.shape.count - shape.count
    // The last axes first: their numbers lie beside each other, and fewer are left for the others.
    for axis in gradient.shape.indices.reversed() where gradient.shape[axis] != 1 {
      if axis < shift || shape[axis - shift] == 1 { result = try summed(result, axis: axis) }
    }
    return try result.shape == shape ? result : dense(result).reshaped(shape)
  }
}

extension [Tensor] {
  /// Axes by falling stride of the first array of the largest size; `nil` where that is the order they have.
  fileprivate var memoryOrder: [Int]? {
    let most = map(\.count).max() ?? 0
    guard let first = first(where: { $0.count == most && !$0.strides.contains(0) }),
      first.shape.count == map(\.shape.count).max()
    else { return nil }
    // Axes of extent 1 stay where they are.
    let axes = first.shape.indices.filter { first.shape[$0] != 1 }
    let sorted = axes.sorted { (first.strides[$1], $0) < (first.strides[$0], $1) }
    guard sorted != axes else { return nil }
    var order = Array<Int>(first.shape.indices)
    for (place, axis) in zip(axes, sorted) { order[place] = axis }
    return order
  }
}

extension Tensor {
  /// Whether it is one number, repeated.
  fileprivate var isEverywhere: Bool { zip(shape, strides).allSatisfy { $0 == 1 || $1 == 0 } }

  /// With axes of extent 1 before the others.
  fileprivate func extended(to rank: Int) -> Tensor {
    let more = rank - shape.count
    guard more > 0 else { return self }
    return Tensor(
      unchecked: storage, byteOffset: byteOffset, type: type, shape: [Int](repeating: 1, count: more) + shape,
      strides: [Int](repeating: 0, count: more) + strides)
  }
}

extension PointwiseFunction {
  static let sum = PointwiseFunction(inputs: 2) { [$0[0] + $0[1]] }
  static let product = PointwiseFunction(inputs: 2) { [$0[0] * $0[1]] }
  static let identity = PointwiseFunction(inputs: 1) { [$0[0]] }
  static let first = PointwiseFunction(inputs: 2) { [$0[0]] }
}

extension Variable {
  /// Results of a function at every place of variables that go together (shapes aligned at their last axes, extents of 1
  /// broadcast), in one pass.
  ///
  /// - Parameter body: gives the results' terms from the variables'; each must depend on variables that span the whole shape.
  public static func pointwise(_ variables: [Variable], _ body: ([Term]) -> [Term]) throws -> [Variable] {
    let function = PointwiseFunction(inputs: variables.count, body)
    let device = variables[0].device
    let stream = function.isRandom ? device.nextStream() : 0
    let inputs = variables.map(\.value)
    let results = try device.pointwise(function, inputs, stream: stream)
    let seed = device.seed
    return device.noteAdding(results, from: variables) { gradients, inputGradients in
      let given = gradients.indices.filter { gradients[$0] != nil }
      let wanted = variables.indices.filter { variables[$0].needsGradient }
      let (backward, places) = device.once(Derivative(function: function, wanted: wanted, given: given)) {
        function.gradient(of: wanted, given: given)
      }
      precondition(
        device.seed == seed || !function.isRandom,
        "backward() after begin(step:seed:) would draw other numbers")
      let all = inputs + given.compactMap { gradients[$0] }
      // Parts of something larger have their gradients written into that of the larger.
      var targets = [Tensor?](repeating: nil, count: backward.outputCount)
      var written: Set<Int> = []
      for (input, place) in zip(wanted, places) where !backward.isRandom {
        guard let place, inputs[input].shape == results[0].shape, backward.passedThrough(place) == nil,
          targets[place] == nil, let target = try inputGradients.place(input)
        else { continue }
        targets[place] = target
        written.insert(input)
      }
      let outputs =
        try written.isEmpty
        ? device.gradients(backward, all, stream) : device.pointwise(backward, all, into: targets)
      var contributions = [Contribution?](repeating: nil, count: variables.count)
      for (input, place) in zip(wanted, places) {
        guard let place else { continue }
        if written.contains(input) {
          contributions[input] = .placed
          continue
        }
        contributions[input] = .whole(try device.reduced(outputs[place], to: inputs[input].shape))
      }
      return contributions
    }
  }

  /// A function of each number.
  public func map(_ body: (Term) -> Term) throws -> Variable {
    try Self.pointwise([self]) { [body($0[0])] }[0]
  }

  /// A function of two variables' numbers.
  public func map(_ other: Variable, _ body: (Term, Term) -> Term) throws -> Variable {
    try Self.pointwise([self, other]) { [body($0[0], $0[1])] }[0]
  }

  /// A function of three variables' numbers.
  public func map(_ b: Variable, _ c: Variable, _ body: (Term, Term, Term) -> Term) throws -> Variable {
    try Self.pointwise([self, b, c]) { [body($0[0], $0[1], $0[2])] }[0]
  }

  /// Sum, place by place.
  public static func + (a: Variable, b: Variable) throws -> Variable { try a.map(b) { $0 + $1 } }
  /// Difference, place by place.
  public static func - (a: Variable, b: Variable) throws -> Variable { try a.map(b) { $0 - $1 } }
  /// Product, place by place.
  public static func * (a: Variable, b: Variable) throws -> Variable { try a.map(b) { $0 * $1 } }
  /// Product with a number.
  public static func * (a: Variable, b: Float) throws -> Variable { try a.map { $0 * b } }

  /// The activation of each number.
  public func activated(_ activation: Activation) throws -> Variable { try map(activation.apply) }

  /// Each number 0 with a probability, and otherwise divided by what is left of 1; all as they are where nothing trains.
  ///
  /// Srivastava et al., “Dropout”, 2014.
  public func dropout(_ probability: Float) throws -> Variable {
    precondition((0..<1).contains(probability), "probability \(probability) is not within 0 ..< 1")
    guard probability > 0, device.isTraining else { return self }
    return try map { x in
      x.random().atLeast(
        x.constant(probability), then: x * (1 / (1 - probability)), else: x.constant(0))
    }
  }
}

extension Device {
  /// Numbers drawn uniformly from −`bound` up to `bound`.
  public func uniform(_ shape: [Int], within bound: Float) throws -> Tensor {
    let zero = try tensor([Float(0)], [Int](repeating: 1, count: shape.count)).broadcast(to: shape)
    let function = PointwiseFunction(inputs: 1) { [($0[0] + $0[0].random() - 0.5) * (2 * bound)] }
    return try pointwise(function, [zero], stream: nextStream())[0]
  }
}

/// Key of a function's derivative.
private struct Derivative: Hashable {
  let function: PointwiseFunction
  let wanted: [Int]
  let given: [Int]
}

extension Device {
  /// Results of a derivative; those that are an input unchanged are that input.
  fileprivate func gradients(_ function: PointwiseFunction, _ inputs: [Tensor], _ stream: Int) throws
    -> [Tensor]
  {
    let passed = (0..<function.outputCount).map { function.passedThrough($0) }
    guard passed.contains(nil) else { return passed.map { inputs[$0 ?? 0] } }
    return try pointwise(function, inputs, stream: stream)
  }
}
