internal import Memory
internal import Tiles

/// Left factors in blocks: the loader brings them as they are stored, threads decode what they hold of them, and products
/// take it from registers.
extension PipelinedLowering {
  /// The ring and slot of a left factor in blocks.
  func packedLeft(_ product: Matmul) -> (ring: Int, slot: Int, shared: SharedTile)? {
    guard case .ring(let ring, let slot) = placement.places[product.left.id],
      rings[ring].slots[slot].type.isBlocked
    else { return nil }
    return (ring, slot, rings[ring].slots[slot])
  }

  /// A product of such a factor, 32 numbers of the inner side at a time: while a batch of two instructions runs, the next
  /// is decoded into other registers.
  mutating func printPackedProduct(_ product: Matmul, _ left: (ring: Int, slot: Int, shared: SharedTile)) {
    guard case .fragment(1, let columns, dealsColumns: false) = placement.places[product.accumulator.id],
      let right = factor(product.right, reductionIsColumns: product.transposesRight)
    else {
      return fail("the result or right factor of a product of \(product.left) is not where it should be")
    }
    let type = left.shared.type
    packedTypes.insert(type)
    var form = WarpgroupProduct(
      columns: columns, type: "bf16", leftInRegisters: true, transposesLeft: false,
      transposesRight: !right.isInnerContiguous, starts: false)
    code.open("")
    let b = descriptor(right, offset: nil)
    let first = groups == 1 ? "row0" : "(group * 64 + row0)"
    code.line(
      "const unsigned char *blocks = memory + \(slotOffset(left.ring, left.slot)) + \(first) * \(left.shared.span);"
    )
    code.line("u32 x[2][2][4];")
    for block in 0..<left.shared.inner {
      // The batch before the last has read these registers.
      if block >= 2 { code.line("matmul_wait<1>();") }
      for half in 0..<2 {
        let offset = block * type.blockBytes + 8 * half * left.shared.span
        code.line("decode_\(type.rawValue)<\(half)>(blocks + \(offset), quad, x[\(block % 2)]);")
      }
      code.line("matmul_fence();")
      for half in 0..<2 {
        let chunk = 2 * block + half
        form.starts = chunk == 0 && !product.continuing
        products.insert(form)
        code.line(
          "\(form.name)(t\(product.accumulator.id)[0], x[\(block % 2)][\(half)], \(b) + \(chunkOffset(right, chunk) / 16));"
        )
      }
      code.line("matmul_commit();")
    }
    code.close()
  }
}
