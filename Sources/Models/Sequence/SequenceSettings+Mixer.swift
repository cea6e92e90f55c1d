internal import Formats

extension SequenceSettings {
  /// What mixes the positions of a layer.
  public enum Mixer: Sendable, Hashable {
    /// State spaces between gates: states, channels of a head.
    case h3(states: Int, headWidth: Int)
    /// Diagonal state spaces: states, state spaces for each channel, whether the result is gated.
    case s4d(states: Int, sets: Int = 1, isGated: Bool = false)
    /// Softmax attention.
    case attention
    /// Long implicit filters between gates: order, width, features and frequency of the filter's network, window, layers
    /// between the network's first and last, taps of the short convolution, what is added to the window.
    case hyena(
      order: Int, filterWidth: Int, features: Int, frequency: Float, hasWindow: Bool, innerLayers: Int = 2,
      shortTaps: Int = 3, windowShift: Float = 0)
    /// Filters whose taps are parameters.
    case longConv(LongConvolutionSettings)
    /// Monarch Mixer's gated convolution, and one beside it: width, features and frequency of the filters' networks, whether the
    /// input is normalised again.
    case monarchMixer(filterWidth: Int, features: Int, frequency: Float, normalises: Bool)
    /// One that stands in the catalogue with settings of its own.
    case listed(ListedMixer)

    /// Its name in recipes.
    public var name: String {
      switch self {
      case .h3: "h3"
      case .s4d: "s4d"
      case .attention: "attention"
      case .hyena: "hyena"
      case .longConv: "longconv"
      case .monarchMixer: "monarch_mixer"
      case .listed(let mixer): mixer.kind.name
      }
    }

    /// Whether there is a form in which positions see later ones too.
    public var canBeTwoSided: Bool {
      switch self {
      case .h3, .hyena: false
      case .s4d, .attention, .longConv, .monarchMixer: true
      case .listed(let mixer): mixer.kind.canBeTwoSided
      }
    }

    /// Whether it goes on for any number of positions, since none of its parameters belongs to a position.
    var isRecurrent: Bool {
      switch self {
      case .h3, .s4d, .attention: true
      case .hyena, .longConv, .monarchMixer: false
      case .listed(let mixer): mixer.kind.isRecurrent
      }
    }

    /// Whether it has heads.
    public var hasHeads: Bool {
      switch self {
      case .attention: true
      case .h3, .s4d, .hyena, .longConv, .monarchMixer: false
      case .listed(let mixer): mixer.kind.hasHeads
      }
    }
  }
}

extension SequenceSettings.Mixer {
  /// - Parameter node: one of ``forms``.
  init(_ node: JSONNode) throws(FormatError) {
    let (name, settings) = try node.named(Self.forms)
    switch name {
    case "h3":
      self = .h3(
        states: try Self.states(settings),
        headWidth: try settings?.optional("head_width")?.positiveInteger() ?? 1)
    case "s4d":
      self = .s4d(
        states: try Self.states(settings), sets: try settings?.optional("sets")?.integer(in: 1...64) ?? 1,
        isGated: try settings?.optional("gated")?.bool() ?? false)
    case "attention": self = .attention
    case "hyena":
      let hasWindow = try settings?.optional("window")?.bool() ?? true
      if !hasWindow, let unused = try settings?.optional("window_shift"), try unused.number() != 0 {
        throw unused.wrong("0 or no such key, since there is no window")
      }
      self = .hyena(
        order: try settings?.optional("order")?.integer(in: 2...8) ?? 2,
        filterWidth: try settings?.optional("filter_width")?.positiveInteger() ?? 64,
        features: try settings?.oddInteger("features", in: 3...1025) ?? 5,
        frequency: Float(try settings?.optional("frequency")?.positiveNumber() ?? 10),
        hasWindow: hasWindow,
        innerLayers: try settings?.optional("inner_layers")?.integer(in: 0...64) ?? 2,
        shortTaps: try settings?.optional("short_taps")?.integer(in: 2...16) ?? 3,
        windowShift: Float(try settings?.optional("window_shift")?.number() ?? 0))
    case "longconv": self = .longConv(try LongConvolutionSettings(settings))
    case "monarch_mixer":
      self = .monarchMixer(
        filterWidth: try settings?.optional("filter_width")?.positiveInteger() ?? 128,
        features: try settings?.oddInteger("features", in: 3...1025) ?? 5,
        frequency: Float(try settings?.optional("frequency")?.positiveNumber() ?? 10),
        normalises: try settings?.optional("norm_first")?.bool() ?? false)
    default:
      guard let kind = Self.catalogue.first(where: { $0.name == name }) else {
        preconditionFailure("the mixer \(name) is described, and nothing reads it")
      }
      self = .listed(ListedMixer(try kind.init(settings)))
    }
  }

  /// States, two for each complex mode.
  private static func states(_ settings: JSONNode?) throws(FormatError) -> Int {
    guard let node = try settings?.optional("states") else { return 64 }
    let states = try node.integer(in: 2...4096)
    guard states % 2 == 0 else { throw node.wrong("an even number") }
    return states
  }

  /// - Parameters:
  ///   - isCausal: whether it must let nothing through from later positions.
  ///   - node: the settings in which `mixer` stands.
  /// - Throws: ``Formats/FormatError`` where it does not go with the width or the direction.
  func requireFit(width: Int, isCausal: Bool, _ node: JSONNode) throws(FormatError) {
    if case .h3(_, let headWidth) = self, width % headWidth != 0 {
      throw try node.required("mixer").wrong("a head_width that divides the width, \(width)")
    }
    if case .longConv(let settings) = self, settings.learnsTransform, isCausal {
      throw try node.required("mixer").wrong(
        "no learned_transform, which lets through what comes later")
    }
    if !isCausal, !canBeTwoSided {
      throw try node.required("mixer").wrong("direction causal, or a mixer that has a two-sided form")
    }
  }

  var json: JSON {
    switch self {
    case .h3(let states, let headWidth):
      ["h3": ["states": .integer(states), "head_width": .integer(headWidth)]]
    case .s4d(let states, let sets, let isGated):
      ["s4d": ["states": .integer(states), "sets": .integer(sets), "gated": .bool(isGated)]]
    case .attention: "attention"
    case .hyena(let order, let width, let features, let frequency, let window, let inner, let taps, let shift):
      [
        "hyena": [
          "order": .integer(order), "filter_width": .integer(width), "features": .integer(features),
          "frequency": .float(frequency), "window": .bool(window), "inner_layers": .integer(inner),
          "short_taps": .integer(taps), "window_shift": .float(shift),
        ]
      ]
    case .longConv(let settings): ["longconv": settings.json]
    case .monarchMixer(let width, let features, let frequency, let normalises):
      [
        "monarch_mixer": [
          "filter_width": .integer(width), "features": .integer(features), "frequency": .float(frequency),
          "norm_first": .bool(normalises),
        ]
      ]
    case .listed(let mixer): [mixer.kind.name: mixer.settings.json]
    }
  }
}
