/// Sums and products of sizes that a file claims: past the largest integer they stay there.
enum Sizes {
  /// The sum of sizes from 0 up.
  static func sum(_ sizes: some Sequence<Int>) -> Int {
    sizes.reduce(0) { sum, size in
      let (sum, overflow) = sum.addingReportingOverflow(size)
      return overflow ? .max : sum
    }
  }

  /// The product of sizes from 0 up.
  static func product(_ sizes: some Collection<Int>) -> Int {
    // Nothing at all is no overflow, wherever the 0 stands.
    guard !sizes.contains(0) else { return 0 }
    return sizes.reduce(1) { product, size in
      let (product, overflow) = product.multipliedReportingOverflow(by: size)
      return overflow ? .max : product
    }
  }
}
