internal import Glibc
internal import Memory
public import Tensors

/// The parameters of a network that trains, by name, in the order in which it asked for them.
///
/// Networks are built the same way whether their parameters are drawn or read: each layer asks for its own under the names
/// that published checkpoints use.
public final class ParameterSet {
  /// Where they live.
  public let device: Device
  /// All so far.
  public private(set) var parameters: [Parameter] = []
  private let source: Source
  private var places: [String: Int] = [:]
  private var total = 0

  /// Where numbers come from.
  public enum Source {
    /// Drawn anew; each parameter's numbers depend on its name and the seed alone.
    case drawn(seed: UInt64)
    /// The same, but that large ones that begin Gaussian are drawn on the device, uniformly with the same deviation: for networks whose
    /// times are measured, not their results.
    case drawnOnDevice(seed: UInt64)
    /// Read: the numbers of a name, or `nil` where there are none.
    case read((_ name: String, _ shape: [Int]) throws -> [Float]?)
  }

  /// An empty set.
  public init(_ source: Source, on device: Device) {
    self.source = source
    self.device = device
  }

  /// Asks without a prefix.
  public var root: ParameterScope { ParameterScope(self, prefix: "") }

  /// The names of a layer's parameters begin with this.
  public func scope(_ name: String) -> ParameterScope { ParameterScope(self, prefix: name + ".") }

  /// Numbers in all; what is only measured is no parameter.
  public var count: Int {
    parameters.reduce(0) { $0 + ($1.group == .statistics ? 0 : $1.variable.value.count) }
  }

  /// Numbers of a tensor; numbers are drawn in the host's memory, which would end the program where there is none.
  private func checkedCount(_ shape: [Int], _ name: String) throws(ModelError) -> Int {
    let (pages, bytes) = (sysconf(Int32(_SC_PHYS_PAGES)), sysconf(Int32(_SC_PAGESIZE)))
    let memory = pages > 0 && bytes > 0 ? pages * bytes : 1 << 40
    var count = 1
    for extent in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard !overflow, product <= memory / 8 - total else {
        throw .tooLarge(tensor: name, shape: shape, memory: memory)
      }
      count = product
    }
    return count
  }

  func parameter(_ name: String, _ shape: [Int], _ initial: Initialiser, _ group: ParameterGroup) throws
    -> Variable
  {
    precondition(places[name] == nil, "two parameters are called \(name)")
    let count = try checkedCount(shape, name)
    let value: Tensor
    switch (source, initial) {
    case (.drawnOnDevice(let seed), .normal(let deviation)) where count >= 1 << 16:
      device.begin(step: 0, seed: seed ^ name.fingerprint)
      value = try device.uniform(shape, within: deviation * Float(3).squareRoot())
    case (.drawn(let seed), _), (.drawnOnDevice(let seed), _):
      var generator = SeededNumbers(seed: seed ^ name.fingerprint)
      value = try device.tensor(initial.numbers(count, using: &generator), shape)
    case (.read(let find), _):
      guard let found = try find(name, shape) else { throw ModelError.missing(tensor: name, expected: shape) }
      value = try device.tensor(found, shape)
    }
    let variable = Variable(value, on: device, needsGradient: group.isTrained)
    total += count
    places[name] = parameters.count
    parameters.append(Parameter(name: name, variable: variable, group: group))
    return variable
  }
}

/// A named parameter.
public struct Parameter {
  /// As in checkpoints.
  public let name: String
  /// Its numbers and their gradient.
  public let variable: Variable
  /// How it is trained.
  public let group: ParameterGroup
}

/// Which rate and decay a parameter is trained with.
public enum ParameterGroup: String, Sendable, Hashable, CaseIterable {
  /// The recipe's own.
  case ordinary
  /// Time steps, poles and inputs of state spaces: a low rate, no decay.
  case stateSpace
  /// Taps of long filters, and networks that give them.
  case filter
  /// Positional features of implicit filters.
  case positions
  /// Not trained.
  case frozen
  /// Not trained but measured: running means and variances of batches.
  case statistics

  /// Whether gradients move it.
  public var isTrained: Bool {
    switch self {
    case .ordinary, .stateSpace, .filter, .positions: true
    case .frozen, .statistics: false
    }
  }
}

/// Asks a ``ParameterSet`` under a prefix.
public struct ParameterScope {
  private let parameters: ParameterSet
  private let prefix: String

  init(_ parameters: ParameterSet, prefix: String) {
    self.parameters = parameters
    self.prefix = prefix
  }

  /// Where parameters live.
  public var device: Device { parameters.device }

  /// The parameters of a part.
  public func scope(_ name: String) -> ParameterScope {
    ParameterScope(parameters, prefix: prefix + name + ".")
  }

  /// A parameter of that name and shape.
  ///
  /// - Throws: ``ModelError/missing(tensor:expected:)`` and what is wrong with a file it is read from.
  public func callAsFunction(
    _ name: String, _ shape: [Int], _ initial: Initialiser, _ group: ParameterGroup = .ordinary
  ) throws -> Variable {
    try parameters.parameter(prefix + name, shape, initial, group)
  }
}

/// How a parameter begins.
public enum Initialiser {
  /// All the same.
  case constant(Float)
  /// Independent, Gaussian with mean 0.
  case normal(deviation: Float)
  /// Independent, Gaussian with mean 0 and a deviation by place.
  case scaledNormal((Int) -> Float)
  /// Independent, within a range.
  case uniform(ClosedRange<Float>)
  /// Given by place.
  case values((Int) -> Float)

  func numbers(_ count: Int, using generator: inout SeededNumbers) -> [Float] {
    switch self {
    case .constant(let value): return [Float](repeating: value, count: count)
    case .uniform(let range): return (0..<count).map { _ in Float.random(in: range, using: &generator) }
    case .values(let value): return (0..<count).map(value)
    case .normal(let deviation):
      return (0..<count).map { _ in Self.gaussian(using: &generator) * deviation }
    case .scaledNormal(let deviation):
      return (0..<count).map { Self.gaussian(using: &generator) * deviation($0) }
    }
  }

  /// Box and Muller.
  private static func gaussian(using generator: inout SeededNumbers) -> Float {
    // The first number is above 0.
    let radius = (-2 * log(Double(generator.next() >> 11 + 1) * 0x1p-53)).squareRoot()
    let angle = 2 * Double.pi * Double(generator.next() >> 11) * 0x1p-53
    return Float(radius * cos(angle))
  }
}

extension String {
  /// FNV-1a of its bytes.
  var fingerprint: UInt64 {
    utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }
}
