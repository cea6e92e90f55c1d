internal import Tiles

extension KernelProfile {
  /// Prints the kernels by time since the last call, to standard error.
  func report() {
    let total = entries.reduce(0) { $0 + $1.seconds }
    for entry in entries {
      let share = Output.fixed(100 * entry.seconds / total, 1)
      let each = Output.fixed(1e6 * entry.seconds / Double(entry.launches), 1)
      Output.note("  \(share) %  \(entry.name): \(entry.launches) launches, \(each) us each\n")
    }
    reset()
  }
}
