internal import Memory
internal import Tiles

/// How one element of a tile is named, and what functions of elements are printed as.
extension PipelinedLowering {
  /// The register, or the place in shared memory, of the pair of elements at the present place. There four pairs of a
  /// thread follow each other, so that all banks serve 16 bytes a lane.
  func pair(_ tile: Tile) -> String {
    guard asideOffsets[tile.id] != nil, case .fragment(_, let columns, _) = placement.places[tile.id] else {
      return "q\(tile.id)[b][2 * j + h]"
    }
    let number = "(\(columns / 8) * (2 * b + h) + j)"
    return "q\(tile.id)[\(number) / 4 * 512 + \(number) % 4]"
  }

  /// The tile's element at the present place.
  mutating func read(_ tile: Tile, isPerRow: Bool) -> String {
    switch placement.places[tile.id] {
    case .perRow: return rounded("t\(tile.id)[b][h]", tile.type)
    case .scalar: return rounded("t\(tile.id)[0][0]", tile.type)
    case .fragment where placement.paired.contains(tile.id):
      return half(of: pair(tile), tile.type)
    case .fragment: return rounded("t\(tile.id)[b][4 * j + 2 * h + e]", tile.type)
    case .perColumn where pairedVectors.contains(tile.id):
      return "(e ? vector\(tile.id)[column >> 1].y : vector\(tile.id)[column >> 1].x)"
    case .perColumn(let reference):
      let pointer = "a.tensor[\(reference.tensor.number)]"
      var at = reference.origin
      var place = index.offset(reference.tensor.number, at)
      if tile.columns > 1, let axis = reference.columnAxis {
        place += " + column * \(index.stride(reference.tensor.number, axis))"
      }
      at = []
      let load = global(reference.tensor.type, pointer, place)
      return tile.columns == 1 ? load : "(column < \(index(tile.validColumns)) ? \(load) : 0.0f)"
    case .row: return "((const float *)(memory + \(rowOffsets[tile.id] ?? 0)))[column]"
    case .ring(let ring, let slot):
      if quartets.contains(tile.id) { return half(of: "w\(tile.id)[j & 3]", tile.type) }
      let shared = rings[ring].slots[slot]
      let address = slotOffset(ring, slot)
      if shared.isVector {
        let place = tile.rows * tile.columns == 1 ? "0" : shared.isTransposed ? "row" : "column"
        return "((const float *)(memory + \(address)))[\(place)]"
      }
      guard shared.isTransposed else {
        return half(
          of:
            "*(const u32 *)(memory + \(address) + swizzled<\(shared.span), \(shared.panelBytes)>(row, 2 * (column & ~1)))",
          tile.type)
      }
      let bits =
        "*(const unsigned short *)(memory + \(address) + swizzled<\(shared.span), \(shared.panelBytes)>(column, 2 * row))"
      return tile.type == .float16 ? "from_f16(\(bits))" : "from_bf16(\(bits))"
    case nil:
      fail("\(tile) is read and was never placed")
      return "0"
    }
  }

  /// A number of a register, which is wider than its type.
  private func rounded(_ element: String, _ type: ElementType) -> String {
    switch type {
    case .bfloat16: "round_bf16(\(element))"
    case .float16: "round_f16(\(element))"
    default: element
    }
  }

  /// Half number `e` of a word of two numbers, widened.
  func half(of word: String, _ type: ElementType) -> String {
    let name = type == .float16 ? "f16" : "bf16"
    return "(e ? high_\(name)(\(word)) : low_\(name)(\(word)))"
  }

  /// A number in global memory, widened.
  func global(_ type: ElementType, _ pointer: String, _ place: String) -> String {
    switch type {
    case .float32: "((const float *)\(pointer))[\(place)]"
    case .int32: "(float)((const int *)\(pointer))[\(place)]"
    case .bfloat16: "from_bf16(((const unsigned short *)\(pointer))[\(place)])"
    case .float16: "from_f16(((const unsigned short *)\(pointer))[\(place)])"
    case .int8: "(float)((const signed char *)\(pointer))[\(place)]"
    default: "unreadable_type"
    }
  }

  func literal(_ number: Float) -> String {
    if number.isNaN { return "__int_as_float(0x7FC00000)" }
    if number.isInfinite { return number < 0 ? "-INFINITY_F" : "INFINITY_F" }
    return "__int_as_float(0x\(String(number.bitPattern, radix: 16)))/* \(number) */"
  }

  /// As `MapFunction.printed`, but for what takes fewer instructions where a NaN need not win and a reciprocal may be a unit
  /// in the last place off.
  func compute(_ function: MapFunction, _ v: [String]) -> String {
    switch function {
    case .min: "fminf(\(v[0]), \(v[1]))"
    case .max: "fmaxf(\(v[0]), \(v[1]))"
    case .reciprocal: "reciprocal_fast(\(v[0]))"
    default: function.printed(v)
    }
  }
}
