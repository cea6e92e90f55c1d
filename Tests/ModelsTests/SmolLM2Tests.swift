import Engine
import Formats
import Foundation
import Memory
import Models
import Testing
import Tiles
import TilesCPU

/// The default model, where it is in the cache folder; `make setup` fetches it.
enum SmolLM2 {
  static let path: String? = {
    let environment = ProcessInfo.processInfo.environment
    let home = environment["HOME"] ?? "/root"
    let folder =
      environment["GODWIT_CACHE"] ?? (environment["XDG_CACHE_HOME"] ?? home + "/.cache") + "/godwit"
    let path = folder + "/SmolLM2-135M-Instruct.Q4_1.gguf"
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }()

  static func model(
    exact: Bool, threads: Int = 2, cacheType: ElementType = .float32, executor: (any Executor)? = nil
  ) throws -> Llama {
    let file = try GGUF(path: try #require(path))
    let configuration = try LlamaConfiguration(file)
    return try Llama(
      configuration, weights: LlamaWeights(file, configuration),
      executor: executor ?? CPUExecutor(threads: threads),
      exact: exact, cacheType: cacheType)
  }

  /// Token ids of the Apache licence, by Scripts/golden/apache_tokens.py.
  static func apache() throws -> [Int32] {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Golden/apache_tokens.txt")
    return try String(contentsOf: url, encoding: .utf8).split(whereSeparator: \.isWhitespace).compactMap {
      Int32($0)
    }
  }
}

/// Mean negative log-likelihood of each token after the first, computed in pieces of `step` tokens.
func meanNLL(_ tokens: [Int32], _ model: Llama, step: Int) throws -> Double {
  var total = 0.0
  try forEachLogits(tokens, model, step: step) { position, logits in
    if position + 1 < tokens.count { total += loss(logits, of: tokens[position + 1]) }
  }
  return total / Double(tokens.count - 1)
}

@Suite(.enabled(if: SmolLM2.path != nil, "the default model is not in the cache folder: run make setup"))
struct SmolLM2Tests {
  /// 13.9665 is the known perplexity of the first 1,024 tokens, from float32 products of the dequantised weights.
  @Test(arguments: [(true, 0.001), (false, 0.005)])
  func perplexityOfTheLicence(exact: Bool, tolerance: Double) throws {
    let tokens = Array(try SmolLM2.apache().prefix(1024))
    let perplexity = exp(try meanNLL(tokens, SmolLM2.model(exact: exact), step: 256))
    print("perplexity", exact, perplexity)
    #expect(abs(perplexity / 13.9665 - 1) <= tolerance)
  }

  /// Eight bits a number with a factor for each position and head: within 0.5 % all the same.
  @Test func perplexityWithNarrowCaches() throws {
    let tokens = Array(try SmolLM2.apache().prefix(1024))
    for (type, tolerance) in [(ElementType.float16, 0.001), (.int8, 0.005)] {
      let model = try SmolLM2.model(exact: false, cacheType: type)
      #expect(abs(exp(try meanNLL(tokens, model, step: 256)) / 13.9665 - 1) <= tolerance, "\(type)")
    }
  }

  @Test func piecesDoNotChangeABit() throws {
    let tokens = Array(try SmolLM2.apache().prefix(130))
    let model = try SmolLM2.model(exact: false)
    let whole = try meanNLL(tokens, model, step: 130)
    #expect(try meanNLL(tokens, model, step: 1) == whole)
    #expect(try meanNLL(tokens, model, step: 37) == whole)
  }
}
