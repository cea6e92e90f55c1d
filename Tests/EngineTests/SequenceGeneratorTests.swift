import Foundation
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU
import TilesCUDA

@testable import Engine
@testable import Models
@testable import Tensors

@Suite struct SequenceGeneratorTests {
  private static let hyena = SequenceSettings.Mixer.hyena(
    order: 2, filterWidth: 8, features: 3, frequency: 5, hasWindow: true)

  private func network(
    _ mixer: SequenceSettings.Mixer = hyena, on executor: (any Executor)? = nil
  ) throws -> SequenceNetwork {
    let settings = SequenceSettings(
      vocabularySize: 13, width: 16, layers: 2, feedForward: 32, mixer: mixer, attentionLayers: [1], heads: 2,
      longest: 64)
    // Weights that make one token likelier than another by more than rounding.
    var generator = SeededGenerator(seed: 4)
    let source = ParameterSet.Source.read { name, shape in
      let shift: Float = name.hasSuffix("log_dt") ? -2 : 0
      return (0..<shape.reduce(1, *)).map { _ in Float.random(in: -0.5...0.5, using: &generator) + shift }
    }
    return try SequenceNetwork(
      settings, ParameterSet(source, on: Device(try executor ?? CPUExecutor(threads: 2))))
  }

  /// Tokens of each request, and why it ended.
  private func together(
    _ network: SequenceNetwork, _ requests: [GenerationRequest], atOnce: Int = 64
  ) throws -> [(tokens: [Int32], reason: FinishReason?)] {
    var found = requests.map { _ in (tokens: [Int32](), reason: FinishReason?.none) }
    var generator = SequenceGenerator(network)
    generator.maximumBatch = atOnce
    try generator.run(requests) { event in
      switch event {
      case .started(let request, _): #expect(found[request].tokens.isEmpty)
      case .token(let request, let choice): found[request].tokens.append(choice.token)
      case .finished(let request, let reason): found[request].reason = reason
      case .failed(let request, let error): Issue.record("\(request): \(error)")
      }
      return true
    }
    return found
  }

  /// Prompts of different lengths, different ends, chosen and drawn tokens: each as if it were alone, also near the longest context.
  @Test(arguments: [false, true], [true, false]) func batchesAreTheirRequests(isDevice: Bool, isPlain: Bool)
    throws
  {
    let cores = try CPUExecutor(threads: 2)
    let network = try network(
      isDevice ? .h3(states: 8, headWidth: 1) : Self.hyena, on: isDevice ? DeviceExecutor(cores) : cores)
    var requests = [
      GenerationRequest(prompt: [3, 1, 4, 1, 5], maximumTokens: 20),
      GenerationRequest(prompt: [2], maximumTokens: 3),
      GenerationRequest(prompt: [9, 2, 6], maximumTokens: 41),
      GenerationRequest(prompt: (0..<60).map { $0 % 13 }, maximumTokens: 4),
      GenerationRequest(prompt: [5, 3, 5], maximumTokens: 7),
    ]
    if !isPlain {
      requests[1].sampling.temperature = 1
      requests[4].alternatives = 2
      requests[2].sampling.repetitionPenalty = 1.5
    }
    let alone = try requests.map { try together(network, [$0])[0] }
    requests[0].stopTokens = [alone[0].tokens[6]]
    let stop = alone[0].tokens.firstIndex(of: alone[0].tokens[6]) ?? 0
    for atOnce in [64, 2] {
      let all = try together(network, requests, atOnce: atOnce)
      #expect(all[0] == (Array(alone[0].tokens[..<stop]), .stop))
      for index in 1..<requests.count {
        #expect(all[index].tokens == alone[index].tokens && all[index].reason == .length)
      }
    }
  }

  /// Convolutions are transformed over all that may follow, and round accordingly: what may follow others must not
  /// count.
  @Test(arguments: [
    hyena, .longConv(LongConvolutionSettings()),
    .monarchMixer(filterWidth: 6, features: 5, frequency: 3, normalises: true),
  ])
  func convolutionsRoundAsIfAlone(mixer: SequenceSettings.Mixer) throws {
    let network = try network(mixer)
    func choices(_ requests: [GenerationRequest], atOnce: Int = 64) throws -> [[Sampling.Choice]] {
      var found = requests.map { _ in [Sampling.Choice]() }
      var generator = SequenceGenerator(network)
      generator.maximumBatch = atOnce
      try generator.run(requests) { event in
        if case .token(let request, let choice) = event { found[request].append(choice) }
        return true
      }
      return found
    }
    let requests = [
      GenerationRequest(prompt: [3, 1, 4], maximumTokens: 3),
      GenerationRequest(prompt: [2, 7, 1], maximumTokens: 40),
      GenerationRequest(prompt: [9, 2, 6, 5, 3, 5, 8, 9], maximumTokens: 50),
      GenerationRequest(prompt: [8, 2, 8], maximumTokens: 3),
    ]
    let alone = try requests.map { try choices([$0])[0] }
    #expect(alone.map(\.count) == [3, 40, 50, 3])
    for atOnce in [64, 2] { #expect(try choices(requests, atOnce: atOnce) == alone) }
  }

  /// Nothing is computed where one request cannot be served.
  @Test func aBadRequestAmongOthersIsRefused() throws {
    let good = GenerationRequest(prompt: [1], maximumTokens: 2)
    #expect(throws: EngineError.tokenOutOfRange(token: 77, vocabulary: 13)) {
      try SequenceGenerator(network()).run([good, GenerationRequest(prompt: [77], maximumTokens: 1)]) { _ in
        Issue.record("something was computed")
        return true
      }
    }
  }

