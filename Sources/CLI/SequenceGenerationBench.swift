internal import Formats
internal import Kernels
internal import Memory
internal import Models
internal import Synchronization
internal import Tensors
internal import Tiles

/// Times of whole generations, prompt and steps, of a hybrid of H3 against a Transformer of equal size: random weights, the likeliest token.
///
/// Floor of a step: what it reads and writes over the bandwidth. Weights of 16 bits are read once; a layer of attention reads 4·D bytes
/// a position and sequence, one of H3 whatever the position 8·(P + 1)·D, at the ends of the parts of a span 40·P·D on average, and once in
/// the C positions of the span 8·N·D bytes of states (N/2 complex modes), 2·N·D of keys and 16·C·D of what is handed on. Of a prompt no floor
/// is stated: it is bound by products, alike for both.
struct SequenceGenerationBench {
  private let bench: BenchCommand
  let executor: any Executor
  /// Bytes a second that the machine copies; `nil` where nobody measured it.
  private let bandwidth: Double?

  private let profile: KernelProfile

  /// - Parameters:
  ///   - bandwidth: bytes a second.
  ///   - profile: the executor's.
  init(_ bench: BenchCommand, on executor: any Executor, bandwidth: Double?, profile: KernelProfile) {
    (self.bench, self.executor, self.bandwidth, self.profile) = (bench, executor, bandwidth, profile)
  }

  /// A network's size, and what it continues.
  struct Size {
    var name: String
    var width: Int
    var layers: Int
    var heads: Int
    /// Layers of the hybrid that attend: the second, and the same half the layers further on.
    var attention: [Int] { [1, 1 + layers / 2] }
    var vocabulary: Int
    var prompts: [Int]
    var batch: Int
    var generated: Int
  }

  private static let states = 64

  /// The paper's batch of 64, and its sizes of up to 1.3 billion parameters; on cores something that ends.
  private var sizes: [Size] {
    guard !executor.sharesHostMemory else {
      return [
        Size(
          name: "5M", width: 256, layers: 4, heads: 4, vocabulary: 8192, prompts: [128, 512], batch: 4,
          generated: 32)
      ]
    }
    let prompts = [512, 1024, 1536, 16384]
    return [
      Size(
        name: "125M", width: 768, layers: 12, heads: 12, vocabulary: 50257, prompts: prompts, batch: 64,
        generated: 128),
      Size(
        name: "355M", width: 1024, layers: 24, heads: 16, vocabulary: 50257, prompts: prompts, batch: 64,
        generated: 128),
      Size(
        name: "1.3B", width: 2048, layers: 24, heads: 16, vocabulary: 50257, prompts: prompts, batch: 64,
        generated: 128),
    ]
  }

  /// Bytes that keys and values may take; fewer sequences are continued where more would not fit.
  private static let cacheBytes = 64 << 30

  func run() throws {
    if bench.check { return try check() }
    for size in sizes {
      for mixer in ["h3", "attention"] {
        let wanted = size.prompts.filter { bench.wants(shape(size, $0)) }
        guard !wanted.isEmpty else { continue }
        let network = try network(mixer, size)
        for prompt in wanted { try measure(network, mixer, size, prompt) }
      }
    }
  }

  private func shape(_ size: Size, _ prompt: Int) -> String {
    "\(size.name) prompt=\(prompt) B=\(batch(size, prompt)) new=\(size.generated)"
  }

  private func batch(_ size: Size, _ prompt: Int) -> Int {
    var batch = bench.sequences ?? size.batch
    while batch > 1, batch * size.layers * cache(size, prompt + size.generated) > Self.cacheBytes {
      batch /= 2
    }
    return batch
  }

  /// Bytes of keys and values of one layer and sequence.
  private func cache(_ size: Size, _ positions: Int) -> Int { 4 * size.width * positions }

  func network(_ mixer: String, _ size: Size) throws -> SequenceNetwork {
    var members: [JSONObject.Member] = [
      .init(key: "mixer", value: .string(mixer)), .init(key: "width", value: .integer(size.width)),
      .init(key: "layers", value: .integer(size.layers)), .init(key: "heads", value: .integer(size.heads)),
      .init(key: "vocabulary", value: .integer(size.vocabulary)),
      .init(key: "longest", value: .integer((size.prompts.max() ?? 0) + size.generated)),
    ]
    members.append(
      mixer == "attention"
        ? .init(key: "positions", value: "learned")
        : .init(key: "attention_layers", value: .array(size.attention.map { .integer($0) })))
    let settings = try SequenceSettings(
      JSONNode(.object(JSONObject(members) ?? JSONObject()), file: "bench sequence_generation"))
    let device = Device(executor, factors: executor.sharesHostMemory ? nil : .bfloat16)
    device.keepsWhatParametersGive = true
    return try SequenceNetwork(settings, ParameterSet(.drawnOnDevice(seed: 1), on: device))
  }

