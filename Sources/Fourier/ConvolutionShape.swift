/// What a plan depends on: the kind of convolution and its lengths.
public struct ConvolutionShape: Sendable, Hashable {
  /// How the filter meets the ends.
  public let mode: ConvolutionMode
  /// Numbers in a row, L.
  public let length: Int
  /// Taps of the filter, at most L.
  public let filterLength: Int

  /// The longest sequence: 2^23 numbers.
  public static let longest = 8_388_608

  /// - Throws: ``ConvolutionError`` where a length is none.
  public init(mode: ConvolutionMode, length: Int, filterLength: Int) throws(ConvolutionError) {
    guard (1...Self.longest).contains(length) else { throw .length(length) }
    guard (1...length).contains(filterLength) else { throw .filterLength(filterLength, length: length) }
    self.mode = mode
    self.length = length
    self.filterLength = filterLength
  }

  /// The smallest transform that can compute it.
  public var leastSize: Int { mode == .causal ? filterLength : length }
}

/// A convolution that cannot be.
public enum ConvolutionError: Error, Equatable {
  /// A sequence of no such length.
  case length(Int)
  /// A filter that does not fit the sequence.
  case filterLength(Int, length: Int)
  /// A mask that does not fit the transform.
  case mask(factors: [Int], keep: [Int], why: String)
  /// A tensor of a shape, type or layout that was not planned for.
  case tensor(name: String, found: String, expected: String)
  /// An operand that the mode or the gates ask for, or forbid.
  case operand(name: String, why: String)
  /// A stream that was asked for more than it was made for.
  case streamEnded(position: Int, count: Int, capacity: Int)
}

extension ConvolutionError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .length(let length):
      "a sequence of \(length) numbers: lengths from 1 to \(ConvolutionShape.longest) are possible."
    case .filterLength(let filter, let length):
      "a filter of \(filter) taps for \(length) numbers: 1 to \(length) taps are possible. Cut the filter."
    case .mask(let factors, let keep, let why):
      "a frequency mask that keeps \(keep) of \(factors): \(why)."
    case .tensor(let name, let found, let expected):
      "\(name) is \(found), the convolution takes \(expected)."
    case .operand(let name, let why): "\(name): \(why)."
    case .streamEnded(let position, let count, let capacity):
      "\(count) numbers after \(position) of a stream for \(capacity). Make a longer stream."
    }
  }
}
