import Testing

@testable import Tasks

@Suite struct AssociativeRecallTests {
  /// The map that a sequence's pairs say; records an issue where two of them differ.
  static func map(_ input: [Int32], _ task: AssociativeRecall) -> [[Int32]: Int32] {
    var map: [[Int32]: Int32] = [:]
    for pair in 0..<task.pairs {
      let start = pair * (task.keyTokens + 1)
      let (key, value) = (Array(input[start..<start + task.keyTokens]), input[start + task.keyTokens])
      #expect(key.allSatisfy { task.keySymbols.contains($0) } && task.values.contains(value))
      if let before = map.updateValue(value, forKey: key) { #expect(before == value) }
    }
    return map
  }

  @Test(arguments: [(10, 20, 1), (20, 40, 1), (9, 31, 1), (10, 60, 2), (8, 80, 3), (4, 7, 5)])
  func theAnswerIsTheValueOfAKeyThatWasThere(vocabulary: Int, tokens: Int, keyTokens: Int) throws {
    let task = try AssociativeRecall(vocabularySize: vocabulary, tokens: tokens, keyTokens: keyTokens)
    #expect(task.pairs == tokens / (keyTokens + 1))
    #expect(task.length == task.pairs * (keyTokens + 1) + 1 + keyTokens)
    let examples = try task.examples(vocabulary == 4 ? 1 : 400, seed: 0, scored: .answer)
    for index in 0..<examples.count {
      let input = Array(examples.input(index))
      let map = Self.map(input, task)
      let prompts = input.indices.filter { input[$0] == task.vocabulary.prompt }
      #expect(prompts == [task.pairs * (keyTokens + 1)])
      #expect(map[Array(input.suffix(keyTokens))] == examples.target(index).last)
    }
  }

  @Test func halvesOfTheNumbersAreKeysAndValues() throws {
    let ten = try AssociativeRecall(vocabularySize: 10, tokens: 20)
    #expect(ten.keySymbols == 1..<5 && ten.values == 5..<9 && ten.length == 22)
    let twenty = try AssociativeRecall()
    #expect(twenty.keySymbols == 1..<10 && twenty.values == 10..<19 && twenty.length == 42)
    // "0", "1", "10" … "15" sort before "2".
    #expect(twenty.vocabulary.names[1..<10] == ["0", "1", "10", "11", "12", "13", "14", "15", "16"])
    let odd = try AssociativeRecall(vocabularySize: 9)
    #expect(odd.keySymbols == 1..<4 && odd.values == 4..<8)
  }

  @Test func mapsAndKeysAreDrawnWithReplacement() throws {
    let task = try AssociativeRecall(vocabularySize: 10, tokens: 40)
    let examples = try task.examples(4000, seed: 0, scored: .answer)
    var (whole, injective) = (0, 0)
    var keys = [Int](repeating: 0, count: 10)
    var answers = [Int](repeating: 0, count: 10)
    for index in 0..<examples.count {
      let input = Array(examples.input(index))
      let map = Self.map(input, task)
      if map.count == 4 { whole += 1 }
      if map.count == 4, Set(map.values).count == 4 { injective += 1 }
      for pair in 0..<20 { keys[Int(input[2 * pair])] += 1 }
      answers[Int(examples.target(index).last ?? 0)] += 1
    }
    // All four keys come up in 20 draws with odds of about 1 − 4 · (3/4)²⁰; four values differ with odds of 4! / 4⁴.
    #expect(whole < 4000 && abs(Double(whole) / 4000 - 0.9873) < 0.01)
    #expect(abs(Double(injective) / Double(whole) - 0.09375) < 0.025)
    for key in 1..<5 { #expect(abs(keys[key] - 20_000) < 620) }
    // A guess is right once in four.
    for value in 5..<9 { #expect(abs(answers[value] - 1000) < 140) }
  }

  @Test func absentKeysHaveTheDotAsValue() throws {
    let task = try AssociativeRecall(vocabularySize: 20, tokens: 10, asksAbsentKeys: true)
    let examples = try task.examples(2000, seed: 0, scored: .answer)
    var absent = 0
    for index in 0..<examples.count {
      let input = Array(examples.input(index))
      let expected = Self.map(input, task)[[input[11]]] ?? task.vocabulary.nothing
      #expect(examples.target(index).last == expected)
      if expected == 0 { absent += 1 }
    }
    // (8/9)⁵.
    #expect(abs(Double(absent) / 2000 - 0.555) < 0.056)
  }

  @Test func theLongFormHasTheLengthAskedFor() throws {
    for length in [4, 1024, 131_072] {
      for vocabulary in [10, 20, 30, 40] {
        #expect(try AssociativeRecall.hyena(vocabularySize: vocabulary, length: length).length == length)
      }
    }
    #expect(try AssociativeRecall.hyena(length: 1001).length == 1000)
    let task = try AssociativeRecall.hyena(vocabularySize: 40, length: 16384)
    let input = try task.examples(1, seed: 0, scored: .answer)
    #expect(Self.map(input.inputs, task)[[input.inputs[16383]]] == input.targets[16383])
  }
}
