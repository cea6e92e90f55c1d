internal import Formats
internal import Glibc
internal import Kernels
internal import Memory
public import Models
internal import Tensors
internal import Tiles

/// What AdamW is run with.
public struct OptimizerSettings: Sendable, Hashable {
  /// Rate and decay of a group; ``OptimizerSettings/numbers(of:)`` says what stands for `nil`.
  public struct Group: Sendable, Hashable {
    /// Learning rate.
    public var rate: Double?
    /// Weight decay.
    public var decay: Double?
  }

  /// Learning rate.
  public var rate: Double
  /// Decay of the mean of gradients.
  public var firstBeta = 0.9
  /// Decay of the mean of their squares.
  public var secondBeta = 0.999
  /// Keeps quotients finite.
  public var epsilon = 1e-8
  /// Weight decay.
  public var decay = 0.0
  /// Largest norm of all gradients together; `nil` for any.
  public var clip: Double?
  /// Groups with numbers of their own.
  public var groups: [ParameterGroup: Group] = [:]

  /// Rate and decay of a group, stated or standard: state spaces at most a rate of 0.001, positions of filters 0.00001, and neither they
  /// nor filters any decay.
  public func numbers(of group: ParameterGroup) -> (rate: Double, decay: Double) {
    let stated = groups[group]
    switch group {
    case .ordinary: return (stated?.rate ?? rate, stated?.decay ?? decay)
    case .stateSpace: return (stated?.rate ?? min(1e-3, rate), stated?.decay ?? 0)
    case .filter: return (stated?.rate ?? rate, stated?.decay ?? 0)
    case .positions: return (stated?.rate ?? 1e-5, stated?.decay ?? 0)
    case .frozen, .statistics: return (0, 0)
    }
  }

  /// - Parameter node: an object with keys of ``keys``.
  init(_ node: JSONNode) throws(FormatError) {
    try node.requireKeys(Self.keys)
    rate = try node.required("rate").positiveFloat()
    epsilon = try node.optional("epsilon")?.positiveFloat() ?? 1e-8
    decay = try node.optional("decay")?.nonNegative() ?? 0
    clip = try node.optional("clip")?.positiveFloat()
    if let pair = try node.optional("betas") {
      let values = try pair.elements()
      guard values.count == 2 else { throw pair.wrong("two numbers") }
      (firstBeta, secondBeta) = (try values[0].number(), try values[1].number())
      guard (0..<1).contains(Float(firstBeta)), (0..<1).contains(Float(secondBeta)) else {
        throw pair.wrong("two numbers from 0 to below 1, also in float32")
      }
    }
    guard let stated = try node.optional("groups") else { return }
    try stated.requireKeys(Self.groupKeys)
    for (group, key) in Self.groupsOfKeys {
      guard let numbers = try stated.optional(key.name) else { continue }
      if case .object(let keys) = key.values { try numbers.requireKeys(keys) }
      groups[group] = Group(
        rate: try numbers.optional("rate")?.nonNegative(), decay: try numbers.optional("decay")?.nonNegative()
      )
    }
  }
}

extension JSONNode {
  /// A number not below zero.
  func nonNegative() throws(FormatError) -> Double {
    let value = try number()
    guard value >= 0, Float(value).isFinite else { throw wrong("a number not below 0 that float32 holds") }
    return value
  }

  /// A number above zero, also when it is rounded to float32.
  func positiveFloat() throws(FormatError) -> Double {
    let value = try positiveNumber()
    guard Float(value) > 0, Float(value).isFinite else {
      throw wrong(
        "a number from \(Float.leastNonzeroMagnitude) to \(Float.greatestFiniteMagnitude), which float32 holds"
      )
    }
    return value
  }
}

/// AdamW over the parameters of a network.
final class Optimizer {
  private let settings: OptimizerSettings
  private let device: Device
  let slots: [Slot]
  /// What ``Kernels/AdamW`` is given for each group.
  private let numbers: [ParameterGroup: Feed<Float>]
  /// The last move's factor, `[1]`: once it is no number, no later one is, so that steps which were started before somebody looked
  /// change nothing.
  private let health: Variable

  /// A parameter with its means.
  struct Slot {
    let parameter: Parameter
    let mean: Variable
    let variance: Variable
  }

  init(_ settings: OptimizerSettings, _ parameters: ParameterSet) throws {
    self.settings = settings
    device = parameters.device
    for group in settings.groups.keys where !parameters.parameters.contains(where: { $0.group == group }) {
      throw TrainError.data(
        what: "optimizer.groups",
        why: "the network has no parameter of the group \(group.rawValue). Leave it out")
    }
    health = try device.constant([1], [1])
    let moved = parameters.parameters.filter { $0.group.isTrained }
    numbers = Dictionary(
      uniqueKeysWithValues: Set(moved.map(\.group)).map { ($0, Feed([Float](repeating: 0, count: 6))) })
    slots = try moved.map { parameter in
      let zeros = [Float](repeating: 0, count: parameter.variable.value.count)
      let shape = parameter.variable.shape
      return Slot(
        parameter: parameter, mean: try parameters.device.constant(zeros, shape),
        variance: try parameters.device.constant(zeros, shape))
    }
  }

  /// Sets the numbers of the next move.
  ///
  /// - Parameters:
  ///   - step: from 0.
  ///   - rate: the group's rate at this step, from its own.
  func prepare(step: Int, rate: (_ own: Double) -> Double) {
    let count = Double(step + 1)
    let (first, second) = (1 - pow(settings.firstBeta, count), 1 - pow(settings.secondBeta, count))
    for (group, feed) in numbers {
      let (own, decay) = settings.numbers(of: group)
      let now = rate(own)
      feed.numbers = [
        now / first, 1 / second.squareRoot(), now * decay, settings.firstBeta, settings.secondBeta,
        settings.epsilon,
      ].map { Float($0) }
    }
  }

  /// Moves all parameters by their gradients and forgets those; moves none where the loss or a gradient is no finite number.
  ///
  /// - Parameter loss: `[1]`.
  /// - Returns: the norm of all gradients, `[1]`.
  func move(loss: Variable) throws -> Variable {
    let norm = try device.norm(of: slots.compactMap(\.parameter.variable.gradient))
    let clip = settings.clip.map { Float($0) }
    let factor = try device.evaluating {
      try norm.map(loss.detached, health) { norm, loss, health in
        let share =
          clip.map { norm.constant($0) / (norm + Float(1e-6)).max(norm.constant($0)) } ?? norm.constant(1)
        // Adds 0, or NaN.
        return share + (norm - norm) + (loss - loss) + (health - health)
      }
    }
    try device.executor.copy(from: factor.value, into: health.value)
    var placed: [ParameterGroup: Variable] = [:]
    for slot in slots {
      guard let gradient = slot.parameter.variable.gradient, let feed = numbers[slot.parameter.group] else {
        continue
      }
      let settings = try placed[slot.parameter.group] ?? device.variable(of: feed, [6])
      placed[slot.parameter.group] = settings
      try slot.parameter.variable.moveByAdamW(
        gradient: gradient, mean: slot.mean, variance: slot.variance, settings: settings, factor: factor)
      slot.parameter.variable.clearGradient()
    }
    return norm
  }
}
