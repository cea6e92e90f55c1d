internal import Memory
internal import Models
internal import Tiles

extension PagedCache {
  /// What one page is made of, all layers, dense: keys, values, and the scales of both where there are any.
  func parts(ofPage number: Int) -> [(name: String, tensor: Tensor)] {
    let scales = scales.map { [("keyScales", $0.keys), ("valueScales", $0.values)] } ?? []
    return ([("keys", keys), ("values", values)] + scales).map { ($0, $1.selecting(axis: 0, number)) }
  }

  /// The same in host memory, once all kernels before have run.
  func fetchedParts(ofPage number: Int) throws -> [(name: String, tensor: Tensor)] {
    try parts(ofPage: number).map { ($0.name, try executor.fetch($0.tensor)) }
  }

  /// Sets the values of a page's positions to zero.
  func clearValues(ofPage number: Int) throws {
    for tensor in [values, scales?.values].compactMap({ $0?.selecting(axis: 0, number) }) {
      try executor.clear(tensor)
    }
  }
}
