public import Memory
public import Tiles

/// A network that continues token sequences, with its keys and values in a paged cache.
public protocol LanguageModel: AnyObject {
  /// Logits a row has.
  var vocabularySize: Int { get }
  /// Longest sequence it was made for.
  var contextLength: Int { get }
  /// Query heads that share a key-value head.
  var queryGroup: Int { get }
  /// Sizes of its cache.
  var cacheGeometry: PagedCache.Geometry { get }
  /// What attention multiplies, queries among them: float32, or the type of a cache of 16 bits.
  var attentionFactor: ElementType { get }
  /// Bytes of the weights that every step reads; of embeddings only those that are a head too.
  var stepWeightBytes: Int { get }
  /// What it runs on.
  var executor: any Executor { get }
  /// Keys further back than this are not seen; `nil` for all.
  var slidingWindow: Int? { get }

  /// Computes one step: appends the rows' keys and values to `cache` and returns the logits of the wanted rows,
  /// `[logitRows, vocabularySize]` float32 in memory of the executor, valid until the next step.
  ///
  /// - Throws: an error of the executor or of memory; the cache may then hold part of the step's keys.
  func forward(_ batch: ForwardBatch, cache: PagedCache) throws -> Tensor
}
