internal import Glibc

/// What this machine is.
enum Machine {
  /// Cores the process may use: those it is bound to, or fewer where a container or service has a share of them.
  static let cores: Int = {
    func read(_ path: String) -> String? { try? Files.text(path) }
    // What it is bound to may name cores that are not there.
    let online = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    return max(1, [online, bound(read), share(read)].compactMap { $0 }.filter { $0 > 0 }.min() ?? 1)
  }()

  /// Cores that the scheduler may put it on.
  ///
  /// - Parameter read: the text of a file, `nil` where there is none.
  static func bound(_ read: (String) -> String?) -> Int? {
    let key = "Cpus_allowed:"
    let lines = (read("/proc/self/status") ?? "").split(whereSeparator: \.isNewline)
    guard let line = lines.first(where: { $0.hasPrefix(key) }) else { return nil }
    // Hexadecimal digits of four cores each, by commas in groups.
    let count = line.dropFirst(key.count).reduce(0) { $0 + ($1.hexDigitValue?.nonzeroBitCount ?? 0) }
    return count > 0 ? count : nil
  }

  /// Cores' time that its control group and those above may take, rounded up; `nil` where nothing limits it.
  ///
  /// - Parameter read: the text of a file, `nil` where there is none.
  static func share(_ read: (String) -> String?) -> Int? {
    var limits: [Int] = []
    let groups = (read("/proc/self/cgroup") ?? "").split(whereSeparator: \.isNewline)
    for group in groups {
      // Number, controllers, path; of the second version no controllers.
      let parts = group.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard parts.count == 3 else { continue }
      let isFirst = parts[1].split(separator: ",").contains("cpu")
      guard isFirst || parts[1].isEmpty else { continue }
      // Of the first version folders bear the names of their controllers, all of them or one.
      let roots = isFirst ? ["cpu", String(parts[1])].map { "/sys/fs/cgroup/\($0)" } : ["/sys/fs/cgroup"]
      var path = parts[2].split(separator: "/")
      while true {
        for root in roots {
          let folder = ([root] + path.map(String.init)).joined(separator: "/")
          let numbers =
            isFirst
            ? [read("\(folder)/cpu.cfs_quota_us"), read("\(folder)/cpu.cfs_period_us")].compactMap { $0 }
            : (read("\(folder)/cpu.max") ?? "").split(separator: " ").map(String.init)
          if let limit = cores(numbers) { limits.append(limit) }
        }
        guard path.popLast() != nil else { break }
      }
    }
    return limits.min()
  }

  /// Microseconds of time in as many of the clock, as cores.
  private static func cores(_ numbers: [String]) -> Int? {
    let known = numbers.compactMap { text in Int(text.filter { !$0.isWhitespace }) }
    guard known.count == 2, known[0] > 0, known[1] > 0 else { return nil }
    return known[0] / known[1] + (known[0] % known[1] > 0 ? 1 : 0)
  }
}
