import TestSupport
import Testing

@testable import Tasks

@Suite struct TaskErrorTests {
  @Test func messagesSayWhatIsWrongAndWhatWouldBeRight() throws {
    let cases: [(String, () throws -> Void)] = [
      (
        "induction heads: the vocabulary size is 2, it must be in 3…1048576: \".\", \"=>\" and no fewer numbers "
          + "than 1.", { _ = try InductionHeads(vocabularySize: 2) }
      ),
      (
        "induction heads: the number of tokens is 0, it must be in 3…268435456: triggers and what follows them take 2, and "
          + "the last token is free.", { _ = try InductionHeads(tokens: 0) }
      ),
      (
        "induction heads: the number of copied tokens is -1, it must be in 1…8192.",
        { _ = try InductionHeads(copied: -1) }
      ),
      (
        "induction heads: the number of triggers is 0, it must be in 1…8192.",
        { _ = try InductionHeads(triggers: 0) }
      ),
      (
        "associative recall: the vocabulary size is 3, it must be in 4…1048576: \".\", \"=>\" and no fewer numbers "
          + "than 2.", { _ = try AssociativeRecall(vocabularySize: 3) }
      ),
      (
        "associative recall: the number of tokens is 2, it must be in 3…268435456: a pair has 3.",
        { _ = try AssociativeRecall(tokens: 2, keyTokens: 2) }
      ),
      (
        "associative recall: the number of tokens of a key is 7, it must be so small that there are at most 1048576 keys "
          + "of 9 different tokens.", { _ = try AssociativeRecall(keyTokens: 7) }
      ),
      (
        "associative recall: the length is 3, it must be in 4…268435456: a pair, \"=>\" and a key are 4.",
        { _ = try AssociativeRecall.hyena(length: 3) }
      ),
      (
        "majority: the number of tokens is -5, it must be in 1…268435456.", { _ = try Majority(tokens: -5) }
      ),
      (
        "counting: the largest count is 9, it must be in 1…4: there are 4 tokens.",
        { _ = try Counting(tokens: 4) }
      ),
      ("addition: the number of digits is 0, it must be in 1…1048576.", { _ = try DigitAddition(digits: 0) }),
      (
        "linear functions: the dimension is 0, it must be in 1…1048576.",
        { _ = try LinearFunctions(dimension: 0) }
      ),
      (
        "majority: the number of examples is -1, it must be in 0…130150524: an example has 66 numbers.",
        { _ = try Majority().examples(-1, seed: 0, scored: .all) }
      ),
      (
        "addition: 101 different examples are asked for, and after 100 the next 7424 draws only repeated them. Ask for "
          + "at most 100, or make the sequences longer or the vocabulary larger.",
        { _ = try DigitAddition(digits: 1).examples(101, seed: 0, scored: .all) }
      ),
    ]
    for (expected, body) in cases { #expect(message(body) == expected) }
  }

  @Test func impossibleExpressionsAreRefused() {
    func listOps(_ change: (inout ListOps.Settings) -> Void) -> String {
      var settings = ListOps.Settings()
      change(&settings)
      return message { _ = try ListOps(settings).examples(1, seed: 0) }
    }
    #expect(listOps { $0.maximumDepth = 0 } == "ListOps: the maximum depth is 0, it must be in 1…64.")
    #expect(
      listOps { $0.operatorOdds = .nan } == "ListOps: the odds of an operator is nan, it must be in 0.0…1.0.")
    #expect(
      listOps { $0.arguments = 0...3 } == "ListOps: a number of arguments is 0, it must be in 1…1048576.")
    #expect(listOps { $0.lengths = -4...3 } == "ListOps: a length is -4, it must be in 1…268435456.")
    #expect(
      listOps { $0.width = 1999 }
        == "ListOps: the width is 1999, it must be in 2000…536870912: the longest expression and its end must fit."
    )
    #expect(
      listOps { $0.maximumDepth = 2 }
        == "ListOps: none of 20000 draws had 501 to 1999 tokens. Allow other lengths, more depth, more arguments or "
        + "more operators.")
    // Always operators, as good as without end: each is given up as soon as it is too long.
    let endless = listOps {
      ($0.operatorOdds, $0.maximumDepth, $0.arguments) = (1, 64, 2...2)
      ($0.lengths, $0.width) = (20...40, 41)
    }
    #expect(endless.contains("none of 20000 draws had 20 to 40 tokens"))
  }

  @Test func impossiblePicturesAreRefused() {
    func pathfinder(_ change: (inout PathfinderSettings) -> Void) -> String {
      var settings = PathfinderSettings(size: 32)
      change(&settings)
      return message { _ = try Pathfinder(settings).examples(1, seed: 0) }
    }
    #expect(
      message { _ = try Pathfinder(size: -3) } == "Pathfinder: the size is -3, it must be in 8…16384.")
    #expect(
      pathfinder { $0.contourLength = 1 }
        == "Pathfinder: the number of paddles of a long snake is 1, it must be in 2…4096.")
    #expect(
      pathfinder { $0.distractorLength = 0 }
        == "Pathfinder: the number of paddles of a short snake is 0, it must be in 1…4096.")
    #expect(
      pathfinder { $0.distractors = -1 }
        == "Pathfinder: the number of short snakes is -1, it must be in 0…4096.")
    #expect(
      pathfinder { $0.thickness = .infinity }
        == "Pathfinder: the thickness is inf, it must be in 0.1…16.0.")
    #expect(pathfinder { $0.margins = [1, -1] } == "Pathfinder: a margin is -1.0, it must be in 0.0…16.0.")
    #expect(
      pathfinder { $0.margins = [] } == "Pathfinder: the number of margins is 0, it must be at least 1.")
    #expect(
      pathfinder { $0.seedDistance = 9 }
        == "Pathfinder: the seed distance is 9.0, it must be in 0.0…8.0: the first snake starts twice as far from the "
        + "border.")
    #expect(
      pathfinder { $0.continuity = 0 } == "Pathfinder: the continuity is 0.0, it must be in 0.01…100.0.")
    #expect(pathfinder { $0.contrast = 0 } == "Pathfinder: the contrast is 0.0, it must be in 0.01…100.0.")
    #expect(
      pathfinder { $0.padding = 16 }
        == "Pathfinder: none of 200000 draws had room for two snakes of 14 paddles in 32 × 32 pixels. Make the picture "
        + "larger, or paddles, margins or snakes shorter.")
    #expect(
      message { _ = try Pathfinder(size: 32).examples(-2, seed: 0) }
        == "Pathfinder: the number of examples is -2, it must be in 0…8388608: an example has 1024 numbers.")
  }
}
