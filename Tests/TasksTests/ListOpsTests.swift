import Memory
import Testing

@testable import Tasks

@Suite struct ListOpsTests {
  @Test(arguments: [
    ("5", 5), ("[MIN 4 7 2 X", 2), ("[MAX 2 9 [MIN 4 7 X 0 X", 9), ("[SM 9 8 7 X", 4), ("[MED 1 9 3 X", 3),
    ("[MED 1 2 X", 1), ("[MED 2 5 9 8 X", 6), ("[MED 7 7 0 9 X", 7), ("[MED 3 3 3 8 9 9 X", 5),
    ("[MED [SM 5 6 X [MAX 0 4 X X", 2), ("[MED 0 9 9 0 X", 4),
  ])
  func theEvaluatorIsRightWhereOneCanSee(text: String, value: Int) {
    #expect(listOpsValue(text.split(separator: " ").map(String.init)) == value)
  }

  @Test(arguments: ["", "[MIN X", "[MIN 1", "1 2", "X", "1 X", "[MUL 1 2 X", "[SM 1 <eos> X"])
  func theEvaluatorRefusesWhatIsNoExpression(text: String) {
    #expect(listOpsValue(text.split(separator: " ").map(String.init)) == nil)
  }

  @Test func labelsAreTheValues() throws {
    let task = try ListOps()
    let examples = try task.examples(300, seed: 0)
    #expect(task.vocabularySize == 18 && examples.classes == 10 && examples.width == 2048)
    var seen: Set<[Int32]> = []
    var labels = [Int](repeating: 0, count: 10)
    for index in 0..<examples.count {
      let input = Array(examples.input(index))
      #expect(input.last == 2 && (501...1999).contains(input.count - 1))
      let padded = examples.inputs[index * 2048..<(index + 1) * 2048].dropFirst(input.count)
      #expect(padded.allSatisfy { $0 == 0 })
      let words = input.dropLast().map { ListOps.names[Int($0)] }
      #expect(listOpsValue(words) == Int(examples.labels[index]))
      #expect(seen.insert(input).inserted)
      labels[Int(examples.labels[index])] += 1
    }
    // Every value comes up, none by far most.
    for count in labels { #expect((10...75).contains(count)) }
  }

  @Test func treesKeepTheRules() throws {
    var settings = ListOps.Settings()
    (settings.lengths, settings.width) = (3...400, 512)
    let examples = try ListOps(settings).examples(1500, seed: 0)
    var kinds = [Int](repeating: 0, count: 4)
    var sizes = [Int](repeating: 0, count: 11)
    var digits = [Int](repeating: 0, count: 10)
    for index in 0..<examples.count {
      var open: [Int] = []
      for token in examples.input(index).dropLast() {
        switch token {
        case 3...12:
          digits[Int(token) - 3] += 1
          if !open.isEmpty { open[open.count - 1] += 1 }
        case 13...16:
          kinds[Int(token) - 13] += 1
          if !open.isEmpty { open[open.count - 1] += 1 }
          open.append(0)
          #expect(open.count < 10)
        default: sizes[open.removeLast()] += 1
        }
      }
    }
    let (lists, all) = (kinds.reduce(0, +), digits.reduce(0, +))
    for count in kinds { #expect(abs(Double(count) / Double(lists) - 0.25) < 0.02) }
    for count in digits { #expect(abs(Double(count) / Double(all) - 0.1) < 0.01) }
    // Few arguments are somewhat more likely here: expressions of over 400 tokens are left out.
    #expect(sizes[0] == 0 && sizes[1] == 0 && sizes[2...].allSatisfy { Double($0) / Double(lists) > 0.06 })
  }

  @Test func smallSettingsGiveWhatTheyCan() throws {
    var settings = ListOps.Settings()
    (settings.maximumDepth, settings.lengths, settings.width) = (1, 1...1, 2)
    let digits = try ListOps(settings).examples(10, seed: 0)
    #expect(digits.labels.sorted() == Array(0...9) && digits.lengths.allSatisfy { $0 == 2 })
    #expect(
      throws: TaskError.tooFewDistinct(task: "ListOps", wanted: 11, found: 10, duplicates: 64 * 26)
    ) { try ListOps(settings).examples(11, seed: 0) }
    // Depth 2 has lists of 2 to 10 digits: 4 to 12 tokens.
    (settings.maximumDepth, settings.operatorOdds, settings.lengths, settings.width) = (2, 1, 12...12, 13)
    let lists = try ListOps(settings).examples(50, seed: 0)
    #expect(lists.lengths.allSatisfy { $0 == 13 } && lists.inputs.allSatisfy { $0 != 0 })
    (settings.lengths, settings.width) = (13...20, 21)
    #expect(throws: TaskError.self) { try ListOps(settings).examples(1, seed: 0) }
  }

  @Test func aSeedSaysAllAndFewerAreTheFirstOfMore() throws {
    let task = try ListOps()
    let examples = try task.examples(20, seed: 1)
    #expect(try task.examples(20, seed: 1) == examples)
    #expect(try task.examples(20, seed: 2) != examples)
    #expect(try task.examples(8, seed: 1) == examples.part(0..<8))
    #expect(examples.part(8..<20).count == 12)
    #expect(Array(examples.part(8..<20).input(3)) == Array(examples.input(11)))
  }

  @Test func oneDrawInTwelveHasAWantedLength() {
    var generator = SeededNumbers(seed: 9)
    var expression = ListOpsExpression(ListOps.Settings())
    var kept = 0
    for _ in 0..<5000 where expression.draw(using: &generator) { kept += 1 }
    // Five standard deviations.
    #expect(abs(kept - 5000 / 12) < 98)
  }
}
