internal import Memory

/// Equal stretches of a text, some of whose tokens are masked and are to be told from all others.
///
/// A share of the positions is asked for, at least one a stretch; of those eight in ten hold the mask, one any token, one its own.
/// Which they are follows from the stretch and the pass alone.
///
/// Devlin et al., “BERT: pre-training of deep bidirectional transformers for language understanding”, 2018, arXiv:1810.04805.
struct MaskedWindows: ExampleSource {
  let windows: TextWindows
  /// Share of the positions that are asked for.
  let share: Float
  /// Tokens of the text; the mask is the number after the last.
  let vocabularySize: Int
  var count: Int { windows.count }

  func examples(_ places: some Collection<Int>, pass: Int) throws -> ExampleBatch {
    var (inputs, targets) = ([Int32](), [Int32]())
    for place in places {
      let tokens = try windows.tokens(of: place)
      var generator = SeededNumbers(place: place, pass: pass)
      var asked = tokens.indices.filter { _ in Float.random(in: 0..<1, using: &generator) < share }
      if asked.isEmpty { asked = [Int.random(in: tokens.indices, using: &generator)] }
      var (input, target) = (tokens, [Int32](repeating: -100, count: tokens.count))
      for position in asked {
        target[position] = tokens[position]
        switch Float.random(in: 0..<1, using: &generator) {
        case ..<0.8: input[position] = Int32(vocabularySize)
        case ..<0.9: input[position] = Int32.random(in: 0..<Int32(vocabularySize), using: &generator)
        default: break
        }
      }
      inputs += input
      targets += target
    }
    return ExampleBatch(count: places.count, input: .tokens(inputs), targets: targets)
  }
}

extension SeededNumbers {
  /// Numbers of a stretch in a pass. Both seeds are drawn: seeds that lie a generator's own step apart give the same numbers, one later.
  fileprivate init(place: Int, pass: Int) {
    var passes = SeededNumbers(seed: UInt64(pass))
    var places = SeededNumbers(seed: passes.next() ^ UInt64(place))
    self.init(seed: places.next())
  }
}
