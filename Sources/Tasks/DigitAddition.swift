/// Addition: two numbers of `digits` digits and their sum of one digit more, the first digit first, zeros in front.
///
/// Tokens are the digits 0 to 9; for two digits `5 8 6 3 1 2 1` is 58 + 63 = 121. Every digit of the numbers is equally
/// likely. Only the sum is trained on and asked for: the first 2 · digits − 1 positions have no target.
///
/// Poli et al., “Hyena Hierarchy”, 2023, arXiv:2302.10866.
public struct DigitAddition: TokenTask {
  /// What errors call the task.
  public let name = "addition"
  /// Digits of each number.
  public let digits: Int

  /// Sums of numbers of `digits` digits.
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` when there are no digits.
  public init(digits: Int) throws(TaskError) {
    try TaskError.require("the number of digits", digits, in: 1...1 << 20, of: name)
    self.digits = digits
  }

  /// Ids of the digits.
  public var vocabularySize: Int { 10 }
  /// Both numbers, and all but the last digit of the sum.
  public var length: Int { 3 * digits }
  /// From the last digit of the second number on.
  public var answer: Range<Int> { 2 * digits - 1..<length }
  /// As ``answer``: what comes before is random.
  public var trained: Range<Int> { answer }

  /// Adds both numbers and their sum.
  public func append(to sequence: inout [Int32], using generator: inout some RandomNumberGenerator) {
    let first = sequence.count
    for _ in 0..<2 * digits { sequence.append(Int32(generator.below(10))) }
    var sum: [Int32] = []
    var carry: Int32 = 0
    for place in stride(from: first + digits - 1, through: first, by: -1) {
      let total = sequence[place] + sequence[place + digits] + carry
      sum.append(total % 10)
      carry = total / 10
    }
    sum.append(carry)
    sequence.append(contentsOf: sum.reversed())
  }
}
