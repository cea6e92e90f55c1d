import Testing

@testable import Tasks

@Suite struct LinearFunctionsTests {
  @Test(arguments: [(1, 1), (1, 4), (5, 11), (20, 3)])
  func valuesAreThoseOfTheWeights(dimension: Int, pairs: Int) throws {
    let examples = try LinearFunctions(dimension: dimension, pairs: pairs).examples(50, seed: 0)
    let length = examples.length
    #expect(
      examples.count == 50 && length == 2 * pairs - 1 && examples.inputs.count == 50 * length * dimension)
    for index in 0..<50 {
      let weights = examples.weights[index * dimension..<(index + 1) * dimension]
      func row(_ row: Int) -> ArraySlice<Float> {
        let start = (index * length + row) * dimension
        return examples.inputs[start..<start + dimension]
      }
      for pair in 0..<pairs {
        let value = zip(weights, row(2 * pair)).map { Double($0) * Double($1) }.reduce(0, +)
        #expect(examples.targets[index * pairs + pair] == Float(value))
        guard pair < pairs - 1 else { continue }
        #expect(
          row(2 * pair + 1).first == Float(value) && row(2 * pair + 1).dropFirst().allSatisfy { $0 == 0 })
      }
      #expect(examples.answers[index] == examples.targets[(index + 1) * pairs - 1])
    }
  }

  @Test func numbersAreNormalAndAnswersVaryByTheDimension() throws {
    let examples = try LinearFunctions(dimension: 8, pairs: 4).examples(4000, seed: 0)
    func variance(_ numbers: [Float]) -> Double {
      numbers.map { Double($0) * Double($0) }.reduce(0, +) / Double(numbers.count)
    }
    #expect(abs(variance(examples.weights) - 1) < 0.04)
    // Answers of 4000 weights, whose squares have a standard deviation of about 15.
    #expect(abs(variance(examples.answers) - 8) < 1.2)
  }

  @Test func aSeedSaysAllAndFewerAreTheFirstOfMore() throws {
    let task = try LinearFunctions()
    let examples = try task.examples(30, seed: 4)
    #expect(try task.examples(30, seed: 4) == examples)
    #expect(try task.examples(30, seed: 5) != examples)
    #expect(try task.examples(10, seed: 4) == examples.part(0..<10))
    #expect(examples.part(10..<30).answers == Array(examples.answers[10...]))
    #expect(try task.examples(0, seed: 4).answers == [])
  }
}
