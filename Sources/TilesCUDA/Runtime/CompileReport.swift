/// What the compiler says about a program: registers, stack, spills, and notes that cost speed.
public struct CompileReport: Sendable, Hashable {
  /// Registers of a thread.
  public var registers = 0
  /// Bytes of a thread's stack frame.
  public var stackBytes = 0
  /// Bytes of registers stored to memory and loaded back.
  public var spillBytes = 0
  /// Notes that setmaxnreg was ignored (C7508) or wgmma serialised (C7509 and on), as the compiler wrote them.
  public var notes: [String] = []

  /// Reads the compiler's log as `--ptxas-options=-v` makes it.
  package init(log: String) {
    for line in log.split(separator: "\n") {
      registers = max(registers, Self.number(in: line, before: " registers") ?? 0)
      stackBytes = max(stackBytes, Self.number(in: line, before: " bytes stack frame") ?? 0)
      spillBytes += Self.number(in: line, before: " bytes spill stores") ?? 0
      spillBytes += Self.number(in: line, before: " bytes spill loads") ?? 0
      if (7508...7516).contains(where: { line.contains("(C\($0))") }) { notes.append(String(line)) }
    }
  }

  /// Registers that each of `threads` may have, so that a block fits a multiprocessor.
  public static func registerShare(threads: Int) -> Int {
    min(255, 65536 / max(1, threads) / 8 * 8)
  }

  /// What makes the program slower than it was meant to be; empty where nothing does.
  ///
  /// - Parameter threads: of a block.
  public func problems(threads: Int) -> [String] {
    var problems = notes
    if spillBytes > 0 { problems.append("\(spillBytes) bytes spilled") }
    if stackBytes > 0 { problems.append("\(stackBytes) bytes of stack") }
    let share = Self.registerShare(threads: threads)
    if registers > share { problems.append("\(registers) registers, \(share) are a thread's share") }
    return problems
  }

  private static func number(in line: Substring, before words: String) -> Int? {
    guard let end = line.firstRange(of: words)?.lowerBound else { return nil }
    let digits = line[..<end].reversed().prefix { $0.isASCII && $0.isNumber }
    return Int(String(digits.reversed()))
  }
}
