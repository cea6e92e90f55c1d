public import Formats
internal import Memory
public import Tensors

/// A published checkpoint of a sequence model: which layout it has, the settings that its tensors tell, and its numbers
/// under the names of ``SequenceNetwork``.
///
/// Known are the language models of HazyResearch's `safari` and `H3` (H3 with and without attention, Hyena, S4D,
/// attention) and HyenaDNA. Tensors that the network would ignore are errors, but for buffers, which must hold the numbers
/// that the network computes itself, and for what lies outside the network, which is listed.
public struct PublicCheckpoint {
  /// The network that mixes positions.
  public enum Layout: String, Sendable, Hashable, CaseIterable {
    case h3, hyena, s4d, attention
  }

  /// What error messages call it.
  public let file: String
  /// Which it is.
  public let layout: Layout
  /// The network's settings.
  public let settings: SequenceSettings
  /// Settings that neither the file nor its configuration states and that are known of the published model of this size.
  public let assumptions: [String]
  /// Tensors that belong to no part of the network: an optimizer's, another task's head.
  public var outside: [String] { names.outside.filter { !$0.hasSuffix("lm_head.weight") } }

  private let tensors: any NamedTensors
  private let names: PublicNames

  /// Looks at names and shapes, and at the numbers of buffers.
  ///
  /// - Parameters:
  ///   - tensors: the file.
  ///   - configuration: a `config.json` or what a training framework keeps in its place.
  ///   - hints: what else is known; it has precedence, and is an error where nothing depends on it.
  /// - Throws: ``ModelError`` and ``Formats/FormatError`` naming the tensor or setting.
  public init(
    _ tensors: any NamedTensors, configuration: JSONNode? = nil, hints: PublicHints = PublicHints()
  ) throws {
    var reading = try PublicReading(
      tensors, PublicConfiguration(configuration), hints, names: PublicNames(tensors))
    let (layout, settings) = try reading.settings()
    try reading.takeBuffers(settings)
    self.tensors = tensors
    self.layout = layout
    self.settings = settings
    file = tensors.file
    names = reading.names
    assumptions = reading.assumptions
  }

  /// The network with the file's numbers.
  ///
  /// - Throws: ``ModelError`` for a tensor that is missing, misshapen, of a type without float32 values or left over, or has numbers
  ///   that are none.
  public func network(on device: Device) throws -> SequenceNetwork {
    var unused = Set(names.places.keys)
    let source = ParameterSet.Source.read { name, shape in
      unused.remove(name)
      return try numbers(name, shape)
    }
    let network = try SequenceNetwork(settings, ParameterSet(source, on: device))
    if let first = unused.min(), let place = names.places[first] {
      throw ModelError.unused(tensor: place.name, count: unused.count, file: file)
    }
    return network
  }

  /// The numbers of a parameter; `nil` where the file has none.
  private func numbers(_ name: String, _ shape: [Int]) throws -> [Float]? {
    guard let place = names.places[name] else { return nil }
    var tensor = try tensors.tensor(place.name)
    if let rows = place.rows, let first = tensor.shape.first {
      guard rows.upperBound <= first else {
        throw ModelError.misshapen(tensor: place.name, found: tensor.shape, expected: shape)
      }
      tensor = tensor.sliced(axis: 0, rows)
    }
    guard tensor.shape == shape else {
      throw ModelError.misshapen(tensor: place.name, found: tensor.shape, expected: shape)
    }
    return try tensor.floats(place.name)
  }
}

extension Tensor {
  /// The numbers of a dense tensor of any floating-point type.
  ///
  /// - Throws: ``ModelError/notFinite(tensor:index:value:)`` for the first that float32 does not have.
  func floats(_ name: String) throws -> [Float] {
    if type == .float64 {
      let numbers = withElements(as: Double.self) { span in span.indices.map { span[$0] } }
      let rounded = numbers.map { Float($0) }
      if let index = rounded.firstIndex(where: { !$0.isFinite }) {
        throw ModelError.notFinite(tensor: name, index: index, value: numbers[index])
      }
      return rounded
    }
    let numbers = try asFloat32(name).withElements(as: Float.self) { span in span.indices.map { span[$0] } }
    if let index = numbers.firstIndex(where: { !$0.isFinite }) {
      throw ModelError.notFinite(tensor: name, index: index, value: Double(numbers[index]))
    }
    return numbers
  }
}
