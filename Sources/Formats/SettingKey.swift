/// A key of an object of settings: what may stand there, and what a reference says of it.
///
/// A reader takes no keys but those it describes, see ``JSONNode/requireKeys(_:)-([SettingKey])``.
public struct SettingKey: Sendable, Equatable {
  /// What holds where a key is left out.
  public enum Standard: Sendable, Equatable {
    /// Nothing: it must be there.
    case required
    /// What this value says.
    case value(JSON)
    /// What the words say, such as a number that follows from others.
    case words(String)
  }

  /// Its name.
  public let name: String
  /// What may stand there.
  public let values: SettingValues
  /// What holds where it is left out.
  public let standard: Standard
  /// What it decides: a sentence.
  public let meaning: String

  /// One that must be there.
  public init(_ name: String, _ values: SettingValues, _ meaning: String) {
    self.init(name, values, .required, meaning)
  }

  /// One that may be left out for a value.
  public init(_ name: String, _ values: SettingValues, default value: JSON, _ meaning: String) {
    self.init(name, values, .value(value), meaning)
  }

  /// One that may be left out for what the words say.
  public init(_ name: String, _ values: SettingValues, otherwise words: String, _ meaning: String) {
    self.init(name, values, .words(words), meaning)
  }

  private init(_ name: String, _ values: SettingValues, _ standard: Standard, _ meaning: String) {
    (self.name, self.values, self.standard, self.meaning) = (name, values, standard, meaning)
  }
}

/// One of several that may stand at a place, with keys of its own.
public struct SettingForm: Sendable, Equatable {
  /// Its name.
  public let name: String
  /// What it is: a sentence.
  public let meaning: String
  /// Keys of its object.
  public let keys: [SettingKey]

  /// A form of that name, by default without settings.
  public init(_ name: String, _ meaning: String, keys: [SettingKey] = []) {
    (self.name, self.meaning, self.keys) = (name, meaning, keys)
  }
}
