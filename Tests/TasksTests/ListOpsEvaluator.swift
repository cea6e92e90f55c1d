/// The value of a ListOps expression from its text alone; nil when the text is no expression.
///
/// A list is evaluated when it closes, from a stack of open lists; the generator recurs and evaluates as it draws.
func listOpsValue(_ words: [String]) -> Int? {
  var open: [(name: String, arguments: [Int])] = []
  var result: Int?
  func close(_ name: String, _ arguments: [Int]) -> Int? {
    guard !arguments.isEmpty else { return nil }
    switch name {
    case "[MIN": return arguments.reduce(9) { $0 < $1 ? $0 : $1 }
    case "[MAX": return arguments.reduce(0) { $0 > $1 ? $0 : $1 }
    case "[SM": return arguments.reduce(0) { ($0 + $1) % 10 }
    case "[MED":
      // A digit is the median when not more than half are below it and not more than half above; where two digits in
      // the middle differ, the mean of the smallest and largest such, as a fraction cut off to a whole number.
      let half = Double(arguments.count) / 2
      let middle = (0...9).filter { digit in
        Double(arguments.count { $0 < digit }) <= half && Double(arguments.count { $0 > digit }) <= half
          && arguments.contains(digit)
      }
      guard let least = middle.first, let most = middle.last else { return nil }
      return Int((Double(least) + Double(most)) / 2)
    default: return nil
    }
  }
  for word in words {
    guard result == nil else { return nil }
    var value: Int
    if word == "X" {
      guard let list = open.popLast(), let closed = close(list.name, list.arguments) else { return nil }
      value = closed
    } else if let digit = Int(word), (0...9).contains(digit) {
      value = digit
    } else if word.hasPrefix("[") {
      open.append((word, []))
      continue
    } else {
      return nil
    }
    if open.isEmpty { result = value } else { open[open.count - 1].arguments.append(value) }
  }
  return open.isEmpty ? result : nil
}
