internal import Formats
internal import Tensors
internal import Tiles
internal import Train

/// Times of training steps: data, forward, backward and AdamW, for networks of the size of GPT-2 small.
struct TrainingBench {
  private let bench: BenchCommand

  init(_ bench: BenchCommand) { self.bench = bench }

  /// A network's size and the sequences of a step.
  private struct Size {
    var name: String
    var width: Int
    var layers: Int
    var vocabulary: Int
    /// Positions and sequences.
    var batches: [(length: Int, count: Int)]
    var precision: String
  }

  /// On a GPU 125 million parameters with 16-bit factors; on cores a network of 5 million in float32.
  private func size(isOnCores: Bool) -> Size {
    isOnCores
      ? Size(
        name: "5M", width: 256, layers: 4, vocabulary: 8192, batches: [(512, 2), (2048, 1)],
        precision: "float32")
      : Size(
        name: "125M", width: 768, layers: 12, vocabulary: 50257, batches: [(2048, 16), (8192, 4)],
        precision: "bfloat16")
  }

  private static let mixers = [("hyena", "hyena"), ("h3", "h3"), ("transformer", "attention")]

  /// - Parameter executor: what steps run on.
  func run(on executor: any Executor) throws {
    let size = size(isOnCores: executor.sharesHostMemory)
    for (name, mixer) in Self.mixers {
      // Only attention's gradients have two forms, and only on a GPU.
      let forms = mixer == "attention" && !executor.sharesHostMemory ? [true, false] : [true]
      for ((length, count), isDeterministic) in size.batches.flatMap({ batch in forms.map { (batch, $0) } }) {
        let shape = "\(name) \(size.name) L=\(length) B=\(count)\(isDeterministic ? "" : " any order")"
        guard bench.wants(shape) else { continue }
        let recipe = try recipe(mixer, size, length, count, isDeterministic)
        let device = Device(executor, factors: recipe.precision)
        let training = try Training(recipe, on: device, isMeasured: true)
        // The first steps compile kernels and take memory; then one is recorded.
        for _ in 0..<4 { _ = try training.advance() }
        let time = try bench.median(bench.repeats) {
          try executor.synchronize()
          let start = ContinuousClock.now
          try training.advance(through: training.step + 4) { _ in }
          try executor.synchronize()
          return seconds(since: start) / 4
        }
        bench.report(
          "train_step", shape, milliseconds: time * 1e3, rate: ("tok_s", Double(length * count) / time),
          device: executor.sharesHostMemory ? nil : "cuda")
      }
    }
  }

  /// Random tokens, every one of which is to be told from those before it.
  private func recipe(
    _ mixer: String, _ size: Size, _ length: Int, _ count: Int, _ isDeterministic: Bool
  ) throws -> Recipe {
    var model: [JSONObject.Member] = [
      .init(key: "mixer", value: .string(mixer)), .init(key: "width", value: .integer(size.width)),
      .init(key: "layers", value: .integer(size.layers)),
      .init(key: "vocabulary", value: .integer(size.vocabulary)),
      .init(key: "embedding_dropout", value: .number(0)),
    ]
    if mixer == "attention" {
      model.append(.init(key: "heads", value: .integer(size.width / 64)))
      model.append(.init(key: "positions", value: "learned"))
    }
    let members: [JSONObject.Member] = [
      .init(key: "task", value: ["recall": ["vocabulary": 30, "length": .integer(length)]]),
      .init(key: "examples", value: ["train": .integer(8 * count), "test": 1]),
      .init(key: "model", value: .object(JSONObject(model) ?? JSONObject())),
      .init(key: "optimizer", value: ["rate": .number(1e-4), "decay": .number(0.1), "clip": .number(1)]),
      .init(key: "batch", value: .integer(count)), .init(key: "precision", value: .string(size.precision)),
      .init(key: "steps", value: .integer(1 << 20)),
      .init(key: "deterministic", value: .bool(isDeterministic)),
    ]
    return try Recipe(.object(JSONObject(members) ?? JSONObject()), file: "bench train")
  }
}
