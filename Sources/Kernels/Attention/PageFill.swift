public import Memory
public import Tiles

/// Keys and values of whole prompts into pages, as ``PagedAttention`` reads them.
///
/// Floor: keys and values read and written once over the memory bandwidth.
public enum PageFill {
  /// Arguments: k and v `[B, heads, L, D]` of type `source`, results kPages `[P, heads, D, pageTokens]` and vPages `[P, heads,
  /// pageTokens, D]` of type `cache`, which are updated. Integers: page of the first sequence, and pages of a sequence.
  public static func kernel(
    _ shape: Rotary.Shape, source: ElementType, cache: ElementType
  ) throws(TileError) -> Kernel {
    try Kernel("page_fill_\(shape.headSize)_\(source.rawValue)_\(cache.rawValue)") { k in
      let (batch, length, pages) = (k.extent("B"), k.extent("L"), k.extent("P"))
      let (heads, d, page) = (Index(shape.kvHeads), Index(shape.headSize), Index(shape.pageTokens))
      let keys = k.input("k", source, [batch, heads, length, d])
      let values = k.input("v", source, [batch, heads, length, d])
      let kPages = k.update("kPages", cache, [pages, heads, d, page])
      let vPages = k.update("vPages", cache, [pages, heads, page, d])
      let (first, each) = (k.argument("firstPage"), k.argument("pagesEach"))
      k.grid([batch, length.ceilDiv(page), heads]) { task in
        let (sequence, block, head) = (task[0], task[1], task[2])
        let target = first + sequence * each + block
        func part(_ tensor: TensorParameter) -> Tile {
          k.load(
            tensor, at: [sequence, head, block * page, 0], rows: shape.pageTokens, columns: shape.headSize,
            as: .float32)
        }
        k.store(part(keys), to: kPages, at: [target, head, 0, 0], rowAxis: 3, columnAxis: 2)
        k.store(part(values), to: vPages, at: [target, head, 0, 0])
      }
    }
  }
}
