internal import Memory
internal import Tiles

/// How a tile lies in shared memory: panels `span` bytes wide, the rows of a panel one after the other, their 16-byte
/// chunks exchanged by the pattern that bulk copies and the matrix units share, or not, where a panel is one chunk wide.
///
/// "Inner" is the side that is contiguous in memory, whichever of rows and columns that is.
struct SharedTile: Hashable {
  let type: ElementType
  /// Extent of the side that is not contiguous.
  let outer: Int
  /// Extent of the contiguous side, padded to whole spans; blocks where the type has such.
  let inner: Int
  /// Whether the contiguous side is the tile's rows.
  let isTransposed: Bool
  /// Bytes of a panel's row: 128, 64, 32 or 16; for vectors and blocks the whole row.
  let span: Int
  /// A tile of one row or column that only elementwise operations read: no pattern.
  let isVector: Bool

  /// A factor of a product, with `inner` elements padded to 32 bytes; its span is the widest that divides it, up to
  /// `swizzle`.
  init(
    type: ElementType, outer: Int, inner: Int, isTransposed: Bool,
    swizzle: Kernel.Schedule.Swizzle = .bytes128
  ) {
    self.type = type
    self.outer = (outer + 7) / 8 * 8
    self.isTransposed = isTransposed
    let bytes = (inner * type.blockBytes + 31) / 32 * 32
    span = [128, 64, 32].first { $0 <= swizzle.rawValue && bytes % $0 == 0 } ?? 16
    self.inner = bytes / type.blockBytes
    isVector = false
  }

  /// A row or column of numbers.
  init(vector type: ElementType, count: Int, isTransposed: Bool) {
    self.type = type
    outer = 1
    inner = (count * type.blockBytes + 15) / 16 * 16 / type.blockBytes
    span = inner * type.blockBytes
    self.isTransposed = isTransposed
    isVector = true
  }

  /// Rows of blocks, one after the other; `nil` where they are no whole pieces of 16 bytes, or wider than a copy.
  init?(blocks type: ElementType, rows: Int, count: Int) {
    self.type = type
    outer = (rows + 7) / 8 * 8
    inner = count
    isTransposed = false
    span = count * type.blockBytes
    isVector = false
    guard span % 16 == 0, span / 2 <= 256 else { return nil }
  }

  /// Vertical panels.
  var panels: Int { inner * type.blockBytes / span }
  /// Bytes from one panel to the next.
  var panelBytes: Int { outer * span }
  /// Bytes in all.
  var bytes: Int { panels * panelBytes }
  /// Bytes rounded so that the next tile keeps the pattern's alignment.
  var alignedBytes: Int { (bytes + 1023) / 1024 * 1024 }
  /// Elements of a panel's row.
  var panelElements: Int { span / type.blockBytes }
  /// Bytes of the pattern by which chunks are exchanged; 0 for none.
  var swizzle: Int { isVector || type.isBlocked || span == 16 ? 0 : span }
}

/// What descriptors of factors say. `isInner`: whether the contiguous side is the reduction's.
extension SharedTile {
  /// Mode bits.
  var mode: Int { [128: 1, 64: 2, 32: 3][span] ?? 0 }

  /// The leading offset: from panel to panel, where the pattern's rows run along the other side; without a pattern, from
  /// one block of 8 by 16 bytes to the next along the reduction.
  func leadingBytes(isInner: Bool) -> Int {
    guard span == 16 else { return isInner ? 16 : panelBytes }
    return isInner ? panelBytes : 8 * span
  }

  /// The stride offset: from 8 rows to the next 8; without a pattern, from one block to the next along the other side.
  func strideBytes(isInner: Bool) -> Int { span == 16 && !isInner ? panelBytes : 8 * span }

  /// Bytes from the start to chunk `c`, 16 elements of the reduction.
  func chunkOffset(_ c: Int, isInner: Bool) -> Int {
    isInner ? c * 32 / span * panelBytes + c * 32 % span : 16 * c * span
  }

  /// Bytes from part to part where the side that is not the reduction's is cut into parts of `width`; `nil` where
  /// descriptors cannot start at all of them, or parts do not follow each other evenly.
  func partOffset(_ width: Int, parts: Int, isInner: Bool) -> Int? {
    if isInner { return width % 8 == 0 ? width * span : nil }
    if width % panelElements == 0 { return width / panelElements * panelBytes }
    // Within a panel the pattern follows the address, so whole 32 bytes may be skipped.
    let bytes = width * type.blockBytes
    return parts == 1 || bytes % min(32, span) == 0 && width * parts <= panelElements ? bytes : nil
  }
}

/// Tiles that travel through shared memory together: `stages` slots that the loader fills and the groups empty.
struct Ring {
  var number: Int
  var stages: Int
  /// Whether a list of statements fills it once, outside its loops; such a slot may be doubled, to be filled for the next time.
  var isOnce = false
  /// Tiles of one slot, in order.
  var slots: [SharedTile]
  /// Where the first slot starts.
  var offset = 0

  /// Bytes of one slot.
  var slotBytes: Int { (offset(of: slots.count) + 1023) / 1024 * 1024 }
  /// Bytes that one fill brings.
  var copiedBytes: Int { slots.reduce(0) { $0 + $1.bytes } }
  /// Where tile number `index` starts within a slot: vectors follow each other closely, others keep their pattern's
  /// alignment.
  func offset(of index: Int) -> Int {
    var offset = 0
    for (number, tile) in slots[..<min(index + 1, slots.count)].enumerated() {
      let unit = tile.isVector ? 128 : 1024
      offset = (offset + unit - 1) / unit * unit
      if number < index { offset += tile.bytes }
    }
    return offset
  }
}
