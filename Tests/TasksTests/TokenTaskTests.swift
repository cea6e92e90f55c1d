import TestSupport
import Testing

@testable import Tasks

@Suite struct TokenTaskTests {
  /// One of each, with options too.
  static func tasks() throws -> [any TokenTask] {
    [
      try InductionHeads(), try InductionHeads(vocabularySize: 9, tokens: 12, copied: 2, triggers: 3),
      try AssociativeRecall(), try AssociativeRecall(vocabularySize: 10, tokens: 20),
      try AssociativeRecall(vocabularySize: 8, tokens: 30, keyTokens: 2),
      try AssociativeRecall(tokens: 8, asksAbsentKeys: true), try AssociativeRecall.hyena(length: 64),
      try Majority(), try Majority(vocabularySize: 4, tokens: 12), try Counting(),
      try Counting(vocabularySize: 4, tokens: 9, most: 9), try DigitAddition(digits: 3),
    ]
  }

  @Test func targetsAreTheNextTokensAndNoSequenceComesTwice() throws {
    for task in try Self.tasks() {
      let examples = try task.examples(300, seed: 1, scored: .all)
      let asked = try task.examples(300, seed: 1, scored: .answer)
      #expect(examples.count == 300 && examples.length == task.length && examples.inputs == asked.inputs)
      #expect(examples.inputs.count == 300 * task.length && examples.targets.count == 300 * task.length)
      var seen: Set<[Int32]> = []
      for index in 0..<300 {
        let (input, target) = (Array(examples.input(index)), Array(examples.target(index)))
        let answer = Array(asked.target(index))
        #expect(seen.insert(input + target).inserted, "\(task)")
        for position in 0..<task.length {
          #expect((0..<Int32(task.vocabularySize)).contains(input[position]))
          let isTrained = task.trained.contains(position)
          #expect((target[position] != TokenExamples.ignored) == isTrained)
          if isTrained, position + 1 < task.length { #expect(target[position] == input[position + 1]) }
          let isAsked = task.answer.contains(position)
          #expect(answer[position] == (isAsked ? target[position] : TokenExamples.ignored))
        }
        #expect((0..<Int32(task.vocabularySize)).contains(target[task.length - 1]))
      }
    }
  }

  @Test func aSeedSaysAllAndFewerAreTheFirstOfMore() throws {
    for task in try Self.tasks() {
      let examples = try task.examples(60, seed: 2, scored: .all)
      #expect(try task.examples(60, seed: 2, scored: .all) == examples)
      #expect(try task.examples(60, seed: 3, scored: .all).inputs != examples.inputs)
      #expect(try task.examples(20, seed: 2, scored: .all) == examples.part(0..<20))
      let part = examples.part(20..<60)
      #expect(part.count == 40 && part.input(5) == examples.input(25)[...] && part.length == task.length)
      #expect(Array(part.target(39)) == Array(examples.target(59)))
      #expect(try task.examples(0, seed: 2, scored: .all).count == 0)
      var draws = try task.draws(60, seed: 2, scored: .all)
      try draws.skip(7)
      for range in [7..<8, 8..<30, 30..<60] { #expect(try draws.next(range.count) == examples.part(range)) }
    }
  }

  @Test func tasksWithFewExamplesGiveThemAllAndNoMore() throws {
    // 10 · 10 sums; 28 places of the trigger; the only majority of one token.
    let few: [(any TokenTask, Int)] = [
      (try DigitAddition(digits: 1), 100), (try InductionHeads(vocabularySize: 3), 28),
      (try Majority(vocabularySize: 3, tokens: 4), 1),
      // A query token and five places, of which up to five hold it; the others hold the other token.
      (try Counting(vocabularySize: 4, tokens: 5, most: 5), 2 * 32),
      // One key and one value.
      (try AssociativeRecall(vocabularySize: 4, tokens: 6), 1),
    ]
    for (task, most) in few {
      #expect(try task.examples(most, seed: 1, scored: .all).count == most)
      let error = #expect(throws: TaskError.self) { try task.examples(most + 1, seed: 1, scored: .all) }
      #expect(
        error
          == .tooFewDistinct(task: task.name, wanted: most + 1, found: most, duplicates: 64 * (most + 16)))
      // A count without any memory for it is no reason to look longer.
      #expect(throws: TaskError.self) { try task.examples(100_000_000, seed: 1, scored: .all) }
    }
  }

  @Test func vocabulariesAreSortedAsText() throws {
    let names = try InductionHeads(vocabularySize: 14).vocabulary.names
    #expect(names == [".", "0", "1", "10", "11", "2", "3", "4", "5", "6", "7", "8", "9", "=>"])
    let vocabulary = try InductionHeads(vocabularySize: 14).vocabulary
    #expect(vocabulary.prompt == 13 && vocabulary.nothing == 0 && vocabulary.numbers == 1..<13)
    #expect(names.sorted() == names)
  }
}
