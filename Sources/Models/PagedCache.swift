public import Memory

/// Keys and values of all layers in pages of 64 positions.
public struct PagedCache: Sendable {
  /// Sizes that fix the bytes of a page.
  public struct Geometry: Sendable, Hashable {
    /// Layers with a cache.
    public var layers: Int
    /// Key-value heads.
    public var kvHeads: Int
    /// Numbers in a head.
    public var headSize: Int
    /// float32 or float16.
    public var type: ElementType
    /// Positions in a page.
    public static let pageTokens = 64

    /// Sizes of one model's cache.
    public init(layers: Int, kvHeads: Int, headSize: Int, type: ElementType) {
      self.layers = layers
      self.kvHeads = kvHeads
      self.headSize = headSize
      self.type = type
    }

    /// Bytes of one page with the keys and values of all layers.
    public var pageBytes: Int { 2 * layers * kvHeads * headSize * Self.pageTokens * type.blockBytes }
  }

  /// Sizes of a page.
  public let geometry: Geometry
  /// `[pages, layers, kvHeads, D, 64]`.
  public let keys: Tensor
  /// `[pages, layers, kvHeads, 64, D]`.
  public let values: Tensor

  /// Zeroed pages; memory is backed only once written.
  public init(_ geometry: Geometry, pages: Int) throws(MemoryError) {
    self.geometry = geometry
    let heads = [pages, geometry.layers, geometry.kvHeads]
    keys = try Tensor(zeros: geometry.type, heads + [geometry.headSize, Geometry.pageTokens])
    values = try Tensor(zeros: geometry.type, heads + [Geometry.pageTokens, geometry.headSize])
  }

  /// Pages of one layer: keys `[pages, kvHeads, D, 64]` and values `[pages, kvHeads, 64, D]`.
  func layer(_ number: Int) -> (keys: Tensor, values: Tensor) {
    (keys.selecting(axis: 1, number), values.selecting(axis: 1, number))
  }
}