  private func tokens(_ request: GenerationRequest) throws -> ([Int32], FinishReason) {
    var found: [Int32] = []
    let reason = try SequenceGenerator(network()).run(request) {
      found.append($0.token)
      return true
    }
    return (found, reason)
  }

  @Test func theLikeliestTokensAreThoseOfWholeSequences() throws {
    let network = try network()
    let (found, reason) = try tokens(GenerationRequest(prompt: [3, 1, 4, 1, 5], maximumTokens: 20))
    #expect(found.count == 20 && reason == .length)
    let device = network.parameters.device
    let all: [Int32] = [3, 1, 4, 1, 5] + found
    let logits = try device.evaluating { try device.numbers(network.logits(all, batch: 1).value) }
    for place in 4..<24 {
      // Rows of the embedding past the vocabulary are no tokens.
      let row = logits[place * 16..<place * 16 + 13]
      #expect(row[row.startIndex + Int(all[place + 1])] > (row.max() ?? 0) - 1e-4)
    }
  }

  @Test func endsWhereItIsTold() throws {
    var request = GenerationRequest(prompt: [3, 1, 4], maximumTokens: 20)
    let all = try tokens(request).0
    request.stopTokens = [all[0]]
    #expect(try tokens(request) == ([], .stop))
    var count = 0
    let reason = try SequenceGenerator(network()).run(
      GenerationRequest(prompt: [3, 1, 4], maximumTokens: 20)
    ) { _ in
      count += 1
      return count < 3
    }
    #expect(count == 3 && reason == .stop)
  }

  @Test func badRequestsAreRefused() throws {
    #expect(throws: EngineError.emptyPrompt) { try tokens(GenerationRequest(prompt: [], maximumTokens: 1)) }
    #expect(throws: EngineError.self) { try tokens(GenerationRequest(prompt: [13], maximumTokens: 1)) }
    #expect(throws: EngineError.self) { try tokens(GenerationRequest(prompt: [1], maximumTokens: 0)) }
    #expect(throws: EngineError.tooLong(prompt: 1, generated: 64, limit: 64)) {
      try tokens(GenerationRequest(prompt: [1], maximumTokens: 64))
    }
    #expect(throws: EngineError.self) {
      try tokens(GenerationRequest(prompt: [1], maximumTokens: .max))
    }
  }

  /// A GPU that is not there: kernels are found and compiled, and nothing runs, whatever the tokens would be.
  @Test(
    .enabled("needs NVRTC: put libnvrtc into .nvrtc") { Self.compilerFolder != nil },
    arguments: [.h3(states: 16, headWidth: 1), hyena] as [SequenceSettings.Mixer])
  func kernelsAreFoundWhereNothingRuns(mixer: SequenceSettings.Mixer) throws {
    let folder = "/tmp/godwit-rehearsal-\(UInt64.random(in: 0...UInt64.max))"
    defer { _ = try? FileManager.default.removeItem(atPath: folder) }
    let executor = try CompilingExecutor(
      target: .sm_90a, multiprocessors: 132, cacheFolder: folder, compilerPath: Self.compilerFolder)
    let network = try network(mixer, on: executor)
    var count = 0
    let request = GenerationRequest(prompt: [1, 2, 3, 4, 5], maximumTokens: 4)
    let reason = try SequenceGenerator(network).run(request) { _ in
      count += 1
      return true
    }
    #expect(reason == .length && count == 4)
    #expect(try executor.finish().compiled > 10)
    let work = CompiledWork("generate", cacheFolder: folder)
    #expect(!work.isKnown && !CompiledWork("others", cacheFolder: folder).isKnown)
    try work.remember()
    #expect(work.isKnown && !CompiledWork("others", cacheFolder: folder).isKnown)
  }

  private static let compilerFolder: String? = {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let folder = "/\(root)/.nvrtc/nvidia/cu13/lib"
    return FileManager.default.fileExists(atPath: folder) ? folder : nil
  }()
}
