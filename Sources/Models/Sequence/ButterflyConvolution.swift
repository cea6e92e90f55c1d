internal import Kernels
internal import Tensors

/// A convolution whose transforms, of sequences and of filters, are learned; the way back is exact. It begins as the convolution.
///
/// Once trained it need not be one, so nothing says that it is causal.
///
/// Fu et al., “Simple hardware-efficient long convolutions for sequence modeling”, 2023, arXiv:2302.06646.
struct ButterflyConvolution {
  private let sequences: BlockTransform
  private let filters: BlockTransform
  private let back: BlockTransform

  init(_ scope: ParameterScope) throws {
    sequences = try BlockTransform(scope.scope("block_fft_u"), channels: 1)
    filters = try BlockTransform(scope.scope("block_fft_k"), channels: 1)
    back = try BlockTransform(on: scope.device)
  }

  /// As ``Tensors/Variable/convolvedBothWays(_:back:skip:gateBefore:gateAfter:)`` at the beginning: `[B, H, L]` with filters
  /// `[H, taps]`.
  func callAsFunction(_ x: Variable, _ ahead: Variable, back later: Variable?, skip: Variable) throws
    -> Variable
  {
    let (b, h, length) = (x.shape[0], x.shape[1], x.shape[2])
    var count = 2
    while count < 2 * length { count *= 2 }
    var taps = try ahead.padded(axis: 1, after: count - ahead.shape[1])
    if let later {
      // The filter of what comes later stands at the end, the farthest position first.
      taps = try taps + later.reversed(axis: 1).padded(axis: 1, before: count - later.shape[1])
    }
    let spectrum = try filters(complex(taps.reshaped([1, h, count])))
    let wide = try x.padded(axis: 2, after: count - length).reshaped([1, b * h, count])
    let found = try sequences(complex(wide)).mapped { try $0.reshaped([b, h, count]) } * spectrum
    let y = try back.inverse(found.mapped { try $0.reshaped([1, b * h, count]) }).real
    return try y.reshaped([b, h, count]).sliced(axis: 2, 0..<length).map(
      x, skip.reshaped([h, 1])
    ) { $0 + $1 * $2 }
  }

  private func complex(_ real: Variable) throws -> ComplexVariable {
    let zero = try real.device.constant([0], [1, 1, 1])
    return ComplexVariable(real: real, imaginary: try zero.broadcast(to: real.shape))
  }
}
