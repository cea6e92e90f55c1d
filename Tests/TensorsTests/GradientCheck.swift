import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Tensors

/// A device that computes in float64, one number at a time.
func exactDevice() -> Device { Device(ReferenceExecutor<Double>(checked: true), scalar: .float64) }

/// The cores.
func coreDevice() throws -> Device { Device(try CPUExecutor(threads: 2)) }

/// Numbers in a range by seed.
func numbers(_ count: Int, seed: UInt64, in range: ClosedRange<Float> = -1...1) -> [Float] {
  var generator = SeededGenerator(seed: seed)
  return (0..<count).map { _ in Float.random(in: range, using: &generator) }
}

/// A function of leaves that can be judged: their shapes, the range of their numbers, and what is computed.
struct Judged {
  var shapes: [[Int]]
  var range: ClosedRange<Float> = -1...1
  var body: ([Variable]) throws -> Variable

  init(
    _ shapes: [[Int]], in range: ClosedRange<Float> = -1...1,
    _ body: @escaping ([Variable]) throws -> Variable
  ) {
    self.shapes = shapes
    self.range = range
    self.body = body
  }

  /// Σ weight · body, the weights random, as a number, and its gradients.
  func run(on device: Device, _ values: [[Float]], gradients: Bool) throws -> (
    value: Double, gradients: [[Double]]
  ) {
    device.begin(step: 0, seed: 1)
    let leaves = try zip(values, shapes).map {
      Variable(try device.tensor($0, $1), on: device, needsGradient: gradients)
    }
    let result = try body(leaves)
    let weights = try device.constant(numbers(result.value.count, seed: 99), result.shape)
    let loss = try (result * weights).sum()
    if gradients { try loss.backward() }
    return (
      try doubles(device, loss.value)[0],
      try leaves.map { leaf in try leaf.gradient.map { try doubles(device, $0) } ?? [] }
    )
  }

  func values() -> [[Float]] {
    shapes.enumerated().map { numbers($1.reduce(1, *), seed: UInt64($0 + 7), in: range) }
  }

  /// The largest difference between gradients and difference quotients in float64, relative to the largest gradient of the leaf.
  func worstGradient(step: Float = 0x1p-10, most: Int = 40) throws -> Double {
    let values = values()
    let exact = exactDevice()
    let found = try run(on: exact, values, gradients: true).gradients
    var worst = 0.0
    for leaf in values.indices {
      guard found[leaf].count == values[leaf].count else { return .infinity }
      let largest = found[leaf].map(abs).max() ?? 0
      let stride = max(1, values[leaf].count / most)
      for place in Swift.stride(from: 0, to: values[leaf].count, by: stride) {
        // Four points: the error falls with the fourth power of the step.
        func value(_ offset: Float) throws -> (Double, Double) {
          var moved = values
          moved[leaf][place] += offset
          return (try run(on: exact, moved, gradients: false).value, Double(moved[leaf][place]))
        }
        let (a, b, c, d) = (try value(-2 * step), try value(-step), try value(step), try value(2 * step))
        let h = (d.1 - a.1) / 4
        let quotient = (8 * (c.0 - b.0) - (d.0 - a.0)) / (12 * h)
        worst = max(worst, abs(quotient - found[leaf][place]) / max(largest, 1e-3))
      }
    }
    return worst
  }

  /// How far the cores' gradients are from those in float64, relative to the norm of each; results are judged by
  /// ``DefinitionTests``.
  func distance() throws -> Double {
    let values = values()
    let exact = try run(on: exactDevice(), values, gradients: true)
    let found = try run(on: coreDevice(), values, gradients: true)
    var worst = 0.0
    for (a, b) in zip(found.gradients, exact.gradients) { worst = max(worst, relativeError(a, b)) }
    return worst
  }
}

/// Numbers of an array, float32 or float64.
func doubles(_ device: Device, _ tensor: Tensor) throws -> [Double] {
  let host = try device.executor.fetch(device.dense(tensor))
  if host.type == .float64 {
    return host.withElements(as: Double.self) { span in span.indices.map { span[$0] } }
  }
  return values(host)
}
