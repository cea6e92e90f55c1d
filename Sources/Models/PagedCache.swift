public import Memory
public import Tiles

/// Keys and values of all layers in pages of 64 positions, in memory of the executor that runs the model.
public struct PagedCache: Sendable {
  /// Sizes that fix the bytes of a page.
  public struct Geometry: Sendable, Hashable {
    /// Layers with a cache.
    public var layers: Int
    /// Key-value heads.
    public var kvHeads: Int
    /// Numbers in a head.
    public var headSize: Int
    /// float32, float16, or int8 with a float32 scale for each position and head.
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

    /// Bytes of one page with the keys and values of all layers; `Int.max` where that cannot be counted.
    public var pageBytes: Int {
      let (head, tooLong) = headSize.multipliedReportingOverflow(by: type.blockBytes)
      var bytes = head.addingReportingOverflow(type == .int8 ? 4 : 0).partialValue
      for factor in [Self.pageTokens, kvHeads, layers, 2] {
        let (product, overflow) = bytes.multipliedReportingOverflow(by: factor)
        if overflow || tooLong { return .max }
        bytes = product
      }
      return bytes
    }
  }

  /// Sizes of a page.
  public let geometry: Geometry
  /// `[pages, layers, kvHeads, D, 64]`.
  public let keys: Tensor
  /// `[pages, layers, kvHeads, 64, D]`.
  public let values: Tensor
  /// What int8 keys and values are multiplied with, `[pages, layers, kvHeads, 64]` each; `nil` for other types.
  public let scales: (keys: Tensor, values: Tensor)?

  /// What its kernels run on, which also moves pages.
  public let executor: any Executor

  /// Zeroed pages; host memory is backed only once written.
  ///
  /// - Throws: what the executor says of memory that it has not got.
  public init(_ geometry: Geometry, pages: Int, executor: any Executor) throws {
    self.geometry = geometry
    self.executor = executor
    let heads = [pages, geometry.layers, geometry.kvHeads]
    keys = try executor.tensor(geometry.type, heads + [geometry.headSize, Geometry.pageTokens])
    values = try executor.tensor(geometry.type, heads + [Geometry.pageTokens, geometry.headSize])
    guard geometry.type == .int8 else {
      scales = nil
      return
    }
    let positions = heads + [Geometry.pageTokens]
    scales = (try executor.tensor(.float32, positions), try executor.tensor(.float32, positions))
  }

  /// Pages of one layer as kernels take them: keys `[pages, kvHeads, D, 64]`, values `[pages, kvHeads, 64, D]`, and
  /// the scales of both `[pages, kvHeads, 64]` where there are any.
  func layer(_ number: Int) -> [Tensor] {
    ([keys, values] + (scales.map { [$0.keys, $0.values] } ?? [])).map { $0.selecting(axis: 1, number) }
  }
}
