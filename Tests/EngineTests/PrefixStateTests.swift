import Engine
import Formats
import Foundation
import Memory
import Models
import TestSupport
import Testing

@Suite struct PrefixStateTests {
  static let document = (0..<300).map { Int32(($0 * 7 + 3) % 290) }

  static func requests() -> [GenerationRequest] {
    (0..<4).map { number in
      var request = GenerationRequest(
        prompt: document + [Int32(number), 5, Int32(7 * number)], maximumTokens: 10)
      request.sampling.temperature = number < 2 ? 0 : 0.9
      request.sampling.seed = UInt64(number)
      return request
    }
  }

  /// A path that is gone when the body ends.
  static func withFile<Result>(_ body: (String) throws -> Result) throws -> Result {
    let path = Scratch.path("state.safetensors")
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
  }

  /// Saves the document's state as a model computes it.
  static func save(_ model: Llama, to path: String) throws -> Int {
    let generator = try Generator(model)
    _ = try run([GenerationRequest(prompt: document, maximumTokens: 1)], generator)
    return try generator.savePrefix(document, to: path)
  }

  /// The message of what loading into a fresh generator throws.
  static func refusal(_ path: String, _ model: Llama) throws -> String {
    let generator = try Generator(model)
    do { _ = try generator.loadPrefix(from: path) } catch {
      #expect(generator.pages.used == 0)
      return "\(error)"
    }
    Issue.record("\(path) was loaded")
    return ""
  }

  @Test(arguments: [ElementType.float32, .float16, .int8])
  func goesOnWithTheSameBits(type: ElementType) throws {
    let expected = try run(Self.requests(), Generator(tinyModel(cacheType: type)))
    try Self.withFile { path in
      #expect(try Self.save(tinyModel(cacheType: type), to: path) == 256)
      let generator = try Generator(tinyModel(threads: 1, cacheType: type))
      let before = try Generator(tinyModel(cacheType: type))
      #expect(try generator.loadPrefix(from: path) == Array(Self.document.prefix(256)))
      #expect(try generator.loadPrefix(from: path).count == 256, "a second time changes nothing")
      #expect(generator.pages.used == before.pages.used)
      #expect(try run(Self.requests(), generator) == expected)
      // Every prompt finds the saved pages; only their ends of 47 tokens are computed.
      #expect(generator.statistics.promptTokensReused == 4 * 256)
      // What was loaded can be saved again: the same file.
      try Self.withFile { (copy: String) throws -> Void in
        #expect(try generator.savePrefix(Array(Self.document.prefix(256)), to: copy) == 256)
        #expect(try Data(contentsOf: URL(filePath: copy)) == Data(contentsOf: URL(filePath: path)))
      }
    }
  }

