import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// Judges the gradients of a whole network, whatever it is.
struct NetworkJudge {
  /// The loss of a network with these parameters.
  let loss: (ParameterSet) throws -> Variable

  /// Numbers larger than at the beginning of training, so that no gradient is lost in another's rounding.
  ///
  /// - Parameter changing: a parameter's name, a place and what is added there.
  static func source(changing: (String, Int, Float)? = nil) -> ParameterSet.Source {
    var generator = SeededGenerator(seed: 5)
    return .read { name, shape in
      var numbers = (0..<shape.reduce(1, *)).map { _ in Float.random(in: -0.5...0.5, using: &generator) }
      if name.hasSuffix("log_dt") { numbers = numbers.map { $0 - 2 } }
      if let changing, changing.0 == name { numbers[changing.1] += changing.2 }
      return numbers
    }
  }

  static func exactDevice() -> Device { Device(ReferenceExecutor<Double>(checked: false), scalar: .float64) }

  private func run(on device: Device, changing: (String, Int, Float)? = nil) throws -> (
    value: Double, parameters: ParameterSet
  ) {
    let parameters = ParameterSet(Self.source(changing: changing), on: device)
    let loss = try loss(parameters)
    if changing == nil { try loss.backward() }
    return (Self.doubles(try device.executor.fetch(loss.value))[0], parameters)
  }

  /// Compares gradients with four-point difference quotients in float64, at three places of each parameter.
  ///
  /// - Parameter unused: parameters that need have no gradient.
  func expectDifferenceQuotients(unused: [String] = []) throws {
    let found = try run(on: Self.exactDevice()).parameters
    var worst = 0.0
    for parameter in found.parameters where parameter.group.isTrained {
      guard let gradient = parameter.variable.gradient else {
        #expect(unused.contains(parameter.name), "\(parameter.name) has no gradient")
        continue
      }
      let numbers = Self.doubles(try found.device.dense(gradient))
      let largest = numbers.map(abs).max() ?? 0
      for place in [0, numbers.count / 2, numbers.count - 1] {
        let step: Float = 0x1p-9
        let values = try [-2, -1, 1, 2].map {
          try run(on: Self.exactDevice(), changing: (parameter.name, place, Float($0) * step)).value
        }
        let quotient = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * Double(step))
        let difference = abs(quotient - numbers[place]) / max(largest, 1e-4)
        if difference > 1e-5 {
          Issue.record("\(parameter.name)[\(place)]: \(numbers[place]), not \(quotient)")
        }
        worst = max(worst, difference)
      }
    }
    #expect(worst < 1e-5)
  }

  /// Compares loss and gradients of the cores with those in float64.
  ///
  /// - Parameter isApart: whether memory is as a GPU's and rows lie as it wants them.
  func expectCoresAgree(isApart: Bool = false) throws {
    let cores = try CPUExecutor(threads: 2)
    let device = Device(isApart ? DeviceExecutor(cores) : cores)
    try expectNear(device, loss: 1e-5, gradients: 1e-4) { y, _ in
      // A bias that no output depends on has gradients of rounding errors alone.
      y.contains { abs($0) > 1e-7 }
    }
  }

  /// Compares with 16-bit factors, on the cores and as a GPU does it: rows that lie apart, transforms by matrices.
  ///
  /// Eight bits: a part in 256 for each of some dozen roundings that follow each other.
  func expectMixedPrecisionIsNear(isApart: Bool) throws {
    let cores = try CPUExecutor(threads: 2)
    let device = Device(isApart ? DeviceExecutor(cores) : cores, factors: .bfloat16)
    try expectNear(device, loss: 0.02, gradients: 0.06) { y, largest in
      y.contains { abs($0) > 1e-2 * largest }
    }
  }

  /// - Parameter counts: whether gradients are compared: those in float64, and the largest of all parameters.
  private func expectNear(
    _ device: Device, loss bound: Double, gradients gradientBound: Double,
    _ counts: ([Double], Double) -> Bool
  ) throws {
    let exact = try run(on: Self.exactDevice())
    let found = try run(on: device)
    #expect(abs(found.value - exact.value) < bound)
    #expect(device.factors == device.scalar || found.value != exact.value)
    func gradient(_ parameter: Parameter) throws -> [Double]? {
      try parameter.variable.gradient.map { Self.doubles(try parameter.variable.device.dense($0)) }
    }
    let largest = try exact.parameters.parameters.compactMap(gradient).joined().map(abs).max() ?? 0
    for (a, b) in zip(found.parameters.parameters, exact.parameters.parameters) where a.group.isTrained {
      guard let own = a.variable.gradient, let y = try gradient(b) else {
        #expect(a.variable.gradient == nil && b.variable.gradient == nil, "\(a.name)")
        continue
      }
      #expect(own.type == .float32, "\(a.name)")
      guard counts(y, largest) else { continue }
      let error = relativeError(try device.numbers(own).map(Double.init), y)
      #expect(error < gradientBound, "\(a.name) is off by \(error)")
    }
  }

  /// Numbers of an array, float32 or float64.
  static func doubles(_ tensor: Tensor) -> [Double] {
    tensor.type == .float64
      ? tensor.withElements(as: Double.self) { s in s.indices.map { s[$0] } } : values(tensor)
  }
}
