import CMicrokernels
import TestSupport
import Testing

/// One call of matmul_f32 on fenced memory; rows of C lie 3 elements further apart than they are long.
private struct Product {
  var m: Int, n: Int, k: Int
  var packed = false, transposed = false, accumulate = false
  var a: [Float], b: [Float]  // [m, k] and [k, n], row-major
  var start: [Float]  // [m, n]

  init(_ m: Int, _ n: Int, _ k: Int) {
    (self.m, self.n, self.k) = (m, n, k)
    a = numbers(m * k, seed: UInt64(m * 1000 + k))
    b = numbers(k * n, seed: UInt64(n * 777 + k))
    start = numbers(m * n, seed: 5)
  }

  /// C, after checking that the gaps between its rows are untouched.
  func run(on index: Int32) -> [Float] {
    let kernels = table(index)
    let left = Fenced(transposed ? (0..<k * m).map { a[$0 % m * k + $0 / m] } : a + [])
    let right = Fenced(packed ? panels(on: kernels) : b)
    let out = Fenced<Float>((m - 1) * (n + 3) + n, .nan)
    if accumulate { for i in 0..<m * n { out.base[i / n * (n + 3) + i % n] = start[i] } }
    withExtendedLifetime((left, right)) {
      kernels.matmul_f32(
        m, n, k, left.base, transposed ? 1 : k, transposed ? m : 1, right.base, packed ? 16 : n,
        packed ? 16 * k : 16, out.base, n + 3, accumulate ? 1 : 0)
    }
    let found = out.array
    for index in found.indices where index % (n + 3) >= n { #expect(found[index].isNaN) }
    return (0..<m * n).map { found[$0 / n * (n + 3) + $0 % n] }
  }

  private func panels(on kernels: gw_microkernels) -> [Float] {
    let result = Fenced<Float>((n + 15) / 16 * 16 * k, .nan)
    let source = Fenced(b)
    withExtendedLifetime(source) { kernels.pack_columns(GW_F32, k, n, source.base, n * 4, result.base) }
    var padded = result.array
    // What lies behind column n must not matter.
    for j in n..<(n + 15) / 16 * 16 { for p in 0..<k { padded[j / 16 * 16 * k + p * 16 + j % 16] = .nan } }
    return padded
  }

  /// The definition: a chain of fused multiply-adds in order of k.
  var definition: [Float] {
    (0..<m * n).map { at in
      (0..<k).reduce(accumulate ? start[at] : 0) { $0.addingProduct(a[at / n * k + $1], b[$1 * n + at % n]) }
    }
  }
}

@Suite struct MatmulFloatTests {
  static let sizes = [1, 2, 5, 6, 7, 15, 16, 17, 23, 63, 65]

  @Test(arguments: tables, sizes) func everySizeIsTheChainOfFusedMultiplyAdds(index: Int32, m: Int) {
    for n in Self.sizes {
      for k in [1, 3, 16, 37] {
        var product = Product(m, n, k)
        for flags in 0..<8 {
          (product.packed, product.transposed, product.accumulate) = (
            flags & 1 > 0, flags & 2 > 0, flags & 4 > 0
          )
          #expect(
            bits(product.run(on: index)) == bits(product.definition), "m \(m), n \(n), k \(k), \(flags)")
        }
      }
    }
  }

  @Test(arguments: tables) func agreesWithFloat64(index: Int32) {
    let product = Product(37, 67, 300)
    let found = product.run(on: index)
    for at in found.indices {
      let terms = (0..<300).map {
        Double(product.a[at / 67 * 300 + $0]) * Double(product.b[$0 * 67 + at % 67])
      }
      // A chain of k roundings, each of at most Σ|a||b| · 2⁻²⁴.
      let bound = 301 * 0x1p-24 * terms.reduce(0) { $0 + abs($1) }
      #expect(abs(Double(found[at]) - terms.reduce(0, +)) <= bound)
    }
  }

  @Test(arguments: tables) func rowsDoNotDependOnTheBatch(index: Int32) {
    let whole = Product(37, 65, 41)
    let all = whole.run(on: index)
    for row in 0..<37 {
      var one = Product(1, 65, 41)
      one.a = Array(whole.a[row * 41..<(row + 1) * 41])
      one.b = whole.b
      #expect(bits(one.run(on: index)) == bits(Array(all[row * 65..<(row + 1) * 65])))
    }
  }

  @Test(arguments: tables) func noTermsGiveZeroOrWhatWasThere(index: Int32) {
    var c = numbers(21, seed: 1)
    let before = c
    let unused: [Float] = [.nan]
    table(index).matmul_f32(3, 7, 0, unused, 0, 1, unused, 7, 16, &c, 7, 1)
    #expect(c == before)
    table(index).matmul_f32(3, 7, 0, unused, 0, 1, unused, 7, 16, &c, 7, 0)
    #expect(c == [Float](repeating: 0, count: 21))
  }
}
