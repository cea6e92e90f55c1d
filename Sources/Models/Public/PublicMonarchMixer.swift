public import Formats
internal import Glibc
internal import Memory
public import Tensors

/// A published checkpoint of M2-BERT: what its tensors tell of the network, and its numbers.
///
/// Known are files of HazyResearch's `m2` repository: pretrained with a head for masked tokens, or with a pooler for sentences, with or
/// without classes. Tensors that the network would ignore are errors, but for buffers, which must hold the numbers that the network
/// computes itself (positions must be as many), buffers of FlashFFTConv, and what lies outside the network, which is listed.
public struct PublicMonarchMixer {
  /// What stands on the encoder.
  public enum Head: Sendable, Hashable {
    /// Logits of masked tokens.
    case masked
    /// States of sequences, `tanh` of a layer, and so many classes of them; 0 where there are states alone.
    case pooled(classes: Int)
  }

  /// What error messages call it.
  public let file: String
  /// The network's settings.
  public let settings: MonarchMixerSettings
  /// What stands on the encoder.
  public let head: Head
  /// Which positions the state of a sequence is made of: the configuration's `pool_all`, or the first.
  public let pool: MonarchMixerClassifier.Pool
  /// Tensors that belong to no part of the network.
  public let outside: [String]
  private let tensors: any NamedTensors
  /// Of the file, by the network's names.
  private let places: [String: String]

  private static let embedding = "bert.embeddings.word_embeddings.weight"
  private static let firstMixer = "bert.encoder.layer.0.attention"

  /// Whether tensors have this layout.
  public static func isLikely(_ tensors: any NamedTensors) -> Bool {
    tensors.names.contains { $0.contains("encoder.layer.0.attention.filter_fn") }
  }

  /// Looks at names and shapes, and at the numbers of buffers.
  ///
  /// - Parameters:
  ///   - tensors: the file.
  ///   - configuration: a `config.json`.
  /// - Throws: ``ModelError`` and ``Formats/FormatError`` naming the tensor or setting.
  public init(_ tensors: any NamedTensors, configuration: JSONNode? = nil) throws {
    self.tensors = tensors
    file = tensors.file
    let ends = tensors.names.filter { $0 == Self.embedding || $0.hasSuffix("." + Self.embedding) }
    guard ends.count == 1, let prefix = ends.first.map({ $0.dropLast(Self.embedding.count) }) else {
      throw ModelError.unknownLayout(file: tensors.file, names: Array(tensors.names.prefix(3)))
    }
    var (places, outside): ([String: String], [String]) = ([:], [])
    for name in tensors.names {
      let own = String(name.dropFirst(prefix.count))
      let isOwn =
        name.hasPrefix(prefix) && ["bert.", "cls.", "classifier."].contains { own.hasPrefix($0) }
        && !own.contains(".flashfft")
      if isOwn { places[own] = name } else { outside.append(name) }
    }
    let reading = PublicMonarchMixerReading(tensors: tensors, places: places)
    (settings, head) = try reading.settings(configuration)
    pool = try configuration?.optional("pool_all")?.bool() == true ? .mean : .first
    self.places = try reading.withoutBuffers(settings)
    self.outside = outside
  }

  /// The network for masked tokens with the file's numbers.
  ///
  /// - Precondition: ``head`` is ``Head/masked``.
  public func maskedLanguageModel(on device: Device) throws -> MaskedLanguageModel {
    precondition(head == .masked, "a network without a head for masked tokens")
    return try reading { try MaskedLanguageModel(settings, ParameterSet($0, on: device)) }
  }

  /// The network for states of sequences, or classes, with the file's numbers.
  ///
  /// - Precondition: ``head`` is ``Head/pooled(classes:)``.
  public func classifier(on device: Device) throws -> MonarchMixerClassifier {
    guard case .pooled(let classes) = head else { preconditionFailure("a network without a pooler") }
    return try reading {
      try MonarchMixerClassifier(settings, classes: classes, pool: pool, ParameterSet($0, on: device))
    }
  }

  /// Writes the network in the form in which `godwit train` keeps checkpoints: float32, with the settings in the header.
  ///
  /// - Parameter tokenizer: the contents of a `tokenizer.json`.
  /// - Returns: how many parameters it has.
  /// - Throws: ``Formats/FormatError``, and ``ModelError`` for settings that such a checkpoint cannot have; `path` is then as it was.
  public func save(on device: Device, tokenizer: String? = nil, to path: String) throws -> Int {
    try settings.json.requireReadable(as: settings, file) { try MonarchMixerSettings($0) }
    let parameters =
      switch head {
      case .masked: try maskedLanguageModel(on: device).parameters
      case .pooled: try classifier(on: device).parameters
      }
    try parameters.save(model: settings.json, origin: (file, layout), tokenizer: tokenizer, to: path)
    return parameters.count
  }

  /// `m2-bert` and what stands on it, as checkpoints have it.
  public var layout: String {
    switch head {
    case .masked: "m2-bert masked"
    case .pooled(let classes): "m2-bert pooled \(pool == .mean ? "mean" : "first") \(classes)"
    }
  }

  /// Builds a network that must ask for every tensor.
  private func reading<Network>(_ make: (ParameterSet.Source) throws -> Network) throws -> Network {
    var unused = Set(places.keys)
    let network = try make(
      .read { name, shape in
        guard let stored = places[name] else { return nil }
        unused.remove(name)
        let tensor = try tensors.tensor(stored)
        guard tensor.shape == shape else {
          throw ModelError.misshapen(tensor: stored, found: tensor.shape, expected: shape)
        }
        return try tensor.floats(stored)
      })
    if let first = unused.min() {
      throw ModelError.unused(tensor: places[first] ?? first, count: unused.count, file: file)
    }
    return network
  }
}