  private func measure(_ network: SequenceNetwork, _ mixer: String, _ size: Size, _ prompt: Int) throws {
    let (batch, shape) = (batch(size, prompt), shape(size, prompt))
    let session = try SequenceSession(network, capacity: prompt + size.generated)
    let prompts = (0..<batch).map { sequence -> [Int32] in
      (0..<prompt).map { Int32((sequence * 7919 + $0 * 104_729 + $0 / 3) % size.vocabulary) }
    }
    var parts: [(prompt: Double, steps: Double)] = []
    // Kernels are compiled and memory is taken in the first.
    for _ in 0...bench.repeats { parts.append(try generate(session, prompts, size)) }
    parts.removeFirst()
    let peer = mixer == "h3" ? "h3" : "transformer"
    let device = executor.sharesHostMemory ? "cpu" : "cuda"
    func report(_ op: String, _ times: [Double], tokens: Int, share: Double? = nil) {
      let time = times.sorted()[times.count / 2]
      bench.report(
        op, shape, milliseconds: time * 1e3, rate: ("tok_s", Double(tokens) / time), peer: peer,
        device: device,
        ofBandwidth: share.map { $0 / time })
    }
    report("sequence_generation", parts.map { $0.prompt + $0.steps }, tokens: batch * size.generated)
    report("sequence_prompt", parts.map(\.prompt), tokens: batch * prompt)
    let steps = size.generated - 1
    let floor = bandwidth.map { Double(stepBytes(network, size, prompt, batch)) * Double(steps) / $0 }
    report("sequence_steps", parts.map(\.steps), tokens: batch * steps, share: floor)
    if bench.profile { try profileKernels(network, prompts, prompt + size.generated) }
  }

  /// Prints where the time of a prompt goes, and that of a step, kernel by kernel: the first step of a session is started so.
  private func profileKernels(_ network: SequenceNetwork, _ prompts: [[Int32]], _ capacity: Int) throws {
    let session = try SequenceSession(network, capacity: capacity)
    profile.isOn.store(true, ordering: .relaxed)
    defer { profile.isOn.store(false, ordering: .relaxed) }
    _ = try session.begin(prompts)
    profile.report()
    _ = try session.step(prompts.map { _ in 0 })
    profile.report()
  }

  /// Bytes of an average step.
  private func stepBytes(_ network: SequenceNetwork, _ size: Size, _ prompt: Int, _ batch: Int) -> Int {
    let settings = network.settings
    let attending = settings.mixer == .attention ? size.layers : settings.attentionLayers.count
    // A projection to three times the width, one back, and two of the feed-forward layers; the head.
    let weights =
      size.layers * (4 * size.width + 2 * settings.feedForward) * size.width
      + settings.embeddingRows * size.width
    let scalarBytes = executor.sharesHostMemory ? 4 : 2
    let (span, part) = (H3Step.span, H3Step.part)
    let handedOn = 8 * Self.states + scalarBytes * Self.states + 16 * span
    let states = (8 * (part + 1) + (40 * (span - part) + handedOn) / span) * size.width
    let keys = cache(size, prompt + size.generated / 2) / 2 * scalarBytes
    return weights * scalarBytes + batch * (attending * keys + (size.layers - attending) * states)
  }

  /// Seconds until the first token of each sequence is known, and from there to the last.
  private func generate(
    _ session: SequenceSession, _ prompts: [[Int32]], _ size: Size
  ) throws -> (prompt: Double, steps: Double) {
    try executor.synchronize()
    let start = ContinuousClock.now
    var logits = try session.begin(prompts)
    var tokens = try likeliest(session, logits)
    let first = seconds(since: start)
    if let found = try session.likeliestSteps(size.generated - 1) {
      // The last token is known too.
      _ = try likeliest(session, logits)
      guard found.allSatisfy({ $0.allSatisfy { Int($0.token) < size.vocabulary } }) else {
        throw CommandFailure("the network gave logits that are not numbers.")
      }
      return (first, seconds(since: start) - first)
    }
    for _ in 1..<size.generated {
      logits = try session.step(tokens)
      tokens = try likeliest(session, logits)
    }
    return (first, seconds(since: start) - first)
  }

  private func likeliest(_ session: SequenceSession, _ logits: Variable) throws -> [Int32] {
    let settings = session.network.settings
    if let found = try session.likeliestTokens() {
      guard found.allSatisfy({ Int($0) < settings.vocabularySize }) else {
        throw CommandFailure("the network gave logits that are not numbers.")
      }
      return found
    }
    let numbers = try session.network.parameters.device.numbers(logits.value)
    return (0..<logits.shape[0]).map { row in
      let own = numbers[row * logits.shape[1]..<row * logits.shape[1] + settings.vocabularySize]
      return Int32((own.indices.max { own[$0] < own[$1] } ?? own.startIndex) - own.startIndex)
    }
  }
}
