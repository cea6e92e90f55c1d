internal import Glibc
internal import Memory
public import Models

/// How likely a model finds a text.
public struct Scorer {
  private let model: any LanguageModel

  /// A scorer for one model.
  public init(_ model: any LanguageModel) { self.model = model }

  /// Mean negative log-likelihood (natural logarithm) of every token after the first, given those before it.
  ///
  /// - Parameters:
  ///   - step: tokens computed at a time; the result does not depend on it.
  ///   - report: is told after each how many are done.
  /// - Throws: ``EngineError`` for fewer than two tokens, more than the context holds, or ids outside the vocabulary;
  ///   errors of memory and the executor.
  public func meanNegativeLogLikelihood(
    _ tokens: [Int32], step: Int = 128, _ report: (Int) -> Void = { _ in }
  ) throws -> Double {
    try check(tokens)
    let count = (tokens.count + PagedCache.Geometry.pageTokens - 1) / PagedCache.Geometry.pageTokens
    let cache = try PagedCache(model.cacheGeometry, pages: count, executor: model.executor)
    let planner = AttentionPlanner(for: model)
    let pages = (0..<Int32(count)).map { $0 }
    let onHost = HostLogits(model.executor)
    var total = 0.0
    for first in stride(from: 0, to: tokens.count, by: step) {
      let piece = Array(tokens[first..<min(first + step, tokens.count)])
      let rows = SequenceRows(tokens: piece, firstPosition: first, pages: pages, logits: .all)
      let logits = try onHost(try model.forward(planner.plan([rows]).batch, cache: cache))
      for row in piece.indices where first + row + 1 < tokens.count {
        total += Self.loss(logits.sliced(axis: 0, row..<(row + 1)), of: Int(tokens[first + row + 1]))
      }
      report(first + piece.count)
    }
    return total / Double(tokens.count - 1)
  }

  private func check(_ tokens: [Int32]) throws(EngineError) {
    guard tokens.count >= 2 else {
      throw .invalidParameter(name: "text", value: "\(tokens.count) tokens", allowed: "2 tokens or more")
    }
    guard tokens.count <= model.contextLength else {
      throw .tooLong(prompt: tokens.count, generated: 0, limit: model.contextLength)
    }
    for token in tokens where token < 0 || Int(token) >= model.vocabularySize {
      throw .tokenOutOfRange(token: token, vocabulary: model.vocabularySize)
    }
  }

  private static func loss(_ logits: Tensor, of token: Int) -> Double {
    logits.withElements(as: Float.self) { span in
      var top = -Float.infinity
      for index in span.indices { top = max(top, span[index]) }
      var sum = 0.0
      for index in span.indices { sum += exp(Double(span[index] - top)) }
      return log(sum) + Double(top - span[token])
    }
  }
}
