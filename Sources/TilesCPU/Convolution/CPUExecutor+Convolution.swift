public import Fourier
internal import Synchronization
public import Tiles

extension CPUExecutor: ConvolutionExecutor {
  /// Tables and memory for a plan; tables are kept for the next time that they are asked for.
  public func prepare(
    _ plan: ConvolutionPlan, mask: FrequencyMask?
  ) throws(ExecutionError) -> any PreparedConvolution {
    try CPUConvolution(
      plan, mask: mask, tables: convolutionTables.tables(for: plan, mask: mask), executor: self)
  }
}

/// Tables of the plans that were used last.
final class ConvolutionTableCache: Sendable {
  private struct Key: Hashable {
    let plan: ConvolutionPlan
    let mask: FrequencyMask?
  }

  private struct Entries {
    var tables: [Key: ConvolutionTables] = [:]
    var order: [Key] = []
  }

  private let entries = Mutex(Entries())

  /// How many are kept.
  private static let most = 64

  /// Tables for a plan, made when they are not there.
  func tables(for plan: ConvolutionPlan, mask: FrequencyMask?) -> ConvolutionTables {
    let key = Key(plan: plan, mask: mask)
    if let known = entries.withLock({ $0.tables[key] }) { return known }
    let made = ConvolutionTables(plan, mask: mask)
    entries.withLock { entries in
      if entries.tables.updateValue(made, forKey: key) == nil { entries.order.append(key) }
      if entries.order.count > Self.most { entries.tables[entries.order.removeFirst()] = nil }
    }
    return made
  }
}
