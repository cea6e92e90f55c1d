internal import Fourier
internal import Memory
internal import Tiles

extension ConvolutionFilters {
  /// - Throws: ``Fourier/ConvolutionError`` where filters cannot be those of a stream of so many sequences.
  static func validate(_ filters: Tensor, batch: Int) throws(ConvolutionError) {
    guard filters.shape.count == 2, filters.shape[0] >= 1, filters.shape[1] >= 1, filters.type == .float32,
      filters.isDense
    else {
      throw .tensor(
        name: "filter", found: "\(filters.type.rawValue) \(filters.shape)",
        expected: "dense float32 [H, taps]")
    }
    guard batch >= 1 else { throw .operand(name: "batch", why: "\(batch) sequences") }
  }
}
