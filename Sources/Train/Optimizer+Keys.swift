internal import Formats
internal import Models

extension OptimizerSettings {
  /// Keys of the object that gives these settings.
  static let keys = [
    SettingKey("rate", .positive, "Learning rate, before the schedule changes it."),
    SettingKey(
      "betas", .words("two numbers from 0 and below 1", example: [0.9, 0.98]), default: [0.9, 0.999],
      "Decay of the mean of gradients, and of the mean of their squares."),
    SettingKey("epsilon", .positive, default: 1e-8, "Keeps quotients finite."),
    SettingKey("decay", .nonNegative, default: 0, "Weight decay, times the rate at each step."),
    SettingKey(
      "clip", .positive, otherwise: "any norm",
      "Largest norm of all gradients together; longer ones are scaled down."),
    SettingKey(
      "groups", .object(groupKeys), default: [:],
      "Rates and decays of parameters that move otherwise than most; only groups that the network has."),
  ]

  /// Groups, and their keys in `groups`.
  static let groupsOfKeys: [(group: ParameterGroup, key: SettingKey)] = [
    (
      .stateSpace,
      group(
        "state_space", SettingKey("rate", .nonNegative, otherwise: "`optimizer.rate`, 0.001 at most", rate),
        "Poles and decays, of state spaces and of moving averages.")
    ),
    (
      .filter,
      group(
        "filter", SettingKey("rate", .nonNegative, otherwise: "`optimizer.rate`", rate),
        "Taps that are parameters, and the networks that give the filters of Hyena and Monarch Mixer.")
    ),
    (
      .positions,
      group(
        "positions", SettingKey("rate", .nonNegative, default: 1e-5, rate),
        "Numbers by which the networks of M2-BERT's filters know a lag.")
    ),
  ]

  /// Keys of `groups`.
  static let groupKeys = groupsOfKeys.map(\.key)

  private static let rate = "Learning rate of the group; 0 leaves it as it is."

  private static func group(_ name: String, _ rate: SettingKey, _ meaning: String) -> SettingKey {
    let decay = SettingKey("decay", .nonNegative, default: 0, "Weight decay of the group.")
    return SettingKey(name, .object([rate, decay]), default: [:], meaning)
  }
}
