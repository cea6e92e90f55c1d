import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// Linear attention in chunks against all pairs of positions.
@Suite struct LinearAttentionTests {
  /// The parameters of a layer by name, and its output for the same input as `exact` takes.
  private func run(
    _ device: Device, length: Int, width: Int, heads: Int, features: Int, chunk: Int, isCausal: Bool
  ) throws -> (y: [Double], input: [Float], parameters: [String: [Double]]) {
    let parameters = ParameterSet(NetworkJudge.source(), on: device)
    var layer = try LinearAttention(
      parameters.root, width: width, heads: heads, features: features, isCausal: isCausal)
    layer.chunk = chunk
    var generator = SeededGenerator(seed: 9)
    let input = (0..<2 * length * width).map { _ in Float.random(in: -2...2, using: &generator) }
    let y = try layer(device.constant(input, [2, length, width]))
    let numbers = try parameters.parameters.map {
      ($0.name, NetworkJudge.doubles(try device.dense($0.variable.value)))
    }
    return (
      NetworkJudge.doubles(try device.dense(y.value)), input, Dictionary(uniqueKeysWithValues: numbers)
    )
  }

  private func exact(
    _ input: [Float], _ parameters: [String: [Double]], length: Int, width: Int, heads: Int, features: Int,
    isCausal: Bool
  ) throws -> [Double] {
    func projected(_ name: String, _ x: [Double]) throws -> [Double] {
      let weight = try #require(parameters["\(name).weight"])
      let outputs = weight.count / width
      return (0..<x.count / width * outputs).map { place in
        (0..<width).reduce(0.0) {
          $0 + weight[place % outputs * width + $1] * x[place / outputs * width + $1]
        }
      }
    }
    let x = input.map(Double.init)
    let (q, k, v) = (try projected("proj_q", x), try projected("proj_k", x), try projected("proj_v", x))
    let (inner, size) = (heads * features, width / heads)
    var mixed = [Double](repeating: 0, count: x.count)
    for place in x.indices {
      let (row, channel) = (place / width, place % width)
      let (first, head) = (row / length * length, channel / size)
      var (sum, total) = (0.0, 0.0)
      for s in first...(isCausal ? row : first + length - 1) {
        let score = (0..<features).reduce(0.0) {
          $0 + q[row * inner + head * features + $1] * k[s * inner + head * features + $1]
        }
        let scaled = score / Double(features).squareRoot()
        let weight = 1 + scaled + scaled * scaled / 2
        sum += weight * v[s * width + channel]
        total += weight
      }
      mixed[place] = sum / total
    }
    return try projected("out_proj", mixed)
  }

  @Test(arguments: [(1, 4), (3, 4), (8, 4), (9, 4), (23, 5), (70, 64)], [(4, 1, 3), (6, 2, 1), (8, 2, 16)])
  func agreesWithTheDefinition(
    lengths: (length: Int, chunk: Int), sizes: (width: Int, heads: Int, features: Int)
  ) throws {
    let (length, chunk) = lengths
    let (width, heads, features) = sizes
    for (device, bound) in zip(try parityDevices(), [1e-5, 1e-6]) {
      for isCausal in [true, false] {
        let found = try run(
          device, length: length, width: width, heads: heads, features: features, chunk: chunk,
          isCausal: isCausal)
        let exact = try exact(
          found.input, found.parameters, length: length, width: width, heads: heads, features: features,
          isCausal: isCausal)
        #expect(relativeError(found.y, exact) < bound)
      }
    }
  }

  /// Several chunks in a loss: the network's own test has fewer positions than one.
  @Test func gradientsThroughSeveralChunks() throws {
    let judge = NetworkJudge { parameters in
      var layer = try LinearAttention(parameters.root, width: 4, heads: 2, features: 3)
      layer.chunk = 4
      var generator = SeededGenerator(seed: 9)
      let input = (0..<2 * 11 * 4).map { _ in Float.random(in: -2...2, using: &generator) }
      let y = try layer(parameters.device.constant(input, [2, 11, 4]))
      return try y.reshaped([22, 4]).crossEntropy((0..<22).map { Int32($0 % 4) }).loss
    }
    try judge.expectDifferenceQuotients()
    try judge.expectCoresAgree()
  }
}
