import Formats
import Foundation
import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Models
@testable import Tensors

/// Reference tensors of one of the original modules; see Golden/sequence/NOTE.md and Scripts/golden/sequence.py.
struct GoldenCase {
  let file: Safetensors

  init(_ name: String) throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path
    file = try Safetensors(path: "\(folder)/Golden/sequence/\(name).safetensors")
  }

  /// The numbers of a tensor.
  func numbers(_ name: String) throws -> [Double] { values(try file.tensor(name)) }

  /// Numbers of an array of the device, float32 or float64.
  private func computed(_ variable: Variable) throws -> [Double] {
    let dense = try variable.device.dense(variable.value)
    return dense.type == .float64
      ? dense.withElements(as: Double.self) { s in s.indices.map { s[$0] } } : values(dense)
  }

  /// In float64 what is left is the rounding of the file's numbers to float32.
  private func bound(_ bound: Double, on device: Device) -> Double {
    device.scalar == .float64 ? 1e-6 : bound
  }

  func floats(_ name: String) throws -> [Float] { try numbers(name).map { Float($0) } }

  func shape(_ name: String) throws -> [Int] { try file.tensor(name).shape }

  /// Whole numbers.
  func integers(_ name: String) throws -> [Int32] {
    try file.tensor(name).withElements(as: Int64.self) { span in span.indices.map { Int32(span[$0]) } }
  }

  /// A tensor as a variable.
  func variable(_ name: String, on device: Device, needsGradient: Bool = false) throws -> Variable {
    Variable(try device.tensor(floats(name), shape(name)), on: device, needsGradient: needsGradient)
  }

  /// The module's parameters; gradients go to them.
  func parameters(on device: Device) -> ParameterSet {
    ParameterSet(
      .read { name, shape in
        let stored = "param.\(name)"
        guard file.contains(stored) else { return nil }
        let found = try self.shape(stored)
        guard found == shape else { throw ModelError.misshapen(tensor: name, found: found, expected: shape) }
        return try floats(stored)
      }, on: device)
  }

  /// Compares a result with a tensor of the file, relative to its norm.
  func expect(_ found: Variable, _ name: String, within bound: Double = 1e-5) throws {
    let error = relativeError(try computed(found), try numbers(name))
    #expect(error < self.bound(bound, on: found.device), "\(name) is off by \(error)")
  }

  /// Compares the gradients of all parameters that there are reference gradients for.
  func expectGradients(_ parameters: ParameterSet, within bound: Double = 1e-5) throws {
    var compared = 0
    for parameter in parameters.parameters where file.contains("grad.\(parameter.name)") {
      guard let gradient = parameter.variable.gradient else {
        Issue.record("\(parameter.name) has no gradient")
        continue
      }
      let wanted = try numbers("grad.\(parameter.name)")
      let found = try computed(Variable(gradient, on: parameters.device))
      compared += 1
      // A gradient that is nothing but rounding has no relative error.
      if wanted.allSatisfy({ abs($0) < 1e-7 }) {
        #expect(found.allSatisfy { abs($0) < 1e-5 }, "\(parameter.name)")
      } else {
        let error = relativeError(found, wanted)
        #expect(
          error < self.bound(bound, on: parameters.device), "gradient of \(parameter.name) is off by \(error)"
        )
      }
    }
    #expect(compared > 0)
  }
}
