internal import Memory
internal import Models

extension PagedCache {
  /// Keys and values of one page, all layers, dense.
  func page(_ number: Int) -> (keys: Tensor, values: Tensor) {
    (keys.selecting(axis: 0, number), values.selecting(axis: 0, number))
  }

  /// Sets the values of a page's positions to zero.
  func clearValues(ofPage number: Int) {
    page(number).values.withMutableElements(as: UInt8.self) { bytes in bytes.update(repeating: 0) }
  }
}

extension Tensor {
  /// Takes over the bytes of a dense tensor of the same type and shape.
  func copyBytes(of other: Tensor) {
    withMutableElements(as: UInt8.self) { mine in
      other.withElements(as: UInt8.self) { theirs in
        for index in mine.indices { mine[index] = theirs[index] }
      }
    }
  }
}
