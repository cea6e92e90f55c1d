/// A fixed number of cache pages, handed out and taken back by number.
public struct PagePool: Sendable {
  /// Pages in all.
  public let capacity: Int
  private var free: [Int32]
  private var isHeld: [Bool]

  /// All pages free.
  public init(capacity: Int) {
    self.capacity = capacity
    free = (0..<Int32(capacity)).reversed()
    isHeld = [Bool](repeating: false, count: capacity)
  }

  /// Pages that nobody holds.
  public var available: Int { free.count }

  /// A page, `nil` where all are held.
  public mutating func take() -> Int32? {
    guard let page = free.popLast() else { return nil }
    isHeld[Int(page)] = true
    return page
  }

  /// Gives a page back.
  ///
  /// - Precondition: the page was taken and not given back since: two holders of a page would overwrite each other.
  public mutating func give(_ page: Int32) {
    precondition(
      isHeld.indices.contains(Int(page)) && isHeld[Int(page)], "page \(page) is given back but not held")
    isHeld[Int(page)] = false
    free.append(page)
  }
}
