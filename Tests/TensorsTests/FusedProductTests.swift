import Kernels
import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Tensors

/// Products and what follows them in one kernel, as a GPU computes where nothing is recorded, against the same in float64.
@Suite struct FusedProductTests {
  /// Numbers rounded to eight bits, sums of up to 130 products of them, and a result rounded again.
  private static let bound = 0.01

  private func leaf(_ shape: [Int], _ seed: UInt64, on device: Device) throws -> Variable {
    Variable(
      try device.tensor(numbers(shape.reduce(1, *), seed: seed), shape), on: device, needsGradient: true)
  }

  private func expectAgreement(_ body: (Device) throws -> Variable) throws {
    let exact = exactDevice()
    let device = Device(DeviceExecutor(try CPUExecutor(threads: 2)), factors: .bfloat16)
    let expected = try body(exact)
    let found = try device.evaluating { try body(device) }
    #expect(found.shape == expected.shape)
    #expect(found.value.type == .bfloat16)
    #expect(try relativeError(doubles(device, found.value), doubles(exact, expected.value)) < Self.bound)
    // Where operations are recorded they are done one by one, and mean the same.
    let recorded = try body(device)
    #expect(recorded.needsGradient)
    #expect(
      try relativeError(doubles(device, recorded.value), doubles(exact, expected.value)) < 2 * Self.bound)
  }

  private func doubles(_ device: Device, _ tensor: Tensor) throws -> [Double] {
    try device.numbers(tensor).map(Double.init)
  }

  @Test(arguments: [(1, 1, 1, 1), (2, 3, 5, 7), (1, 65, 130, 33), (3, 40, 64, 100)], [0, 1, 2, 3])
  func activationsAndResiduals(sizes: (Int, Int, Int, Int), bits: Int) throws {
    let (batch, m, k, n) = sizes
    let (turns, activates) = (bits & 1 != 0, bits & 2 != 0)
    try expectAgreement { device in
      let x = try leaf(turns ? [batch, k, m] : [batch, m, k], 1, on: device).converted(to: device.factors)
      let residual = try leaf([batch, m, n], 4, on: device).converted(to: device.factors)
      return try x.product(
        leaf([n, k], 2, on: device), transposesSelf: turns, transposesOther: true,
        bias: leaf([n], 3, on: device), activation: activates ? .gelu : nil, adding: residual)
    }
  }

  @Test(arguments: [(1, 1, 1, 1), (2, 3, 5, 7), (2, 65, 130, 33), (1, 33, 20, 300)])
  func biasesOfRows(batch: Int, m: Int, k: Int, n: Int) throws {
    try expectAgreement { device in
      try leaf([m, k], 1, on: device).products(
        withTransposed: leaf([batch, n, k], 2, on: device), bias: leaf([m], 3, on: device))
    }
  }

  @Test(arguments: [(1, 1, 1, 2), (7, 3, 5, 2), (65, 130, 33, 4), (130, 20, 100, 6)], [false, true])
  func blocks(sizes: (Int, Int, Int, Int), adds: Bool) throws {
    let (rows, p, q, blocks) = sizes
    try expectAgreement { device in
      let x = try leaf([1, rows, blocks * p], 1, on: device)
      let residual = try leaf([1, rows, blocks * q], 4, on: device).converted(to: device.factors)
      return try x.product(
        blocks: leaf([blocks, q, p], 2, on: device), bias: leaf([blocks * q], 3, on: device),
        adding: adds ? residual : nil
      ).converted(to: device.factors)
    }
    try expectAgreement { device in
      try leaf([rows, blocks * p], 1, on: device).gatedProduct(
        blocks: leaf([blocks, q, p], 2, on: device), .gelu
      ).converted(to: device.factors)
    }
  }

  /// Gradients are written where rows lie, those of rows that lie otherwise too.
  @Test(arguments: [(1, 1, 1, 2), (7, 3, 5, 2), (65, 9, 33, 4)], [false, true])
  func gradientsOfBlocks(sizes: (Int, Int, Int, Int), isTurned: Bool) throws {
    let (rows, p, q, blocks) = sizes
    for hasBias in [false, true] {
      let row = isTurned ? [blocks * p, rows] : [rows, blocks * p]
      let judged = Judged([row, [blocks, q, p]] + (hasBias ? [[blocks * q]] : [])) { leaves in
        let x = try isTurned ? leaves[0].permuted([1, 0]) : leaves[0]
        return try x.product(blocks: leaves[1], bias: hasBias ? leaves[2] : nil, adding: nil)
      }
      #expect(try judged.worstGradient(most: 12) < 1e-7)
      #expect(try judged.distance() < 1e-5)
      let values = judged.values()
      let device = Device(DeviceExecutor(try CPUExecutor(threads: 2)), factors: .bfloat16)
      let (exact, found) = (
        try judged.run(on: exactDevice(), values, gradients: true),
        try judged.run(on: device, values, gradients: true)
      )
      for (a, b) in zip(found.gradients, exact.gradients) { #expect(relativeError(a, b) < Self.bound) }
    }
  }

  @Test(arguments: [(1, 1, 1), (2, 65, 3), (3, 130, 64), (1, 200, 131)])
  func turning(batch: Int, length: Int, channels: Int) throws {
    let device = Device(DeviceExecutor(try CPUExecutor(threads: 2)), factors: .bfloat16)
    let x = try leaf([batch, length, channels], 1, on: device).converted(to: .bfloat16)
    let turned = try device.evaluating { try x.turned() }
    #expect(turned.value.isDense && turned.shape == [batch, channels, length])
    #expect(try device.numbers(turned.value) == device.numbers(x.value.permuted([0, 2, 1])))
    #expect(try !x.turned().value.isDense || length == 1 || channels == 1)
  }

  /// On cores weights whose numbers are ones of 16 bits are kept in those, and products have the same bits.
  @Test(arguments: [ElementType.float32, .float16, .bfloat16], [1, 3, 7, 40]) func keptHalvesGiveTheSameBits(
    type: ElementType, rows: Int
  ) throws {
    let device = Device(try CPUExecutor(threads: 2))
    let weight = try leaf([24, 37], 1, on: device)
    try weight.assign(
      device.numbers(device.converted(device.converted(weight.value, to: type), to: .float32)))
    let blocks = try leaf([3, 8, 16], 2, on: device)
    try blocks.assign(
      device.numbers(device.converted(device.converted(blocks.value, to: type), to: .float32)))
    let (x, y) = (try leaf([rows, 37], 3, on: device), try leaf([rows, 48], 4, on: device))
    func results() throws -> [[Float]] {
      try device.evaluating {
        try [
          x.product(weight.asRightFactor(), transposesOther: true), y.product(blocks: blocks.asRightFactor()),
        ].map { try device.numbers($0.value) }
      }
    }
    let before = try results()
    device.keepsWhatParametersGive = true
    let kept = try device.evaluating { try [weight, blocks].map { try $0.asRightFactor().value.type } }
    #expect(kept == [type, type])
    for _ in 0..<2 { #expect(try results() == before) }
    try weight.assign(numbers(24 * 37, seed: 9))
    #expect(try device.evaluating { try weight.asRightFactor().value.type } == .float32)
  }

  @Test func resultsOfParametersAreKeptUntilOneIsWritten() throws {
    let device = Device(DeviceExecutor(try CPUExecutor(threads: 2)), factors: .bfloat16)
    let weight = try leaf([3, 5], 1, on: device)
    var made = 0
    func result() throws -> [Float] {
      try device.numbers(
        device.keeping(for: weight, "twice") {
          made += 1
          return try (weight * 2).value
        })
    }
    func twice() throws -> [Float] { try device.numbers(weight.value).map { 2 * $0 } }
    // Neither where nobody asked for it, nor where operations are recorded.
    for _ in 0..<2 { #expect(try device.evaluating(result) == twice()) }
    device.keepsWhatParametersGive = true
    for _ in 0..<2 { #expect(try result() == twice()) }
    #expect(made == 4)
    for _ in 0..<3 { #expect(try device.evaluating(result) == twice()) }
    #expect(made == 5)
    try weight.assign(numbers(15, seed: 8))
    for _ in 0..<2 { #expect(try device.evaluating(result) == twice()) }
    #expect(made == 6)
    let moments = try (0..<2).map { _ in try device.constant([Float](repeating: 0, count: 15), [3, 5]) }
    try weight.moveByAdamW(
      gradient: device.tensor(numbers(15, seed: 3), [3, 5]), mean: moments[0], variance: moments[1],
      settings: device.constant([0.1, 1, 0.1, 0.9, 0.99, 1e-8], [6]), factor: device.constant([1], [1]))
    for _ in 0..<2 { #expect(try device.evaluating(result) == twice()) }
    #expect(made == 7)
  }
}
