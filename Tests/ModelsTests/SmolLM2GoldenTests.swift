import Engine
import Formats
import Foundation
import Memory
import Models
import Testing

/// Reference of the default model, by Scripts/golden/llama.py in float64.
@Suite(.enabled(if: SmolLM2.path != nil, "the default model is not in the cache folder: run make setup"))
struct SmolLM2GoldenTests {
  struct Row: Codable {
    let position: Int
    let norm: Double
    let top: [Int]
    let topLogits: [Double]
    let fixedLogits: [Double]
  }
  struct Golden: Codable {
    let tokens: [Int32]
    let perplexity: Double
    let nll: [Double]
    let fixed: [Int]
    let rows: [Row]
  }

  static func golden() throws -> Golden {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("Golden/smollm2.json")
    return try JSONDecoder().decode(Golden.self, from: Data(contentsOf: url))
  }

  /// The bounds are those the project promises: 1e-4 without and 2e-2 with integer products, 0.1 % and 0.5 % of
  /// perplexity.
  @Test(arguments: [(true, 1e-4, 0.001), (false, 2e-2, 0.005)])
  func logitsAndLosses(exact: Bool, bound: Double, tolerance: Double) throws {
    let golden = try Self.golden()
    let model = try SmolLM2.model(exact: exact)
    var (losses, worst) = ([Double](), 0.0)
    try forEachLogits(golden.tokens, model, step: 256) { position, logits in
      if position + 1 < 1024 { losses.append(loss(logits, of: golden.tokens[position + 1])) }
      guard let known = golden.rows.first(where: { $0.position == position }) else { return }
      let norm = logits.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      worst = max(worst, abs(norm / known.norm - 1))
      worst = max(worst, relativeError(known.top.map { Double(logits[$0]) }, known.topLogits))
      worst = max(worst, relativeError(golden.fixed.map { Double(logits[$0]) }, known.fixedLogits))
    }
    let perplexity = exp(losses.reduce(0, +) / 1023)
    print("SmolLM2 exact \(exact): logits \(worst), perplexity \(perplexity)")
    #expect(worst < bound)
    #expect(losses.count == 1023 && abs(perplexity / golden.perplexity - 1) < tolerance)
    if exact { #expect(zip(losses, golden.nll).allSatisfy { abs($0 - $1) < 1e-3 }) }
  }
}
