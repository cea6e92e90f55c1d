public import Tiles

/// One configuration of a kernel with the cases that it is judged on.
///
/// Checks on every back end, compile gates and listings walk ``KernelCatalogue/all``.
public struct CatalogueEntry: Sendable {
  /// Unique; starts with the kernel's.
  public let name: String
  /// Records the kernel.
  public let make: @Sendable () throws -> Kernel
  /// Sizes and inputs that it is judged on.
  public let cases: [Case]
  /// Whether its tiles are sized for cores with 227 KiB of shared memory and fit no smaller ones.
  public var isLarge = false
  /// How far results may be from those of float64 sums.
  public let tolerance: Tolerance

  /// Sizes and inputs of one run.
  public struct Case: Sendable {
    /// Values of the kernel's parameters by name: extents and integer arguments.
    public var sizes: [String: Int]
    /// How tensors are filled, by name; others are uniform.
    public var fills: [String: Fill]
    /// Inputs whose last two axes lie in memory the other way around.
    public var turned: Set<String>
    /// Whether the kernel is to leave everything as it is.
    public var changesNothing = false

    /// A case with inputs that are uniform unless said otherwise.
    public init(_ sizes: [String: Int], _ fills: [String: Fill] = [:], turned: Set<String> = []) {
      self.sizes = sizes
      self.fills = fills
      self.turned = turned
    }

    /// The sizes, sorted by name.
    public var title: String {
      sizes.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    }
  }

  /// How an input is filled.
  public enum Fill: Sendable {
    /// Numbers within a range.
    case uniform(ClosedRange<Float>)
    /// Integers, repeated where there are fewer than elements.
    case integers([Int])
    /// Random integers from 0 up to a bound.
    case below(Int)
    /// Numbers by their place, repeated where there are fewer than elements.
    case numbers([Float])
  }

  /// Largest |found − exact|: `absolute` + `relative` · |exact|.
  public struct Tolerance: Sendable {
    /// Whatever the result's magnitude.
    public var absolute: Double
    /// In proportion to it.
    public var relative: Double
    /// Instead of `absolute` where results are whole numbers.
    public var whole = 1.0

    /// Float32 results of sums of `terms` products of numbers within ±1.
    public static func sums(_ terms: Int) -> Tolerance {
      // (terms + 2) roundings of sums of at most `terms`, and a few of functions.
      Tolerance(absolute: Double(terms + 8) * max(1, Double(terms)) * 0x1p-24 + 0x1p-20, relative: 0x1p-20)
    }

    /// 16-bit results, and weights that are rounded to 16 bits on the way: two neighbouring numbers may stand for the
    /// same sum.
    public static let bfloat16 = Tolerance(absolute: 0x1p-7, relative: 0x1p-7)
  }

  /// An entry.
  public init(
    _ name: String, tolerance: Tolerance, cases: [Case], make: @escaping @Sendable () throws -> Kernel
  ) {
    self.name = name
    self.tolerance = tolerance
    self.cases = cases
    self.make = make
  }

  /// The entry, with tiles that only the largest cores hold.
  func large() -> CatalogueEntry {
    var entry = self
    entry.isLarge = true
    return entry
  }
}
