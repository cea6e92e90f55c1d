internal import Formats
internal import Kernels
internal import Tensors

/// Damped moving averages of each channel behind a gate: MEGA's averages without its attention.
///
/// A channel x has N averages s_n ← α_n x + (1 − α_n δ_n) s_n, with α and δ within 0…1. Their sum with factors η and ω x beside it are
/// multiplied by SiLU of a linear layer, and go through another. All positions at once are a convolution with
/// k[l] = Σ_n η_n α_n (1 − α_n δ_n)^l, found as a product for blocks of lags; a step is written as above.
///
/// Ma et al., “Mega: moving average equipped gated attention”, 2022, arXiv:2209.10655.
struct MovingAverage: SequenceMixer {
  /// What a layer is built with.
  struct Settings: MixerSettings {
    static let form = SettingForm(
      "moving_average", "Damped moving averages of each channel behind a gate (arXiv:2209.10655).",
      keys: [SettingKey("averages", .integer(1...256), default: 4, "Averages of each channel.")])
    static let isRecurrent = true
    static let examples = [Settings(averages: 1), Settings(averages: 3)]

    /// N, of each channel.
    var averages = 4
  }

  /// What is left of an average after a position, at least, so that it has a logarithm.
  private static let leastRest: Float = 1e-6
  /// Lags of a block of the filter, and positions of a prompt that are taken up at a time.
  var block = 64
  let alpha: Variable
  let delta: Variable
  let eta: Variable
  let omega: Variable
  let gate: AffineLayer
  let output: AffineLayer

  /// - Parameter deviation: of the output projection's weights when they are drawn.
  init(_ scope: ParameterScope, width: Int, settings: Settings, deviation: Float) throws {
    let shape = [width, settings.averages]
    // α about ½; averages that forget within 4 to 300 positions.
    alpha = try scope("alpha", shape, .normal(deviation: 0.2), .stateSpace)
    delta = try scope("delta", shape, .uniform(-5...0), .stateSpace)
    // Σ_l (α (1 − α δ)^l)² is about α / 2δ, 8 on the average over those δ: results begin with about the size of inputs.
    eta = try scope("eta", shape, .normal(deviation: 1 / Float(8 * settings.averages).squareRoot()))
    omega = try scope("omega", [width], .normal(deviation: 1))
    gate = try AffineLayer(scope.scope("gate_proj"), inputs: width, outputs: width)
    output = try AffineLayer(scope.scope("out_proj"), inputs: width, outputs: width, deviation: deviation)
  }

  func callAsFunction(_ u: Variable) throws -> Variable {
    let taps = try u.device.precisely { try self.taps(u.shape[1]) }
    let gates = try gate.channels(of: u).activated(.silu)
    let mixed = try u.channels(times: 1, isRounded: true).convolved(taps, skip: omega, gateAfter: gates)
    return try output.positions(of: mixed)
  }

  /// `[D, length]`.
  private func taps(_ length: Int) throws -> Variable {
    let (factors, logarithms) = try coefficients()
    let (width, block) = (logarithms.shape[0], min(self.block, length))
    let blocks = (length + block - 1) / block
    let first = try Self.powers(logarithms, (0..<blocks).map { $0 * block }) * factors
    let all = try first.product(Self.powers(logarithms, Array(0..<block)), transposesOther: true)
    return try all.reshaped([width, blocks * block]).sliced(axis: 1, 0..<length)
  }

  /// η α and the logarithm of 1 − α δ, `[D, 1, N]` each.
  fileprivate func coefficients() throws -> (factors: Variable, logarithms: Variable) {
    let found = try Variable.pointwise([alpha, delta, eta]) { x in
      let weight = x[0].sigmoid
      let rest = 1 - weight * x[1].sigmoid
      return [x[2] * weight, rest.max(rest.constant(Self.leastRest)).log]
    }
    let shape = [alpha.shape[0], 1, alpha.shape[1]]
    return (try found[0].reshaped(shape), try found[1].reshaped(shape))
  }

  /// What is left after each of some lags, `[D, lags, N]`.
  fileprivate static func powers(_ logarithms: Variable, _ lags: [Int]) throws -> Variable {
    let lag = try logarithms.device.constant(lags.map { Float($0) }, [1, lags.count, 1])
    return try logarithms.map(lag) { ($0 * $1).exp }
  }
}

extension MovingAverage.Settings {
  init(_ node: JSONNode?) throws(FormatError) {
    averages = try node?.optional("averages")?.integer(in: 1...256) ?? 4
  }

  var json: JSON { ["averages": .integer(averages)] }

  func make(_ scope: ParameterScope, _ context: MixerContext) throws -> any SequenceMixer {
    try MovingAverage(scope, width: context.width, settings: self, deviation: context.deviation)
  }
}

extension SequenceSettings.Mixer {
  /// Damped moving averages behind a gate: how many of each channel.
  public static func movingAverage(averages: Int) -> Self {
    .listed(ListedMixer(MovingAverage.Settings(averages: averages)))
  }
}

extension MovingAverage: DecodableMixer {
  func begun(_ u: Variable, capacity: Int) throws -> (mixed: Variable, decoder: any MixerDecoder) {
    (try self(u), try MovingAverageDecoder(self, after: u))
  }
}

/// The averages as they are written, at constant cost a position.
private final class MovingAverageDecoder: MixerDecoder {
  private let mixer: MovingAverage
  /// `[1, D, N]` each.
  private let factors: Variable
  private let logarithms: Variable
  /// Averages over their α, `[B, D, N]`.
  private var averages: Variable

  init(_ mixer: MovingAverage, after u: Variable) throws {
    self.mixer = mixer
    (factors, logarithms, averages) = try u.device.precisely {
      let known = try mixer.coefficients()
      let shape = [1, known.factors.shape[0], known.factors.shape[2]]
      let logarithms = try known.logarithms.reshaped(shape)
      func sum(_ positions: Range<Int>) throws -> Variable {
        let part = try u.sliced(axis: 1, positions).converted(to: u.device.scalar).permuted([2, 0, 1])
        let lags = Array((0..<positions.count).reversed())
        return try part.product(MovingAverage.powers(known.logarithms, lags)).permuted([1, 0, 2])
      }
      let (length, block) = (u.shape[1], mixer.block)
      var averages = try sum(0..<min(block, length))
      for start in stride(from: block, to: length, by: block) {
        let count = min(block, length - start)
        averages = try averages.map(logarithms, sum(start..<start + count)) {
          $0 * ($1 * Float(count)).exp + $2
        }
      }
      return (try known.factors.reshaped(shape), logarithms, averages)
    }
  }

  func step(_ u: Variable) throws -> Variable {
    let (batch, width) = (u.shape[0], u.shape[2])
    let x = try u.reshaped([batch, width])
    let next = try Variable.pointwise([factors, logarithms, averages, x.reshaped([batch, width, 1])]) { t in
      let average = t[1].exp * t[2] + t[3]
      return [average, t[0] * average]
    }
    averages = next[0]
    let sum = try next[1].sum(axes: [2]).reshaped([batch, width])
    let gates = try mixer.gate(x, activation: .silu)
    let mixed = try Variable.pointwise([sum, x, mixer.omega, gates]) { [($0[0] + $0[1] * $0[2]) * $0[3]] }[0]
    return try mixer.output(mixed).reshaped(u.shape)
  }
}
