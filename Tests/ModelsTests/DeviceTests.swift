import Engine
import Foundation
import Memory
import Models
import TestSupport
import Testing
import Tiles
import TilesCPU

/// Networks on an executor with memory of its own.
@Suite struct DeviceNetworkTests {
  private static let networks = [
    ("tiny-llama.json", ["tied", "untied", "attention-bias", "qwen2", "mistral", "partial-rotary"]),
    ("tiny-gpt2.json", ["tied", "untied", "inner"]),
  ]

  @Test func logitsAreTheSameBits() throws {
    for (file, variants) in Self.networks {
      let networks = try GoldenNetwork.read(file)
      for variant in variants {
        let network = try #require(networks[variant])
        let device = DeviceExecutor(try CPUExecutor(threads: 2))
        let found = try network.computed(network.load(executor: device), step: 33)
        #expect(try found == network.computed(network.load(), step: 33), "\(variant)")
      }
    }
  }

  /// Every factor is rounded to 8 bits, errors of 2⁻⁹ each, in two blocks of some ten products; a wrong number would
  /// show as an error near 1.
  @Test func sixteenBitFactorsAreNearTheReference() throws {
    for (file, variants) in Self.networks {
      let networks = try GoldenNetwork.read(file)
      for variant in variants {
        let network = try #require(networks[variant])
        for (type, step) in [(ElementType.float32, 80), (.bfloat16, 5), (.bfloat16, 1)] {
          let device = DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: true)
          let found = try network.computed(network.load(type: type, executor: device), step: step)
          try #require(found.count == network.logits.count)
          for (row, exact) in zip(found, network.logits) { #expect(relativeError(row, exact) < 3e-2) }
        }
        // Exactness overrides what the executor prefers.
        let device = DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: true)
        var options = Catalog.Options()
        options.exact = true
        let found = try network.computed(network.load(executor: device, options: options), step: 33)
        #expect(try found == network.computed(network.load(), step: 33), "\(variant)")
      }
    }
  }

  /// Block-quantised weights are rounded to bfloat16 on the device.
  @Test(.enabled(if: SmolLM2.path != nil, "the default model is not in the cache folder: run make setup"))
  func perplexityInSixteenBits() throws {
    let tokens = Array(try SmolLM2.apache().prefix(256))
    let device = DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: true)
    let exact = exp(try meanNLL(tokens, SmolLM2.model(exact: true), step: 128))
    let rounded = exp(
      try meanNLL(tokens, SmolLM2.model(exact: false, cacheType: .float16, executor: device), step: 128))
    print("perplexity", exact, rounded)
    #expect(abs(rounded / exact - 1) <= 0.02)
  }
}
