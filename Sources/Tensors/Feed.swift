internal import Memory
internal import Tiles

/// Numbers that the host gives to the operations of a step, such as tokens.
///
/// An operation says what it makes of them, not only what that is: where the step is replayed (``Replay``), other numbers are put
/// here, as many, and all that was made of them is made anew.
public final class Feed<Number> {
  /// The numbers.
  public var numbers: [Number] {
    didSet {
      precondition(
        numbers.count == oldValue.count, "\(numbers.count) numbers in place of \(oldValue.count)")
    }
  }

  /// - Parameter numbers: the first ones.
  public init(_ numbers: [Number]) { self.numbers = numbers }
}

extension Device {
  /// Integers that follow from a feed, as arrays of the device.
  ///
  /// - Parameters:
  ///   - shapes: of the arrays.
  ///   - make: their numbers, row by row, as many for any numbers of the feed.
  func integers<Number>(
    of feed: Feed<Number>, _ shapes: [[Int]], _ make: @escaping ([Number]) -> [[Int32]]
  ) throws -> [Tensor] {
    try placed {
      try zip(shapes, make(feed.numbers)).map { shape, numbers in try self.onHost(numbers, shape) }
    }
  }

  /// Numbers that follow from a feed, as a variable of which no gradient is wanted.
  ///
  /// - Parameters:
  ///   - shape: of the variable.
  ///   - make: its numbers, row by row, as many for any numbers of the feed.
  public func variable<Number>(
    of feed: Feed<Number>, _ shape: [Int], _ make: @escaping ([Number]) -> [Float]
  ) throws -> Variable {
    Variable(try placed { [try self.onHost(make(feed.numbers), shape)] }[0], on: self)
  }

  /// A feed's numbers, as a variable of which no gradient is wanted.
  public func variable(of feed: Feed<Float>, _ shape: [Int]) throws -> Variable {
    try variable(of: feed, shape) { $0 }
  }

  /// Numbers in host memory, in the device's type.
  func onHost(_ numbers: [Float], _ shape: [Int]) throws -> Tensor {
    precondition(numbers.count == shape.reduce(1, *), "\(numbers.count) numbers for \(shape)")
    let host = try Tensor(zeros: scalar, shape)
    if scalar == .float64 {
      host.withMutableElements(as: Double.self) {
        for index in numbers.indices { $0[index] = Double(numbers[index]) }
      }
    } else {
      host.withMutableElements(as: Float.self) { for index in numbers.indices { $0[index] = numbers[index] } }
    }
    return host
  }

  /// Integers in host memory.
  func onHost(_ numbers: [Int32], _ shape: [Int]) throws -> Tensor {
    precondition(numbers.count == shape.reduce(1, *), "\(numbers.count) numbers for \(shape)")
    let host = try Tensor(zeros: .int32, shape)
    host.withMutableElements(as: Int32.self) { for index in numbers.indices { $0[index] = numbers[index] } }
    return host
  }

  /// Arrays of the device with the numbers that `make` gives in host memory, now and whenever the step is replayed.
  private func placed(_ make: @escaping () throws -> [Tensor]) throws -> [Tensor] {
    guard let recording else { return try make().map(placed) }
    return try recording.given(make, on: self)
  }

  /// The array in memory of the device that is used again.
  func placed(_ host: Tensor) throws -> Tensor {
    guard !executor.sharesHostMemory else { return host }
    if let recording { return try recording.constant(host, on: self) }
    let result = try empty(host.shape, host.type)
    try executor.copy(from: host, into: result)
    return result
  }
}
