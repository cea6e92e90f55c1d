import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Engine
@testable import Models
@testable import Tensors

@Suite struct SequenceGeneratorTests {
  private func network() throws -> SequenceNetwork {
    let settings = SequenceSettings(
      vocabularySize: 13, width: 16, layers: 2, feedForward: 32,
      mixer: .hyena(order: 2, filterWidth: 8, features: 3, frequency: 5, hasWindow: true), longest: 64)
    return try SequenceNetwork(
      settings, ParameterSet(.drawn(seed: 4), on: Device(CPUExecutor(threads: 2))))
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
}
