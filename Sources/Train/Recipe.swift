public import Formats
public import Memory
internal import Models

/// All that decides how a network is trained.
///
/// Written as YAML in `Recipes/`; kept as JSON in checkpoints.
public struct Recipe: Sendable {
  /// What it was read from.
  public let source: JSON
  /// The data.
  public let task: TrainingTask
  /// Examples to train on.
  public let trainCount: Int
  /// Examples to be judged by.
  public let testCount: Int
  /// Decides the data.
  public let dataSeed: UInt64
  /// The network.
  public let model: NetworkSettings
  /// How parameters move.
  public let optimizer: OptimizerSettings
  /// How the rate changes.
  public let schedule: Schedule
  /// Examples of a step.
  public let batch: Int
  /// Examples that are worked on at a time; gradients of a step's parts are added up.
  public let microbatch: Int
  /// Type of the factors of products: float32, or bfloat16 for mixed precision.
  public let precision: ElementType
  /// Whether gradients are the same bits in every run, which those of fused attention on a GPU pay a sixth of their time for.
  public let isDeterministic: Bool
  /// Whether blocks are computed again for their gradients.
  public let recomputesBlocks: Bool
  /// Steps in all.
  public let steps: Int
  /// Decides initial numbers, order and dropout.
  public let seed: UInt64
  /// Steps from one evaluation to the next.
  public let evaluationInterval: Int
  /// Share of right answers at which training ends; `nil` for never.
  public let stopAccuracy: Double?

  /// Steps of an epoch; the last may have fewer examples.
  public var stepsPerEpoch: Int { (trainCount + batch - 1) / batch }

  /// Examples that are judged at a time.
  func evaluationBatch(of count: Int) -> Int {
    max(1, min(count, max(microbatch, 4 * microbatch * 64 / task.length)))
  }

  /// - Parameters:
  ///   - json: an object with keys of ``keys``.
  ///   - file: for messages.
  ///   - seed: in place of the recipe's own.
  /// - Throws: ``Formats/FormatError`` naming the key, what is wrong with a task.
  public init(_ json: JSON, file: String, seed: UInt64? = nil) throws {
    let node = JSONNode(json, file: file)
    try node.requireKeys(Self.keys)
    source = json
    task = try TrainingTask(node.required("task"))
    let examples = try node.optional("examples")
    try examples?.requireKeys(Self.exampleKeys)
    if task.isText, let unused = try examples?.optional("seed") {
      throw unused.wrong("no such key, since a corpus is what it is")
    }
    testCount = try examples?.optional("test")?.positiveInteger() ?? 500
    trainCount =
      try examples?.optional("train")?.positiveInteger() ?? task.standardTrainCount(besides: testCount)
    if let most = task.mostExamples {
      for (key, count, limit) in [("train", trainCount, most.train), ("test", testCount, most.test)]
      where count > limit {
        if let stated = try examples?.optional(key) {
          throw stated.wrong("at most the \(limit) windows of the corpus")
        }
      }
    }
    dataSeed = UInt64(try examples?.optional("seed")?.integer(in: 0...Int.max) ?? 0)
    model = try task.network(node.required("model"))
    optimizer = try OptimizerSettings(node.required("optimizer"))
    schedule = try node.optional("schedule").map { try Schedule($0) } ?? Schedule()
    batch = try node.optional("batch")?.positiveInteger() ?? 32
    let part = try node.optional("microbatch")
    microbatch = try part?.positiveInteger() ?? batch
    if let part, microbatch > batch { throw part.wrong("at most the batch, \(batch)") }
    let types = Self.precisions
    precision = try node.optional("precision").map { types[try $0.choice(types.map(\.rawValue))] } ?? .float32
    isDeterministic = try node.optional("deterministic")?.bool() ?? true
    let recomputes = try node.optional("recompute_blocks")
    recomputesBlocks = try recomputes?.bool() ?? false
    if let recomputes {
      guard case .language = model else {
        throw recomputes.wrong("no such key: only networks that continue texts compute blocks again")
      }
    }
    let stated = try node.optional("steps")
    let perEpoch = (trainCount + batch - 1) / batch
    if let stated {
      if let other = try node.optional("epochs") { throw other.wrong("no such key beside steps") }
      steps = try stated.positiveInteger()
    } else {
      let (product, overflow) = perEpoch.multipliedReportingOverflow(
        by: try node.required("epochs").positiveInteger())
      guard !overflow else { throw try node.required("epochs").wrong("fewer: steps are counted in 64 bits") }
      steps = product
    }
    self.seed = try seed ?? UInt64(node.optional("seed")?.integer(in: 0...Int.max) ?? 0)
    let evaluate = try node.optional("evaluate")
    try evaluate?.requireKeys(Self.evaluationKeys)
    if let interval = try evaluate?.optional("steps") {
      if let other = try evaluate?.optional("every") { throw other.wrong("no such key beside steps") }
      evaluationInterval = try interval.positiveInteger()
    } else {
      let interval = try evaluate?.optional("every")
      let (product, overflow) = perEpoch.multipliedReportingOverflow(
        by: try interval?.positiveInteger() ?? 10)
      if overflow, let interval { throw interval.wrong("fewer: steps are counted in 64 bits") }
      evaluationInterval = product
    }
    let stop = try node.optional("stop")
    try stop?.requireKeys(Self.stopKeys)
    if let accuracy = try stop?.required("accuracy") {
      let value = try accuracy.positiveNumber()
      guard value <= 1 else { throw accuracy.wrong("a number up to 1") }
      stopAccuracy = value
    } else {
      stopAccuracy = nil
    }
  }
}
