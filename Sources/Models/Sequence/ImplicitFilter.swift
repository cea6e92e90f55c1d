internal import Glibc
internal import Kernels
internal import Tensors

/// Long filters given by a small network of the lag: k[t] = window(t) · FFN(features(t)), `[D, L]`.
///
/// Features are t / (L_max − 1) and cosines and sines of its first frequencies; the network's activation is a sine whose
/// frequencies are trained too and shared by all layers. The window lets filters decay at rates spread over the channels.
/// Two-sided convolutions have a second network, for later positions, which shares everything but its weights.
///
/// Poli et al., “Hyena hierarchy: towards larger convolutional language models”, 2023, arXiv:2302.10866.
struct ImplicitFilter {
  /// What a filter is built with.
  struct Settings: Sendable, Hashable {
    /// Numbers of a lag's features, odd.
    var features = 5
    /// Width of the network.
    var width = 64
    /// Layers between the first and the last.
    var innerLayers = 2
    /// Frequency of the sines at the beginning.
    var frequency: Float = 10
    /// Whether the window is applied.
    var hasWindow = true
    /// What is added to the window.
    var windowShift: Float = 0
    /// Longest sequence.
    var longest = 1024
    /// Whether features are trained.
    var trainsFeatures = false
    /// Whether there is a second network, for what comes later.
    var hasReverse = false
  }

  private let settings: Settings
  private let channels: Int
  private let features: Variable
  private let frequency: Variable
  private let layers: [AffineLayer]
  private let reverseLayers: [AffineLayer]

  init(_ scope: ParameterScope, channels: Int, settings: Settings) throws {
    self.settings = settings
    self.channels = channels
    let (longest, width) = (settings.longest, settings.features)
    features = try scope.scope("pos_emb")(
      "z", [1, longest, width], .values { Self.feature($0 % width, lag: $0 / width, settings) },
      settings.trainsFeatures ? .positions : .frozen)
    let network = scope.scope("implicit_filter")
    // One vector, under the name of its first place.
    frequency = try network.scope("1")("freq", [1, settings.width], .constant(settings.frequency), .filter)
    layers = try Self.layers(network, channels: channels, settings)
    reverseLayers =
      settings.hasReverse
      ? try Self.layers(scope.scope("implicit_filter_rev"), channels: channels, settings) : []
  }

  /// Linear layers of a network; sines stand between them.
  private static func layers(
    _ scope: ParameterScope, channels: Int, _ settings: Settings
  ) throws -> [AffineLayer] {
    let last = settings.innerLayers + 1
    return try (0...last).map { layer in
      try AffineLayer(
        scope.scope("\(2 * layer)"), inputs: layer == 0 ? settings.features : settings.width,
        outputs: layer == last ? channels : settings.width, hasBias: layer < last, group: .filter)
    }
  }

  /// A lag's feature: its share of the longest, then cosines, then minus sines.
  private static func feature(_ number: Int, lag: Int, _ settings: Settings) -> Float {
    let longest = settings.longest
    if number == 0 { return Float(Double(lag) / Double(max(1, longest - 1))) }
    let bands = (settings.features - 1) / 2
    let band = (number - 1) % bands
    let step = bands > 1 ? (Double(bands - 1) - 1e-4) / Double(bands - 1) : 0
    let angle = (1e-4 + step * Double(band)) * 2 * Double.pi * Double(lag) / Double(longest)
    return Float(number <= bands ? cos(angle) : -sin(angle))
  }

  /// `[D, length]`.
  func callAsFunction(length: Int) throws -> Variable { try filter(layers, length) }

  /// The filter of later positions, `[D, length]`; its first tap is for the next position.
  func reverse(length: Int) throws -> Variable {
    precondition(settings.hasReverse, "a one-sided filter has nothing for later positions")
    return try filter(reverseLayers, length)
  }

  private func filter(_ layers: [AffineLayer], _ length: Int) throws -> Variable {
    precondition(length <= settings.longest, "\(length) positions of \(settings.longest)")
    var h = try features.sliced(axis: 1, 0..<length).reshaped([length, settings.features])
    for layer in layers.dropLast() { h = try layer(h).map(frequency) { $0.sineOfProduct($1) } }
    // The last layer has no bias; this way round a filter's taps lie beside each other.
    let filter = try layers[layers.count - 1].weight.product(h, transposesOther: true)
    guard settings.hasWindow else { return filter }
    // Times exp(−t · |δ|) + shift, with δ spread evenly over the channels.
    let key = WindowKey(length: length, longest: settings.longest, channels: channels)
    let parts = try features.device.once(key) { [try lags(length), try rates()] }
    let shift = settings.windowShift
    return try filter.map(parts[0], parts[1]) { $0 * (($1 * $2).exp + shift) }
  }

  /// Shares of the longest, `[1, length]`.
  private func lags(_ length: Int) throws -> Variable {
    let longest = Double(max(1, settings.longest - 1))
    return try features.device.constant((0..<length).map { Float(Double($0) / longest) }, [1, length])
  }

  /// −|δ|, `[channels, 1]`.
  private func rates() throws -> Variable {
    let (slow, fast) = (log(1e-2) / 1.5, log(1e-2) / 0.3)
    let rates = (0..<channels).map { channel in
      let share = channels > 1 ? Double(channel) / Double(channels - 1) : 0
      return Float(-abs(slow + (fast - slow) * share))
    }
    return try features.device.constant(rates, [channels, 1])
  }
}

private struct WindowKey: Hashable {
  let length: Int
  let longest: Int
  let channels: Int
}
