import Testing

@testable import Tasks

@Suite struct MajorityTests {
  @Test(arguments: [(10, 64), (4, 12), (30, 7), (3, 5), (5, 1)])
  func theAnswerAloneIsMostFrequent(vocabulary: Int, tokens: Int) throws {
    let task = try Majority(vocabularySize: vocabulary, tokens: tokens)
    #expect(task.length == tokens + 1)
    let examples = try task.examples(
      vocabulary == 3 ? 1 : vocabulary == 5 ? 3 : 1000, seed: 0, scored: .answer)
    var answers: [Int32: Int] = [:]
    for index in 0..<examples.count {
      let input = Array(examples.input(index))
      #expect(input.last == task.vocabulary.prompt && !input.dropLast().contains(task.vocabulary.prompt))
      var counts: [Int32: Int] = [:]
      for token in input.dropLast() { counts[token, default: 0] += 1 }
      let answer = examples.target(index).last ?? 0
      for (token, count) in counts where token != answer { #expect(count < counts[answer] ?? 0) }
      answers[answer, default: 0] += 1
    }
    #expect(Set(answers.keys).isSubset(of: Set(task.vocabulary.numbers)))
    if vocabulary == 10 { for count in answers.values { #expect(abs(count - 125) < 53) } }
  }
}

@Suite struct CountingTests {
  @Test(arguments: [(10, 64, 9), (4, 9, 9), (20, 100, 1)])
  func theAnswerIsTheCount(vocabulary: Int, tokens: Int, most: Int) throws {
    let task = try Counting(vocabularySize: vocabulary, tokens: tokens, most: most)
    #expect(task.length == tokens + 2 && task.vocabularySize == vocabulary + most + 1)
    let examples = try task.examples(500, seed: 0, scored: .answer)
    var answers = [Int](repeating: 0, count: most + 1)
    for index in 0..<examples.count {
      let input = Array(examples.input(index))
      #expect(input[tokens] == task.vocabulary.prompt)
      #expect(input[..<tokens].allSatisfy { task.vocabulary.numbers.contains($0) })
      let count = input[..<tokens].count { $0 == input[tokens + 1] }
      #expect(examples.target(index).last == task.token(for: count))
      answers[count] += 1
    }
    if vocabulary != 4 {
      let even = 500 / (most + 1)
      for count in answers { #expect(abs(count - even) < (most == 1 ? 56 : 34)) }
    }
  }
}

@Suite struct DigitAdditionTests {
  @Test(arguments: [1, 2, 3, 4, 30])
  func sumsAreRightAndOnlyTheyAreScored(digits: Int) throws {
    let task = try DigitAddition(digits: digits)
    #expect(task.length == 3 * digits && task.vocabularySize == 10)
    let examples = try task.examples(100, seed: 0, scored: .all)
    #expect(try task.examples(100, seed: 0, scored: .answer) == examples)
    for index in 0..<100 {
      let (input, target) = (Array(examples.input(index)), Array(examples.target(index)))
      #expect(target[..<(2 * digits - 1)].allSatisfy { $0 == TokenExamples.ignored })
      let sum = Array(target[(2 * digits - 1)...])
      #expect(sum.count == digits + 1 && sum.allSatisfy { (0..<10).contains($0) })
      #expect(sum.dropLast() == input[(2 * digits)...])
      guard digits < 5 else { continue }
      func number(_ tokens: some Sequence<Int32>) -> Int32 { tokens.reduce(0) { $0 * 10 + $1 } }
      #expect(number(sum) == number(input[..<digits]) + number(input[digits..<2 * digits]))
    }
  }

  @Test func longSumsCarry() throws {
    let examples = try DigitAddition(digits: 30).examples(200, seed: 1, scored: .all)
    for index in 0..<200 {
      let (input, target) = (Array(examples.input(index)), Array(examples.target(index)))
      // Column by column from the last: the sum's digit less both digits and the carry before is 0 or a carried ten.
      var carry: Int32 = 0
      for column in (0..<30).reversed() {
        let total = input[column] + input[30 + column] + carry - target[60 + column]
        #expect(total == 0 || total == 10)
        carry = total / 10
      }
      #expect(target[59] == carry)
    }
  }
}
