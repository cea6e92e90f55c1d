import Engine
import Foundation
import Models

/// Runs a sequence in pieces of `step` tokens and hands on each position with its logits.
func forEachLogits(
  _ tokens: [Int32], _ model: any LanguageModel, step: Int, _ body: (Int, [Float]) throws -> Void
) throws {
  let pages = (tokens.count + 63) / 64
  let cache = try PagedCache(model.cacheGeometry, pages: pages, executor: model.executor)
  let planner = AttentionPlanner(for: model)
  for first in stride(from: 0, to: tokens.count, by: step) {
    let piece = Array(tokens[first..<min(first + step, tokens.count)])
    let rows = SequenceRows(
      tokens: piece, firstPosition: first, pages: (0..<Int32(pages)).map { $0 }, logits: .all)
    let logits = try model.executor.fetch(model.forward(planner.plan([rows]).batch, cache: cache))
    let width = model.vocabularySize
    for row in piece.indices {
      let numbers = logits.withElements(as: Float.self) { span in
        (0..<width).map { span[row * width + $0] }
      }
      try body(first + row, numbers)
    }
  }
}

/// Negative log-likelihood of a token under logits.
func loss(_ logits: [Float], of token: Int32) -> Double {
  let top = logits.max() ?? 0
  let sum = logits.reduce(0.0) { $0 + exp(Double($1 - top)) }
  return log(sum) + Double(top - logits[Int(token)])
}
