internal import Memory
internal import Tiles

/// How a tile lies in shared memory: panels `span` bytes wide, the rows of a panel one after the other, their 16-byte
/// chunks exchanged by the pattern that bulk copies and the matrix units share.
///
/// "Inner" is the side that is contiguous in memory, whichever of rows and columns that is.
struct SharedTile: Hashable {
  let type: ElementType
  /// Extent of the side that is not contiguous.
  let outer: Int
  /// Extent of the contiguous side, padded to whole spans.
  let inner: Int
  /// Whether the contiguous side is the tile's rows.
  let isTransposed: Bool
  /// Bytes of a panel's row: 128, 64 or 32; for vectors the whole row.
  let span: Int
  /// A tile of one row or column that only elementwise operations read: no pattern.
  let isVector: Bool

  /// A factor of a product, with `inner` elements padded to 32 bytes.
  init(type: ElementType, outer: Int, inner: Int, isTransposed: Bool) {
    self.type = type
    self.outer = (outer + 7) / 8 * 8
    self.isTransposed = isTransposed
    let bytes = (inner * type.blockBytes + 31) / 32 * 32
    span = bytes % 128 == 0 ? 128 : bytes % 64 == 0 ? 64 : 32
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
  /// Mode bits of a descriptor.
  var mode: Int { span == 128 ? 1 : span == 64 ? 2 : 3 }
}

/// Tiles that travel through shared memory together: `stages` slots that the loader fills and the groups empty.
struct Ring {
  var number: Int
  var stages: Int
  /// Whether a task fills it once, outside its loops; such a slot may be doubled, to be filled for the next task.
  var isOnce = false
  /// Tiles of one slot, in order.
  var slots: [SharedTile]
  /// Where the first slot starts.
  var offset = 0

  /// Bytes of one slot.
  var slotBytes: Int { slots.reduce(0) { $0 + $1.alignedBytes } }
  /// Bytes that one fill brings.
  var copiedBytes: Int { slots.reduce(0) { $0 + $1.bytes } }
  /// Where tile number `index` starts within a slot.
  func offset(of index: Int) -> Int { slots[..<index].reduce(0) { $0 + $1.alignedBytes } }
}
