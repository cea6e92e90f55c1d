internal import CMicrokernels
internal import Fourier
internal import Memory
internal import Tiles

/// Rows to be convolved, checked: all have one type, one shape and contiguous numbers.
struct Operands {
  let batch: Int
  let channels: Int
  var input: RowTensor
  var inputGate: RowTensor?
  var outputGate: RowTensor?
  var skip: SkipFactors?
  var output: RowTensor

  /// Factors of the skip term, one for each channel.
  @safe struct SkipFactors {
    let base: UnsafePointer<Float>
    let stride: Int
    func value(_ channel: Int) -> Float { unsafe base[channel * stride] }
  }

  /// What enters the transform.
  func signal(_ batch: Int, _ channel: Int, _ range: Range<Int>) -> gw_signal {
    unsafe .row(input, gate: inputGate, batch, channel, range)
  }

  /// What leaves it.
  func result(_ batch: Int, _ channel: Int, _ range: Range<Int>) -> gw_result {
    var result = unsafe gw_result.row(output, gate: outputGate, batch, channel, range)
    if let skip {
      unsafe result.skip = skip.value(channel)
      unsafe result.source = signal(batch, channel, range)
    }
    return unsafe result
  }
}

/// Filters, checked.
struct Taps {
  let channels: Int
  let forward: RowTensor
  let reverse: RowTensor?
  let skipsLagZero: Bool
}

extension CPUConvolution {

  /// A tensor `[B, H, L]` or `[H, L]` of the type that is asked for.
  func rows(_ tensor: Tensor, _ name: String, shape: [Int], type: ElementType) throws(ExecutionError)
    -> RowTensor
  {
    guard tensor.type == type else {
      throw .argumentType(
        kernel: "convolution", tensor: name, expected: type.rawValue, found: tensor.type.rawValue)
    }
    guard tensor.shape == shape else {
      throw .argumentShape(kernel: "convolution", tensor: name, expected: "\(shape)", found: tensor.shape)
    }
    guard tensor.strides.last == 1 || shape.last == 1 else {
      throw .argumentLayout(
        kernel: "convolution", tensor: name,
        reason: "numbers of a row lie \(tensor.strides.last ?? 0) apart, not 1")
    }
    guard tensor.storage.isOnHost else {
      throw .argumentLayout(kernel: "convolution", tensor: name, reason: "it is not in host memory")
    }
    guard let scalar = type.microkernelType, type == .float32 || type == .float16 || type == .bfloat16 else {
      throw .argumentType(
        kernel: "convolution", tensor: name, expected: "float32, float16 or bfloat16", found: type.rawValue)
    }
    return unsafe RowTensor(
      base: tensor.address, type: scalar, bytes: type.blockBytes,
      batchStride: shape.count == 3 ? tensor.strides[0] : 0, channelStride: tensor.strides[shape.count - 2])
  }

  func check(_ filters: ConvolutionFilters) throws(ExecutionError) -> Taps {
    let shape = [filters.forward.shape.first ?? 0, plan.shape.filterLength]
    guard (filters.reverse != nil) == plan.shape.mode.hasReverse else {
      throw .invalid(
        kernel: "convolution",
        reason: plan.shape.mode.hasReverse
          ? "a two-sided convolution takes a second filter."
          : "only a two-sided convolution takes a second filter.")
    }
    return Taps(
      channels: shape[0], forward: try rows(filters.forward, "filter", shape: shape, type: .float32),
      reverse: try optional(filters.reverse, "reverse filter", shape: shape, type: .float32),
      skipsLagZero: plan.shape.mode == .bidirectional(lagZero: .causalOnly))
  }

  func optional(
    _ tensor: Tensor?, _ name: String, shape: [Int], type: ElementType
  ) throws(ExecutionError) -> RowTensor? {
    guard let tensor else { return nil }
    return try rows(tensor, name, shape: shape, type: type)
  }

  func check(spectrum: Tensor, channels: Int) throws(ExecutionError) -> UnsafeMutablePointer<Float> {
    let shape = [channels, plan.spectrumCount]
    guard spectrum.type == .float32, spectrum.shape == shape, spectrum.isDense, spectrum.storage.isOnHost
    else {
      throw .argumentShape(
        kernel: "convolution", tensor: "spectrum", expected: "dense float32 \(shape)", found: spectrum.shape)
    }
    return unsafe spectrum.address.assumingMemoryBound(to: Float.self)
  }

  func check(
    _ rows: ConvolutionRows, output: Tensor, length: Int? = nil
  ) throws(ExecutionError) -> Operands {
    let (shape, type, length) = (rows.input.shape, rows.input.type, length ?? plan.shape.length)
    guard shape.count == 3, shape[2] == length else {
      throw .argumentShape(
        kernel: "convolution", tensor: "input", expected: "[B, H, \(length)]", found: shape)
    }
    return Operands(
      batch: shape[0], channels: shape[1],
      input: try self.rows(rows.input, "input", shape: shape, type: type),
      inputGate: try optional(rows.inputGate, "gate of the input", shape: shape, type: type),
      outputGate: try optional(rows.outputGate, "gate of the output", shape: shape, type: type),
      skip: try skip(rows.skip, channels: shape[1]),
      output: try self.rows(output, "output", shape: shape, type: type))
  }

  private func skip(_ skip: Tensor?, channels: Int) throws(ExecutionError) -> Operands.SkipFactors? {
    guard let skip else { return nil }
    guard skip.type == .float32, skip.shape == [channels], skip.storage.isOnHost else {
      throw .argumentShape(
        kernel: "convolution", tensor: "skip", expected: "float32 [\(channels)]", found: skip.shape)
    }
    return unsafe Operands.SkipFactors(
      base: UnsafePointer(skip.address.assumingMemoryBound(to: Float.self)), stride: skip.strides[0])
  }
}
