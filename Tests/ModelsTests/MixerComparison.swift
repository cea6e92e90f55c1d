import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// The cores in float32, and float64, where nothing hides behind rounding.
func parityDevices() throws -> [Device] {
  [
    Device(try CPUExecutor(threads: 2)),
    Device(ReferenceExecutor<Double>(checked: false), scalar: .float64),
  ]
}

/// A layer against the original module: output and all gradients, on both devices.
///
/// - Parameters:
///   - prefix: in front of the names of inputs and outputs.
///   - make: gives the layer's function.
func compareLayer(
  _ name: String, prefix: String = "", output: String = "y", gradients: Bool = true,
  within bound: Double = 1e-5, _ make: (ParameterScope) throws -> (Variable) throws -> Variable
) throws {
  for device in try parityDevices() {
    let golden = try GoldenCase(name)
    let parameters = golden.parameters(on: device)
    let scope = prefix.isEmpty ? parameters.root : parameters.scope(prefix)
    let dotted = prefix.isEmpty ? "" : prefix + "."
    let layer = try make(scope)
    let u = try golden.variable("in.\(dotted)u", on: device, needsGradient: true)
    let y = try layer(u)
    try golden.expect(y, "out.\(dotted)\(output)", within: bound)
    guard gradients else { continue }
    try (y * golden.variable("in.\(dotted)w", on: device)).sum().backward()
    try golden.expectGradients(parameters, within: bound)
    if golden.file.contains("grad.\(dotted)u"), let gradient = u.gradient {
      try golden.expect(Variable(gradient, on: device), "grad.\(dotted)u", within: bound)
    }
  }
}

/// As ``compareLayer(_:prefix:output:gradients:within:_:)`` for a mixer.
func compareMixer(
  _ name: String, output: String = "y", gradients: Bool = true, within bound: Double = 1e-5,
  _ make: (ParameterScope) throws -> any SequenceMixer
) throws {
  try compareLayer(name, output: output, gradients: gradients, within: bound) { scope in
    let mixer = try make(scope)
    return { try mixer($0) }
  }
}
