internal import Memory
internal import Models

extension PagedCache {
  /// What one page is made of, all layers, dense: keys, values, and the scales of both where there are any.
  func parts(ofPage number: Int) -> [(name: String, tensor: Tensor)] {
    let scales = scales.map { [("keyScales", $0.keys), ("valueScales", $0.values)] } ?? []
    return ([("keys", keys), ("values", values)] + scales).map { ($0, $1.selecting(axis: 0, number)) }
  }

  /// Sets the values of a page's positions to zero.
  func clearValues(ofPage number: Int) {
    for tensor in [values, scales?.values].compactMap({ $0?.selecting(axis: 0, number) }) {
      tensor.withMutableElements(as: UInt8.self) { bytes in bytes.update(repeating: 0) }
    }
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
