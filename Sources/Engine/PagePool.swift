/// A fixed number of cache pages, handed out and taken back by number.
public struct PagePool: Sendable {
  /// Pages in all.
  public let capacity: Int
  private var free: [Int32]

  /// All pages free.
  public init(capacity: Int) {
    self.capacity = capacity
    free = (0..<Int32(capacity)).reversed()
  }

  /// Pages that nobody holds.
  public var available: Int { free.count }

  /// A page, `nil` where all are held.
  public mutating func take() -> Int32? { free.popLast() }

  /// Gives a page back.
  public mutating func give(_ page: Int32) {
    precondition(free.count < capacity, "page \(page) was given back twice")
    free.append(page)
  }
}
