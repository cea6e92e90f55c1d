internal import Tensors

/// A mixer that continues sequences position by position.
protocol DecodableMixer: SequenceMixer {
  /// Whether rounding depends on how many positions there will be, as transforms of that length make it.
  var roundsByCapacity: Bool { get }

  /// Mixed sequences `[B, L, D]`, and what continues them.
  ///
  /// - Parameter capacity: positions there will be at most, those of `u` included.
  /// - Throws: ``ModelError/unsupported(feature:)`` for a form that has no steps.
  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder)
}

extension DecodableMixer {
  var roundsByCapacity: Bool { false }
}

/// The state of one mixer while sequences grow.
protocol MixerDecoder: AnyObject {
  /// The next position of each sequence, `[B, 1, D]` → `[B, 1, D]`.
  func step(_ u: Variable) throws -> Variable
}
