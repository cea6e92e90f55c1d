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

  /// Blocks of a row that are decoded before their products start: the more, the fewer waits for shared memory and for
  /// products, as far as two batches, sums and some forty other numbers fit the registers.
  private var packedBatch: Int {
    var sums = 0
    for tile in placement.continued {
      if case .fragment(let blocks, let columns, _) = placement.places[tile] { sums += blocks * columns / 2 }
    }
    return [4, 2].first { 16 * $0 + sums + 40 <= evenRegisters } ?? 1
  }

  /// A product of such a factor, a batch of blocks at a time: while its instructions run, the next is decoded into other
  /// registers.
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
      transposesRight: !right.isInnerContiguous, starts: false, subtracts: product.subtracting)
    code.open("")
    let b = descriptor(right)
    let first = groups == 1 ? "row0" : "(group * 64 + row0)"
    code.line(
      "const unsigned char *blocks = memory + \(slotOffset(left.ring, left.slot)) + \(first) * \(left.shared.span);"
    )
    let (batch, count) = (packedBatch, left.shared.inner)
    code.line("const Ones ones;")
    code.line("u32 x[2][\(batch)][2][4];")
    for start in stride(from: 0, to: count, by: batch) {
      let registers = "x[\(start / batch % 2)]"
      let members = start..<min(start + batch, count)
      // The batch before the last has read these registers.
      if start >= 2 * batch { code.line("matmul_wait<1>();") }
      for block in members {
        for half in 0..<2 {
          let offset = block * type.blockBytes + 8 * half * left.shared.span
          code.line(
            "decode_\(type.rawValue)<\(half)>(blocks + \(offset), quad, ones, \(registers)[\(block - start)]);"
          )
        }
      }
      code.line("matmul_fence();")
      for chunk in 2 * members.lowerBound..<2 * members.upperBound {
        form.starts = chunk == 0 && !product.continuing
        products.insert(form)
        code.line(
          "\(form.name)(t\(product.accumulator.id)[0], \(registers)[\(chunk / 2 - start)][\(chunk % 2)], \(b) + \(chunkOffset(right, chunk) / 16));"
        )
      }
      code.line("matmul_commit();")
    }
    code.close()
  }
}
