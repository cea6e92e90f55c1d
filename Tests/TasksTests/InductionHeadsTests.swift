import Testing

@testable import Tasks

@Suite struct InductionHeadsTests {
  @Test func theAnswerStandsBehindTheFirstPrompt() throws {
    let task = try InductionHeads()
    #expect(task.length == 31 && task.vocabularySize == 20 && task.answer == 30..<31)
    let examples = try task.examples(5000, seed: 0, scored: .answer)
    var places = [Int](repeating: 0, count: 30)
    var answers = [Int](repeating: 0, count: 20)
    for index in 0..<examples.count {
      let input = Array(examples.input(index))
      let prompts = input.indices.filter { input[$0] == 19 }
      #expect(prompts.count == 2 && prompts.last == 30)
      #expect(examples.target(index).last == input[prompts[0] + 1])
      #expect(!input.contains(0))
      places[prompts[0]] += 1
      answers[Int(input[prompts[0] + 1])] += 1
    }
    // 5000 draws in 28 places and 18 answers: five standard deviations are 65 and 81.
    for place in 0..<28 { #expect(abs(places[place] - 5000 / 28) < 65) }
    #expect(places[28] == 0 && places[29] == 0)
    for answer in 1..<19 { #expect(abs(answers[answer] - 5000 / 18) < 81) }
  }

  @Test func severalTriggersRepeatTheSameTokens() throws {
    let task = try InductionHeads(vocabularySize: 20, tokens: 30, copied: 3, triggers: 4)
    #expect(task.length == 33 && task.answer == 30..<33)
    let examples = try task.examples(2000, seed: 0, scored: .answer)
    var single = 0
    for index in 0..<examples.count {
      let input = Array(examples.input(index))
      let answer = Array(examples.target(index)[(examples.target(index).startIndex + 30)...])
      let prompts = input.indices.filter { input[$0] == 19 }
      #expect(prompts.count == 2 || prompts.count == 5)
      if prompts.count == 2 { single += 1 }
      for prompt in prompts.dropLast() { #expect(Array(input[prompt + 1...prompt + 3]) == answer) }
      #expect(prompts.last == 30 && Array(input[31...32]) == Array(answer[..<2]))
      for (before, after) in zip(prompts, prompts.dropFirst()) { #expect(after - before >= 4) }
    }
    #expect(abs(single - 1000) < 112)
  }

  @Test func theTightestSequenceIsDrawn() throws {
    let task = try InductionHeads(vocabularySize: 4, tokens: 3, copied: 1, triggers: 1)
    let examples = try task.examples(4, seed: 1, scored: .all)
    for index in 0..<4 { #expect(examples.input(index).first == 3) }
  }
}
