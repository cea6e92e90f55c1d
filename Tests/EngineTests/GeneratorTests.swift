import Engine
import Memory
import Models
import Testing
import Tiles
import TilesCPU

/// A small Llama with random weights, enough for the engine's properties.
///
/// - Parameters:
///   - spoilt: a token whose embedding is not a number.
///   - executor: what it runs on; by default so many threads.
func tinyModel(
  threads: Int = 2, seed: UInt64 = 1, cacheType: ElementType = .float32, spoilt: Int? = nil,
  executor: (any Executor)? = nil, exact: Bool = true
) throws -> Llama {
  var state = seed
  func random(_ shape: [Int], scale: Float) throws -> Tensor {
    let tensor = try Tensor(zeros: .float32, shape)
    tensor.withMutableElements(as: Float.self) { span in
      for index in span.indices {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        span[index] = Float(Int32(truncatingIfNeeded: state >> 32)) / 2_147_483_648 * scale
      }
    }
    return tensor
  }
  let configuration = try LlamaConfiguration(
    layers: 2, hiddenSize: 64, headCount: 6, kvHeadCount: 2, headSize: 16, feedForwardSize: 96,
    vocabularySize: 300, contextLength: 2048, base: 10_000)
  func ones(_ count: Int) throws -> Tensor {
    let tensor = try Tensor(zeros: .float32, [count])
    tensor.withMutableElements(as: Float.self) { span in for index in span.indices { span[index] = 1 } }
    return tensor
  }
  let layers = try (0..<2).map { _ in
    LlamaWeights.Layer(
      attentionNorm: try ones(64), query: try random([96, 64], scale: 0.4),
      key: try random([32, 64], scale: 0.4),
      value: try random([32, 64], scale: 0.4), output: try random([64, 96], scale: 0.3),
      feedForwardNorm: try ones(64), gate: try random([96, 64], scale: 0.3),
      up: try random([96, 64], scale: 0.3),
      down: try random([64, 96], scale: 0.3))
  }
  let embedding = try random([300, 64], scale: 1)
  let table = try Tensor(zeros: .float32, [300, 64])
  table.withMutableElements(as: Float.self) { copy in
    embedding.withElements(as: Float.self) { span in
      for index in span.indices { copy[index] = spoilt == index / 64 ? .nan : span[index] }
    }
  }
  let weights = LlamaWeights(embedding: table, layers: layers, finalNorm: try ones(64), head: embedding)
  return try Llama(
    configuration, weights: weights, executor: executor ?? CPUExecutor(threads: threads), exact: exact,
    cacheType: cacheType)
}

/// Runs requests to their end and returns each one's tokens.
func run(_ requests: [GenerationRequest], _ generator: Generator) throws -> [[Int32]] {
  var numbers: [Int: Int] = [:]
  for (index, request) in requests.enumerated() { numbers[try generator.submit(request)] = index }
  var tokens = [[Int32]](repeating: [], count: requests.count)
  var steps = 0
  while !generator.isIdle {
    for event in try generator.step() {
      if case .token(let request, let choice) = event { tokens[numbers[request]!].append(choice.token) }
    }
    steps += 1
    try #require(steps < 20_000, "the schedule makes no progress")
  }
  return tokens
}

@Suite struct GeneratorTests {
  /// Prompts over a tree: a common document, two chapters, and ends of their own around page boundaries.
  static let requests: [GenerationRequest] = (0..<9).map { number in
    let document = (0..<200).map { Int32(($0 * 7 + 3) % 290) }
    let chapter = (0..<(number % 2 == 0 ? 120 : 67)).map { Int32(($0 * 11 + number % 2) % 290) }
    let own = (0..<[1, 63, 64, 65, 2, 130, 5, 9, 17][number]).map { Int32(($0 * 13 + number * 5) % 290) }
    var request = GenerationRequest(prompt: document + chapter + own, maximumTokens: 12)
    request.sampling.temperature = number % 3 == 0 ? 0 : 0.9
    request.sampling.topP = 0.95
    request.sampling.seed = UInt64(number)
    return request
  }

  /// Tokens of each request run on its own.
  static func alone() throws -> [[Int32]] {
    let model = try tinyModel()
    return try requests.map { request in try run([request], Generator(model))[0] }
  }