  @Test func smallCachesEvictForItOrRefuse() throws {
    try Self.withFile { path in
      _ = try Self.save(tinyModel(), to: path)
      let model = try tinyModel()
      var options = Generator.Options()
      options.cacheBytes = 6 * model.cacheGeometry.pageBytes
      let generator = try Generator(model, options: options)
      _ = try run([GenerationRequest(prompt: [Int32](repeating: 9, count: 330), maximumTokens: 1)], generator)
      #expect(try generator.loadPrefix(from: path).count == 256)
      #expect(try run([Self.requests()[0]], generator) == [run([Self.requests()[0]], Generator(model))[0]])
      options.cacheBytes = 3 * model.cacheGeometry.pageBytes
      let tiny = try Generator(model, options: options)
      #expect(
        throws: EngineError.cacheTooSmall(neededPages: 4, pages: 3, pageBytes: model.cacheGeometry.pageBytes)
      ) { try tiny.loadPrefix(from: path) }
      #expect(tiny.pages.used == 0)
    }
  }

  @Test func saltsKeepItApart() throws {
    try Self.withFile { path in
      _ = try Self.save(tinyModel(), to: path)
      let generator = try Generator(tinyModel())
      _ = try generator.loadPrefix(from: path, salt: 1)
      _ = try run([Self.requests()[0]], generator)
      #expect(generator.statistics.promptTokensReused == 0)
    }
  }

  @Test func otherModelsRefuseIt() throws {
    try Self.withFile { path in
      _ = try Self.save(tinyModel(), to: path)
      #expect(try Self.refusal(path, tinyModel(seed: 2)).contains("fingerprint is "))
      #expect(try Self.refusal(path, tinyModel(cacheType: .float16)).contains("cache_type is float32 there"))
    }
  }

  @Test func whatIsNotCachedCannotBeSaved() throws {
    let generator = try Generator(tinyModel(threads: 1))
    #expect(throws: EngineError.nothingToSave(tokens: 300, pageTokens: 64)) {
      try generator.savePrefix(Self.document, to: "/nowhere/file")
    }
  }

  /// The file's parts, to be put together again with a fault.
  private struct Parts {
    var tensors: [(name: String, tensor: Tensor)]
    var metadata: [String: String]

    init(_ path: String) throws {
      let file = try Safetensors(path: path)
      tensors = try file.tensors.map { ($0.name, try file.tensor($0.name)) }
      metadata = file.metadata
    }
  }

  private static func spoiled(_ change: (inout Parts) throws -> Void) throws -> String {
    try withFile { path in
      _ = try save(tinyModel(), to: path)
      var parts = try Parts(path)
      try change(&parts)
      try SafetensorsWriter.write(parts.tensors, metadata: parts.metadata, to: path)
      return try refusal(path, tinyModel(threads: 1))
    }
  }

  @Test func damagedHeadersAreNamed() throws {
    #expect(try Self.spoiled { $0.metadata = [:] }.contains("it is no saved prefix"))
    #expect(try Self.spoiled { $0.metadata["version"] = "2" }.contains("its version is 2"))
    #expect(try Self.spoiled { $0.metadata["tokens"] = "192" }.contains("256 tokens, its header says 192"))
    #expect(try Self.spoiled { $0.metadata["checksum"] = nil }.contains("its header says nothing"))
    #expect(try Self.spoiled { $0.metadata["layers"] = "3" }.contains("layers is 3 there, 2 here"))
  }

  @Test func damagedTensorsAreNamed() throws {
    func index(_ parts: Parts, _ name: String) throws -> Int {
      try #require(parts.tensors.firstIndex { $0.name == name })
    }
    let missing = try Self.spoiled { $0.tensors.remove(at: try index($0, "keys.000001")) }
    #expect(missing.contains("it has 8 tensors, 9 are needed"), "\(missing)")
    let renamed = try Self.spoiled { $0.tensors[try index($0, "keys.000001")].name = "keys.000009" }
    #expect(renamed.contains("no tensor \"keys.000001\""), "\(renamed)")
    let misshapen = try Self.spoiled {
      let place = try index($0, "values.000003")
      $0.tensors[place].tensor = try Tensor(zeros: .float32, [2, 2, 16, 64])
    }
    #expect(misshapen.contains("values.000003 is float32 [2, 2, 16, 64], float32 [2, 2, 64, 16] is needed"))
    let short = try Self.spoiled {
      $0.tensors[try index($0, "tokens")].tensor = try Tensor(zeros: .int32, [255])
      $0.metadata["tokens"] = "255"
    }
    #expect(short.contains("a multiple of 64 is needed"), "\(short)")
    let empty = try Self.spoiled {
      $0.tensors = [("tokens", try Tensor(zeros: .int32, [0]))]
      $0.metadata["tokens"] = "0"
    }
    #expect(empty.contains("it has 0 tokens"), "\(empty)")
    let swapped = try Self.spoiled {
      let (a, b) = (try index($0, "keys.000000"), try index($0, "keys.000002"))
      ($0.tensors[a].name, $0.tensors[b].name) = ($0.tensors[b].name, $0.tensors[a].name)
    }
    #expect(swapped.contains("its numbers have the checksum"), "\(swapped)")
  }

  /// Any bit of the file turned over, and any cut, is an error.
  @Test func flippedBitsAndCutsAreFound() throws {
    try Self.withFile { path in
      _ = try Self.save(tinyModel(), to: path)
      let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
      let model = try tinyModel(threads: 1)
      let places = [0, 5, 9, 40, 300, 900, bytes.count / 2, bytes.count - 1024, bytes.count - 1]
      for place in places {
        var damaged = bytes
        damaged[place] ^= 0x10
        try Data(damaged).write(to: URL(filePath: path))
        #expect(throws: (any Error).self, "byte \(place)") { try Generator(model).loadPrefix(from: path) }
      }
      for length in [0, 7, 8, 100, bytes.count / 2, bytes.count - 1] {
        try Data(bytes.prefix(length)).write(to: URL(filePath: path))
        #expect(throws: (any Error).self, "\(length) bytes") { try Generator(model).loadPrefix(from: path) }
      }
    }
  }
}
