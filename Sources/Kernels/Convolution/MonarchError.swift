package import Memory

/// What has no plan.
package enum MonarchError: Error, Equatable, CustomStringConvertible {
  case extent(name: String, value: Int, allowed: String)
  case type(ElementType)

  package var description: String {
    switch self {
    case .extent(let name, let value, let allowed):
      "long convolution: \(name) is \(value); it must be \(allowed)."
    case .type(let type):
      "long convolution: rows are \(type.rawValue). Convert them to bfloat16 or float16."
    }
  }
}

extension MonarchConvolution.Shape {
  /// - Throws: ``MonarchError`` that names what is out of bounds.
  func validate() throws(MonarchError) {
    guard batch > 0 else { throw .extent(name: "batch", value: batch, allowed: "1 or more") }
    guard channels > 0 else { throw .extent(name: "channels", value: channels, allowed: "1 or more") }
    guard (1...8_388_608).contains(length) else {
      throw .extent(name: "length", value: length, allowed: "1 to 8388608")
    }
    guard (1...length).contains(filterLength) else {
      throw .extent(name: "filterLength", value: filterLength, allowed: "1 to the length, \(length)")
    }
    guard mode == .causal || length == points else {
      throw .extent(
        name: "length", value: length, allowed: "a power of two from 64 on where convolution is circular")
    }
    guard [.bfloat16, .float16].contains(type) else { throw .type(type) }
  }
}
