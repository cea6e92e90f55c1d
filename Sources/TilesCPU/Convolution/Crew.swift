/// Who works on a row: one thread, or all of them together.
enum Crew {
  case solo(Int)
  case all(ThreadPool)

  /// Deals `count` pieces out and returns when all are done.
  func each(_ count: Int, _ body: (_ pieces: Range<Int>, _ thread: Int) -> Void) {
    switch self {
    case .solo(let thread): body(0..<count, thread)
    case .all(let pool):
      pool.run { thread in
        let (first, last) = (count * thread / pool.count, count * (thread + 1) / pool.count)
        if first < last { body(first..<last, thread) }
      }
    }
  }

  /// The thread whose memory holds the row.
  var owner: Int {
    if case .solo(let thread) = self { thread } else { 0 }
  }
}
