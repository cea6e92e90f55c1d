internal import Formats

extension SequenceSettings.Mixer {
  /// What recipes may say, those of the catalogue last.
  static let forms =
    [
      SettingForm("h3", "H3: state spaces between gates (arXiv:2212.14052).", keys: h3Keys),
      SettingForm("s4d", "S4D: diagonal state spaces of each channel (arXiv:2206.11893).", keys: s4dKeys),
      SettingForm("attention", "Softmax attention; `heads` and `attention_dropout` stand beside `mixer`."),
      SettingForm("hyena", "Hyena: long implicit filters between gates (arXiv:2302.10866).", keys: hyenaKeys),
      LongConvolutionSettings.form,
      SettingForm(
        "monarch_mixer",
        "Monarch Mixer: a long implicit filter between gates, and another beside it (arXiv:2310.12109).",
        keys: monarchMixerKeys),
    ] + catalogue.map { $0.form }

  private static let states = SettingKey(
    "states", .integer(2...4096, .even), default: 64, "Numbers of a state, two for each complex mode.")

  private static let h3Keys = [
    states,
    SettingKey(
      "head_width", .count, default: 1, "Channels that share a diagonal state space; a divisor of `width`."),
  ]

  private static let s4dKeys = [
    states, SettingKey("sets", .integer(1...64), default: 1, "State spaces of each channel."),
    SettingKey(
      "gated", .truth, default: false,
      "Whether the linear layer behind is twice as wide and its second half gates the first."),
  ]

  private static let hyenaKeys =
    [
      SettingKey("order", .integer(2...8), default: 2, "Gates, one more than there are long convolutions.")
    ] + ImplicitFilter.keys(width: 64) + [
      SettingKey("window", .truth, default: true, "Whether filters decay over the lags."),
      SettingKey(
        "inner_layers", .integer(0...64), default: 2,
        "Layers of the filters' network between its first and its last."),
      SettingKey(
        "short_taps", .integer(2...16), default: 3, "Taps of the short convolution before the gates."),
      SettingKey(
        "window_shift", .number(from: nil, to: nil), default: 0,
        "What is added to the window, so that late taps do not vanish; for `window: true`."),
    ]

  private static let monarchMixerKeys =
    ImplicitFilter.keys(width: 128) + [
      SettingKey("norm_first", .truth, default: false, "Whether the mixer normalises its input once more.")
    ]
}

extension ImplicitFilter {
  /// Keys of the network that gives filters.
  ///
  /// - Parameter width: where it is not stated.
  static func keys(width: Int) -> [SettingKey] {
    [
      SettingKey(
        "filter_width", .count, default: .integer(width), "Width of the network that gives the filters."),
      SettingKey(
        "features", .integer(3...1025, .odd), default: 5,
        "Numbers by which that network knows a lag: the lag itself, cosines and sines."),
      SettingKey("frequency", .positive, default: 10, "Frequency of that network's sines at the beginning."),
    ]
  }
}
