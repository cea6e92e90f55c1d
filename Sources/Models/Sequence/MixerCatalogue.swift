internal import Formats

extension SequenceSettings.Mixer {
  /// Mixers of which nothing but their own file knows the settings: a line makes one known to recipes, checkpoints and the tests.
  ///
  /// Those that published checkpoints are told apart by are cases of ``SequenceSettings/Mixer``.
  static let catalogue: [any MixerSettings.Type] = [
    LinearAttention.Settings.self, MovingAverage.Settings.self,
  ]

  /// Small ones of the whole catalogue, which tests judge like all others.
  static var listedExamples: [Self] {
    func examples<Settings: MixerSettings>(_ type: Settings.Type) -> [Self] {
      type.examples.map { .listed(ListedMixer($0)) }
    }
    return catalogue.flatMap { examples($0) }
  }
}

/// What a mixer is built with, as its own file says it.
protocol MixerSettings: Sendable, Hashable {
  /// Its name in recipes, what it is, and its keys; recipes may say no others.
  static var form: SettingForm { get }
  /// Whether there is a form in which positions see later ones too.
  static var canBeTwoSided: Bool { get }
  /// Whether it goes on for any number of positions, since none of its parameters belongs to a position.
  static var isRecurrent: Bool { get }
  /// Whether it has heads.
  static var hasHeads: Bool { get }
  /// Small ones by which tests judge it, each of its variants once.
  static var examples: [Self] { get }

  /// - Parameter node: what stands behind the name, with no keys but the form's; `nil` where the name stands alone.
  /// - Throws: ``Formats/FormatError`` naming the key.
  init(_ node: JSONNode?) throws(FormatError)
  /// The object that gives these settings.
  var json: JSON { get }
  /// The mixer of a layer, with parameters of that scope.
  func make(_ scope: ParameterScope, _ context: MixerContext) throws -> any SequenceMixer
}

extension MixerSettings {
  static var name: String { form.name }
  static var canBeTwoSided: Bool { false }
  static var isRecurrent: Bool { false }
  static var hasHeads: Bool { false }
}

/// Settings of a mixer of the catalogue, whichever it is.
public struct ListedMixer: Sendable, Hashable {
  let settings: any MixerSettings
  var kind: any MixerSettings.Type { type(of: settings) }

  init(_ settings: any MixerSettings) { self.settings = settings }

  /// Whether both are the same mixer with the same settings.
  public static func == (a: ListedMixer, b: ListedMixer) -> Bool {
    AnyHashable(a.settings) == AnyHashable(b.settings)
  }

  /// Mixes in the settings.
  public func hash(into hasher: inout Hasher) { hasher.combine(AnyHashable(settings)) }
}
