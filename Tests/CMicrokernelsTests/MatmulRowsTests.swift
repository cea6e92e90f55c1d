import CMicrokernels
import Testing

/// One call of matmul_rows on fenced memory: rows of W of any type lie 3 numbers further apart than they are long, as those of C.
private struct RowProduct {
  var type: gw_type
  var m: Int, n: Int, k: Int
  var transposed = false, accumulate = false

  private var a: [Float] { numbers(m * k, seed: UInt64(m * 1000 + k)) }
  private var start: [Float] { numbers(m * n, seed: 5) }
  private var stride: Int { k + 3 }

  /// `[n, k]`, numbers of the type.
  private var w: [Float] {
    numbers(n * k, seed: UInt64(n * 777 + k)).map {
      type == GW_F32
        ? $0 : type == GW_F16 ? Float(Float16($0)) : Float(bitPattern: $0.bitPattern & 0xFFFF_0000)
    }
  }

  /// What the rows' gaps hold must not matter.
  private var bytes: [UInt8] {
    let w = w
    let padded = (0..<(n - 1) * stride + k).map { $0 % stride < k ? w[$0 / stride * k + $0 % stride] : .nan }
    return padded.flatMap { value -> [UInt8] in
      switch type {
      case GW_F32: withUnsafeBytes(of: value) { Array($0) }
      case GW_F16: withUnsafeBytes(of: Float16(value)) { Array($0) }
      default: withUnsafeBytes(of: UInt16(value.bitPattern >> 16)) { Array($0) }
      }
    }
  }

  /// C, after checking that the gaps between its rows are untouched.
  func run(on index: Int32) -> [Float] {
    let (a, start) = (a, start)
    let left = Fenced(transposed ? (0..<k * m).map { a[$0 % m * k + $0 / m] } : a)
    let right = Fenced(bytes)
    let out = Fenced<Float>((m - 1) * (n + 3) + n, .nan)
    if accumulate { for i in 0..<m * n { out.base[i / n * (n + 3) + i % n] = start[i] } }
    withExtendedLifetime((left, right)) {
      table(index).matmul_rows(
        type, m, n, k, left.base, transposed ? 1 : k, transposed ? m : 1, right.base,
        stride * (type == GW_F32 ? 4 : 2), out.base, n + 3, accumulate ? 1 : 0)
    }
    let found = out.array
    for index in found.indices where index % (n + 3) >= n { #expect(found[index].isNaN) }
    return (0..<m * n).map { found[$0 / n * (n + 3) + $0 % n] }
  }

  /// The definition: a chain of fused multiply-adds in order of k.
  var definition: [Float] {
    let (a, w, start) = (a, w, start)
    return (0..<m * n).map { at in
      (0..<k).reduce(accumulate ? start[at] : 0) { $0.addingProduct(a[at / n * k + $1], w[at % n * k + $1]) }
    }
  }
}

@Suite struct MatmulRowsTests {
  @Test(arguments: tables, [1, 2, 3, 4, 5, 6, 7, 13]) func everySizeIsTheChainOfFusedMultiplyAdds(
    index: Int32, m: Int
  ) {
    for type in [GW_F32, GW_F16, GW_BF16] {
      for n in [1, 2, 7, 8, 9, 31, 32, 63, 65] {
        for k in [1, 7, 8, 9, 65, 300] {
          var product = RowProduct(type: type, m: m, n: n, k: k)
          for flags in 0..<4 {
            (product.transposed, product.accumulate) = (flags & 1 > 0, flags & 2 > 0)
            #expect(
              bits(product.run(on: index)) == bits(product.definition),
              "type \(type.rawValue), m \(m), n \(n), k \(k), \(flags)")
          }
        }
      }
    }
  }

  @Test(arguments: tables) func noTermsGiveZeroOrWhatWasThere(index: Int32) {
    var c = numbers(21, seed: 1)
    let before = c
    let unused: [Float] = [.nan]
    table(index).matmul_rows(GW_F32, 3, 7, 0, unused, 0, 1, unused, 0, &c, 7, 1)
    #expect(c == before)
    table(index).matmul_rows(GW_F32, 3, 7, 0, unused, 0, 1, unused, 0, &c, 7, 0)
    #expect(c == [Float](repeating: 0, count: 21))
  }
}
