import Engine
import Formats
import Foundation
import Memory
import Models
import Testing
import Tiles
import TilesCPU

/// A tiny network with reference logits, by Scripts/golden/llama.py or gpt2.py.
struct GoldenNetwork {
  let config: JSON
  let shapes: [(name: String, shape: [Int])]
  let tokens: [Int32]
  let positions: [Int32]
  let logits: [[Double]]

  /// All networks of a file in Golden, by name.
  static func read(_ file: String) throws -> [String: GoldenNetwork] {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")
    let json = try JSON.read(folder.appendingPathComponent(file).path)
    let members = try #require(json.object).members
    return try Dictionary(uniqueKeysWithValues: members.map { ($0.key, try GoldenNetwork($0.value)) })
  }

  init(_ json: JSON) throws {
    config = try #require(json["config"])
    shapes = try #require(json["tensors"]?.object).members.map {
      ($0.key, try #require($0.value.array).compactMap(\.integer))
    }
    tokens = try #require(json["tokens"]?.array).compactMap(\.integer).map(Int32.init)
    positions = try #require(json["positions"]?.array).compactMap(\.integer).map(Int32.init)
    logits = try #require(json["logits"]?.array).map { try #require($0.array).compactMap(\.number) }
  }

  /// The same multiples of 1/128 as `weight` in llama.py makes.
  static func weight(_ name: String, _ shape: [Int], _ type: ElementType) throws -> Tensor {
    var seed: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name.utf8 { seed = (seed ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let lastParts = name.split(separator: ".").suffix(2)
    let isNorm =
      lastParts.last == "weight" && lastParts.contains { $0.contains("norm") || $0.hasPrefix("ln_") }
    func value(_ index: Int) -> Float {
      var z = seed &+ UInt64(index + 1) &* 0x9E37_79B9_7F4A_7C15
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      z ^= z >> 31
      let unit = (Float(z >> 56) - 128) / 128
      return isNorm ? 1 + unit / 4 : unit / 4
    }
    // Sums with a norm's 1 need more bits than bfloat16 has.
    let tensor = try Tensor(zeros: isNorm ? .float32 : type, shape)
    switch tensor.type {
    case .bfloat16:
      tensor.withMutableElements(as: UInt16.self) { span in
        for index in span.indices { span[index] = BFloat16(value(index)).bitPattern }
      }
    default:
      tensor.withMutableElements(as: Float.self) { span in
        for index in span.indices { span[index] = value(index) }
      }
    }
    return tensor
  }

  /// Writes the network as a Hugging Face folder, lets `change` spoil it, and hands on its path.
  func withFolder<Result>(
    type: ElementType = .float32, config changed: JSON? = nil,
    tensors change: (inout [(name: String, tensor: Tensor)]) throws -> Void = { _ in },
    _ body: (ModelDirectory) throws -> Result
  ) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("godwit-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var text: [UInt8] = []
    try (changed ?? config).write(into: &text)
    try Data(text).write(to: folder.appendingPathComponent("config.json"))
    var tensors = try shapes.map { (name: $0.name, tensor: try Self.weight($0.name, $0.shape, type)) }
    try change(&tensors)
    try SafetensorsWriter.write(tensors, to: folder.appendingPathComponent("model.safetensors").path)
    return try body(ModelDirectory(path: folder.path))
  }

  /// Opens the folder through the catalogue.
  func load(
    type: ElementType = .float32, config: JSON? = nil, executor: (any Executor)? = nil,
    options: Catalog.Options = Catalog.Options()
  ) throws -> any LanguageModel {
    try withFolder(type: type, config: config) {
      try Catalog.load($0, executor: executor ?? CPUExecutor(threads: 2), options: options)
    }
  }

  /// Logits at the reference's positions, computed in pieces of `step` tokens.
  func computed(_ model: any LanguageModel, step: Int) throws -> [[Double]] {
    var found: [[Double]] = []
    try forEachLogits(tokens, model, step: step) { position, logits in
      if positions.contains(Int32(position)) { found.append(logits.map(Double.init)) }
    }
    return found
  }
}

/// ‖found − exact‖₂ / ‖exact‖₂; infinity where a NaN or a missing element shows up.
func relativeError(_ found: [Double], _ exact: [Double]) -> Double {
  guard found.count == exact.count else { return .infinity }
  var (difference, norm) = (0.0, 0.0)
  for (x, y) in zip(found, exact) {
    difference += (x - y) * (x - y)
    norm += y * y
  }
  let ratio = (difference / norm).squareRoot()
  return ratio.isFinite ? ratio : .infinity
}

@Suite struct GoldenNetworkTests {
  /// Float32 sums of at most 96 terms in two blocks: 1e-5 is some ten roundings of each.
  @Test(arguments: [
    "tied", "untied", "llama3", "linear", "yarn", "attention-bias", "qwen2", "head-size", "mistral",
    "partial-rotary",
  ])
  func llamaAgreesWithTheReference(variant: String) throws {
    let network = try #require(try GoldenNetwork.read("tiny-llama.json")[variant])
    for (type, step) in [(ElementType.float32, 80), (.float32, 1), (.bfloat16, 33)] {
      let found = try network.computed(try network.load(type: type), step: step)
      try #require(found.count == network.logits.count)
      for (row, exact) in zip(found, network.logits) { #expect(relativeError(row, exact) < 1e-5) }
    }
  }

  @Test(arguments: ["tied", "untied", "inner"])
  func gpt2AgreesWithTheReference(variant: String) throws {
    let network = try #require(try GoldenNetwork.read("tiny-gpt2.json")[variant])
    for (type, step) in [(ElementType.float32, 80), (.float32, 1), (.bfloat16, 33)] {
      let found = try network.computed(try network.load(type: type), step: step)
      try #require(found.count == network.logits.count)
      for (row, exact) in zip(found, network.logits) { #expect(relativeError(row, exact) < 1e-5) }
    }
  }

  @Test func judgeRejectsMissingAndNaN() {
    #expect(relativeError([1], [1, 2]) == .infinity)
    #expect(relativeError([.nan, 2], [1, 2]) == .infinity)
    #expect(relativeError([-1], [1]) == 2)
  }
}
