internal import Models
internal import Tensors
internal import Tiles

extension SequenceGenerationBench {
  /// Judges sessions on the machine that times would be of: steps against whole sequences, batches against one by one.
  ///
  /// - Throws: where they are further apart than 16-bit factors explain, or float32 on cores.
  func check() throws {
    let size = Size(
      name: "small", width: 256, layers: 4, heads: 4, vocabulary: 1000, prompts: [700], batch: 3,
      generated: 70)
    for mixer in ["h3", "s4d", "hyena", "monarch_mixer", "attention"] {
      let network = try network(mixer, size)
      let limit = executor.sharesHostMemory ? 1e-3 : 0.05
      // Enough of one length for the kernels of many sequences, and of steps of more than 32 rows; one that goes through those of few.
      let prompts = ([1] + [Int](repeating: 700, count: 33)).enumerated().map { number, length in
        (0..<length).map { Int32((number * 31 + $0 * $0 + $0 / 7) % size.vocabulary) }
      }
      let together = try continued(network, prompts, size.generated)
      var (fromWhole, fromAlone) = (0.0, 0.0)
      for number in [0, 1, prompts.count - 1] {
        let prompt = prompts[number]
        let alone = try continued(network, [prompt], size.generated)
        let whole = try whole(network, prompt, size.generated)
        for step in together.indices {
          fromWhole = max(fromWhole, distance(together[step][number], whole[step]))
          fromAlone = max(fromAlone, distance(together[step][number], alone[step][0]))
        }
      }
      let isRight = fromWhole < limit && fromAlone < limit
      Output.write(
        "\(isRight ? "ok    " : "WRONG ") \(mixer): steps from whole sequences \(Output.fixed(fromWhole, 6)), "
          + "batch from one by one \(Output.fixed(fromAlone, 6)), allowed \(limit)\n")
      guard isRight else { throw CommandFailure("steps of \(mixer) are not those of whole sequences.") }
    }
  }

  /// The token that follows at a step, whatever the network says.
  private func token(_ prompt: [Int32], _ step: Int) -> Int32 { Int32((prompt.count + 17 * step) % 1000) }

  /// Logits after the prompts and after each step, by sequence.
  private func continued(_ network: SequenceNetwork, _ prompts: [[Int32]], _ steps: Int) throws -> [[[Float]]]
  {
    let device = network.parameters.device
    let session = try SequenceSession(network, capacity: (prompts.map(\.count).max() ?? 0) + steps)
    func rows(_ logits: Variable) throws -> [[Float]] {
      let numbers = try device.numbers(logits.value)
      let width = logits.shape[1]
      return prompts.indices.map { Array(numbers[$0 * width..<($0 + 1) * width]) }
    }
    var found = [try rows(session.begin(prompts))]
    for step in 0..<steps { found.append(try rows(session.step(prompts.map { token($0, step) }))) }
    return found
  }

  private func whole(_ network: SequenceNetwork, _ prompt: [Int32], _ steps: Int) throws -> [[Float]] {
    let device = network.parameters.device
    let tokens = prompt + (0..<steps).map { token(prompt, $0) }
    let logits = try device.evaluating { try network.logits(tokens, batch: 1) }
    let (numbers, width) = (try device.numbers(logits.value), logits.shape[2])
    return (0...steps).map { Array(numbers[(prompt.count - 1 + $0) * width..<(prompt.count + $0) * width]) }
  }

  /// ‖a − b‖ over ‖b‖; infinity where there is none.
  private func distance(_ a: [Float], _ b: [Float]) -> Double {
    var (difference, norm) = (0.0, 0.0)
    for (x, y) in zip(a, b) {
      difference += Double((x - y) * (x - y))
      norm += Double(y * y)
    }
    let ratio = (difference / norm).squareRoot()
    return ratio.isFinite ? ratio : .infinity
  }
}
