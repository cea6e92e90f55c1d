public import Memory

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
  /// Keys further back than this are not seen; `nil` for all.
  var slidingWindow: Int? { get }

  /// Computes one step: appends the rows' keys and values to `cache` and returns the logits of the wanted rows,
  /// `[logitRows, vocabularySize]` float32, valid until the next step.
  ///
  /// - Throws: an error of the executor or of memory; the cache may then hold part of the step's keys.
  func forward(_ batch: ForwardBatch, cache: PagedCache) throws -> Tensor
}

extension Llama {
  /// Query rows a work item of attention may have, tokens times heads of a group.
  public static let attentionRows = 96
}