  @Test func batchEqualsOneByOne() throws {
    let model = try tinyModel()
    let expected = try Self.alone()
    for mode in SharingMode.allCases {
      var options = Generator.Options()
      options.sharing = mode
      let generator = try Generator(model, options: options)
      #expect(try run(Self.requests, generator) == expected, "\(mode)")
      #expect(generator.pages.used == 0)
      if mode == .always {
        #expect(generator.statistics.pageVisits < generator.statistics.pageVisitsUnshared)
      }
    }
  }

  @Test(arguments: [1, 7, 64, 100]) func stepSizeDoesNotMatter(tokens: Int) throws {
    var options = Generator.Options()
    options.stepTokens = tokens
    #expect(try run(Self.requests, Generator(tinyModel(), options: options)) == Self.alone())
  }

  @Test(arguments: [9, 10, 14]) func smallBudgetsEvictAndComputeAgain(pages: Int) throws {
    let model = try tinyModel()
    var options = Generator.Options()
    options.cacheBytes = pages * model.cacheGeometry.pageBytes
    let generator = try Generator(model, options: options)
    #expect(try run(Self.requests, generator) == Self.alone())
    #expect(generator.pages.used == 0)
  }

  /// What is rounded once on its way into a page is the same for everyone who reads it.
  @Test(arguments: [ElementType.float16, .int8]) func narrowCachesKeepTheEqualities(type: ElementType) throws
  {
    let model = try tinyModel(cacheType: type)
    let alone = try Self.requests.map { try run([$0], Generator(model))[0] }
    for mode in SharingMode.allCases {
      var options = Generator.Options()
      options.sharing = mode
      options.cacheBytes = 14 * model.cacheGeometry.pageBytes
      #expect(try run(Self.requests, Generator(model, options: options)) == alone, "\(mode)")
    }
  }

  @Test func withoutReuseNothingChanges() throws {
    var options = Generator.Options()
    options.reusesPrefixes = false
    let generator = try Generator(tinyModel(), options: options)
    #expect(try run(Self.requests, generator) == Self.alone())
    #expect(generator.statistics.promptTokensReused == 0)
  }

  @Test func threadsAndTablesDoNotMatter() throws {
    #expect(try run(Self.requests, Generator(tinyModel(threads: 1))) == Self.alone())
  }

  @Test func theCommonPrefixIsComputedOnce() throws {
    let generator = try Generator(tinyModel())
    let prompts = (0..<8).map {
      GenerationRequest(prompt: Self.requests[0].prompt + [Int32($0)], maximumTokens: 2)
    }
    _ = try run(prompts, generator)
    let pages = Self.requests[0].prompt.count / 64
    #expect(generator.statistics.promptTokensReused == 7 * pages * 64)
  }

  @Test func refusalsNameTheNumbers() throws {
    let model = try tinyModel()
    let generator = try Generator(model)
    #expect(throws: EngineError.tooLong(prompt: 2040, generated: 9, limit: 2048)) {
      try generator.submit(GenerationRequest(prompt: [Int32](repeating: 1, count: 2040), maximumTokens: 9))
    }
    #expect(throws: EngineError.emptyPrompt) {
      try generator.submit(GenerationRequest(prompt: [], maximumTokens: 1))
    }
    #expect(throws: EngineError.tokenOutOfRange(token: 300, vocabulary: 300)) {
      try generator.submit(GenerationRequest(prompt: [300], maximumTokens: 1))
    }
    var request = GenerationRequest(prompt: [1], maximumTokens: 1)
    request.sampling.temperature = .nan
    #expect(throws: EngineError.self) { try generator.submit(request) }
    var options = Generator.Options()
    options.cacheBytes = 4 * model.cacheGeometry.pageBytes
    let small = try Generator(model, options: options)
    #expect(
      throws: EngineError.cacheTooSmall(neededPages: 5, pages: 4, pageBytes: model.cacheGeometry.pageBytes)
    ) { try small.submit(GenerationRequest(prompt: [Int32](repeating: 1, count: 256), maximumTokens: 1)) }
  }
}

@Suite struct StopMatcherTests {
  @Test func holdsBackUntilDisproved() {
    var matcher = StopMatcher(["END", "\n\n"])
    #expect(matcher.append("abcE") == "abc")
    #expect(matcher.append("N") == "")
    #expect(matcher.append("X\n") == "ENX")
    #expect(matcher.append("yEN") == "\ny")
    #expect(matcher.append("D tail") == "")
    #expect(matcher.isMatched && matcher.finish() == "")
  }
}
