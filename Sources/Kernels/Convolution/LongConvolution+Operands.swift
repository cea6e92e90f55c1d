internal import Fourier
internal import Memory
internal import Tiles

/// What a call is given, checked alike for all machines before any of it is sliced, reshaped or read.
extension LongConvolution {
  /// The rows as `[B, H, L]`, and skip factors of as many channels.
  func checked(_ rows: ConvolutionRows) throws(ConvolutionError) -> ConvolutionRows {
    var rows = rows
    let (first, second) = layout == .channelsFirst ? (channels, shape.length) : (shape.length, channels)
    let found = rows.input.shape
    guard found.count == 3, found[0] >= 0, found[1] == first, found[2] == second else {
      throw .tensor(name: "input", found: "\(found)", expected: "[B, \(first), \(second)]")
    }
    let like = rows.input
    rows.input = try row(rows.input, "input", like: like, turn: true)
    if let gate = rows.inputGate { rows.inputGate = try row(gate, "gate of the input", like: rows.input) }
    if let gate = rows.outputGate { rows.outputGate = try row(gate, "gate of the output", like: rows.input) }
    if let skip = rows.skip { try check(skip, "skip", [channels]) }
    return rows
  }

  /// The tensor as `[B, H, L]`.
  func row(
    _ tensor: Tensor, _ name: String, like: Tensor, turn: Bool = false
  ) throws(ConvolutionError) -> Tensor {
    guard tensor.type == type else {
      throw .tensor(name: name, found: tensor.type.rawValue, expected: type.rawValue)
    }
    let turned = layout == .channelsLast && tensor.shape.count == 3 ? tensor.permuted([0, 2, 1]) : tensor
    guard turn || turned.shape == like.shape else {
      throw .tensor(name: name, found: "\(turned.shape)", expected: "\(like.shape), as [B, H, L]")
    }
    return turned
  }

  /// Filters `[H, taps]`, dense: two exactly where there are two sides.
  func checked(_ filters: ConvolutionFilters) throws -> ConvolutionFilters {
    try checkSides(filters, "filter")
    guard (filters.reverse != nil) == shape.mode.hasReverse else {
      throw ConvolutionError.operand(
        name: "reverse filter", why: "it is missing; a two-sided convolution takes a second filter")
    }
    func dense(_ filter: Tensor) throws -> Tensor {
      guard !filter.isDense else { return filter }
      let copy = try executor.tensor(.float32, filter.shape)
      try executor.copy(from: filter, into: copy)
      return copy
    }
    return ConvolutionFilters(try dense(filters.forward), reverse: try filters.reverse.map(dense))
  }

  /// Where gradients go, those of rows as `[B, H, L]`; in place of sums over the batch that are not dense stands memory that is.
  func checked(_ gradients: ConvolutionGradients, like input: Tensor) throws -> ConvolutionGradients {
    var targets = gradients
    targets.input = try gradients.input.map { try row($0, "gradient of the input", like: input) }
    targets.inputGate = try gradients.inputGate.map {
      try row($0, "gradient of the input's gate", like: input)
    }
    targets.outputGate = try gradients.outputGate.map {
      try row($0, "gradient of the output's gate", like: input)
    }
    if let skip = gradients.skip { try check(skip, "gradient of the skip factors", [channels]) }
    if let filters = gradients.filters { try checkSides(filters, "gradient of the filter") }
    func dense(_ target: Tensor) throws -> Tensor {
      target.isDense ? target : try executor.tensor(.float32, target.shape)
    }
    targets.skip = try gradients.skip.map(dense)
    targets.filters = try gradients.filters.map {
      ConvolutionFilters(try dense($0.forward), reverse: try $0.reverse.map(dense))
    }
    return targets
  }

  /// Copies gradients to where they were wanted, if ``checked(_:like:)`` put other memory there.
  func copyStrided(_ found: ConvolutionGradients, into wanted: ConvolutionGradients) throws {
    for (source, target) in [
      (found.skip, wanted.skip), (found.filters?.forward, wanted.filters?.forward),
      (found.filters?.reverse, wanted.filters?.reverse),
    ] {
      if let source, let target, !target.isDense { try executor.copy(from: source, into: target) }
    }
  }

  private func checkSides(_ filters: ConvolutionFilters, _ name: String) throws(ConvolutionError) {
    try check(filters.forward, name, [channels, shape.filterLength])
    guard let reverse = filters.reverse else { return }
    guard shape.mode.hasReverse else {
      throw .operand(
        name: "\(name) of later numbers", why: "only a two-sided convolution has one. Leave it out")
    }
    try check(reverse, "\(name) of later numbers", [channels, shape.filterLength])
  }

  /// A float32 tensor of that shape.
  private func check(_ tensor: Tensor, _ name: String, _ expected: [Int]) throws(ConvolutionError) {
    guard tensor.type == .float32, tensor.shape == expected else {
      throw .tensor(
        name: name, found: "\(tensor.type.rawValue) \(tensor.shape)", expected: "float32 \(expected)")
    }
  }
}
