internal import Kernels
internal import Memory
internal import Models
internal import Synchronization
internal import Tensors
internal import Tiles
internal import TilesCPU
internal import TilesCUDA

/// Times of networks that take long sequences, forward alone, beside those with attention.
///
/// Floors, printed as `floor_ms`, are those of the products alone: multiply-adds twice over the rate of the matrix units that this
/// kind of GPU sustains, or over what a core does with two AVX2 multiply-adds a cycle at 4 GHz. M2-BERT: 14·D² a position and layer (its projections, 8·D², and block-diagonal layers, 6·D²), while
/// its convolutions and all that is elementwise are about 20 passes over D numbers, 40·D bytes of 16-bit numbers a position and
/// layer over the memory's bandwidth, which is about as much time again. BERT: 24·D² and 4·L·D for its attention. Hyena: 8·D², and
/// about 12 passes. Causal attention: 8·D² + 2·L·D.
struct SequenceForwardBench {
  private let bench: BenchCommand
  private let executor: any Executor
  private let size: Size

  /// What is measured on a kind of machine.
  private struct Size {
    var width: Int
    var layers: Int
    /// Positions in all, so many sequences as have room in them.
    var positions: Int
    var encoderLengths: [Int]
    var operatorLengths: [Int]
    var precision: ElementType
    /// Operations a second that products of matrices reach.
    var rate: Double
  }

  init(_ bench: BenchCommand, on executor: any Executor) {
    self.bench = bench
    self.executor = executor
    size =
      executor.sharesHostMemory
      ? Size(
        width: 256, layers: 4, positions: 4096, encoderLengths: [512, 1024, 2048, 4096],
        operatorLengths: [2048, 8192], precision: .float32, rate: 128e9 * Double(bench.threadCount))
      : Size(
        width: 768, layers: 12, positions: 131_072,
        encoderLengths: [512, 1024, 2048, 4096, 8192, 16384, 32768],
        operatorLengths: [2048, 8192, 65536, 262_144], precision: .bfloat16, rate: 790e12)
  }

  // MARK: Encoders

  /// M2-BERT's and BERT's layers, of base size on a GPU: 80 and 110 million parameters with embeddings.
  func encoders() throws {
    let device = Device(executor, factors: size.precision)
    let (d, layers) = (size.width, size.layers)
    let longest = size.encoderLengths.max() ?? 1
    let settings = MonarchMixerSettings(
      vocabularySize: 8, width: d, layers: layers, feedForward: 4 * d, longest: longest)
    let mixer = try MaskedLanguageModel(settings, ParameterSet(Self.numbers(), on: device))
    let transformer = try TransformerEncoder(
      TransformerEncoder.Settings(width: d, layers: layers), ParameterSet(Self.numbers(), on: device))
    let states = try states(on: device, size.encoderLengths)
    for length in size.encoderLengths {
      let perPosition = Double(layers) * Double(d)
      for kept in [false, true] {
        try measure(
          states, "m2_bert", length, flops: perPosition * 14 * Double(d), filtersKept: kept, mixer.layers)
      }
      try measure(
        states, "bert", length, flops: perPosition * (24 * Double(d) + 4 * Double(length)),
        transformer.callAsFunction)
    }
  }

  // MARK: Operators

  /// Hyena's operator of order 2, with filters made in the call and kept, and causal attention, projections included.
  func operators() throws {
    let device = Device(executor, factors: size.precision)
    let (d, longest) = (size.width, size.operatorLengths.max() ?? 1)
    func make(_ mixer: SequenceSettings.Mixer) throws -> any SequenceMixer {
      try mixer.causalOperator(
        width: d, longest: longest, heads: d / 64, ParameterSet(Self.numbers(), on: device))
    }
    let hyena = try make(
      .hyena(order: 2, filterWidth: 64, features: 33, frequency: 14, hasWindow: true))
    let attention = try make(.attention)
    let states = try states(on: device, size.operatorLengths)
    for length in size.operatorLengths {
      let projections = 8 * Double(d) * Double(d)
      try measure(states, "hyena", length, flops: projections, filtersKept: false, hyena.callAsFunction)
      try measure(states, "hyena", length, flops: projections, filtersKept: true, hyena.callAsFunction)
      guard !executor.sharesHostMemory || length <= 4096 else { continue }
      try measure(
        states, "attention", length, flops: projections + 2 * Double(length) * Double(d),
        attention.callAsFunction)
    }
  }

  // MARK: Measuring

  /// Numbers around 0 that repeat: times do not depend on them, and millions take long to draw.
  private static func numbers() -> ParameterSet.Source {
    var state: UInt64 = 1
    let block = (0..<16_381).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(Int32(truncatingIfNeeded: state >> 32)) * 0x1p-31 * 0.05
    }
    return .read { _, shape in
      let count = shape.reduce(1, *)
      var numbers: [Float] = []
      numbers.reserveCapacity(count + block.count)
      while numbers.count < count { numbers += block }
      return Array(numbers.prefix(count))
    }
  }

  /// Numbers `[positions, D]` for sequences of any of these lengths.
  private func states(on device: Device, _ lengths: [Int]) throws -> Variable {
    let shape = [max(size.positions, lengths.max() ?? 0), size.width]
    guard case .read(let numbers) = Self.numbers() else { preconditionFailure("numbers that are not read") }
    return try device.constant(try numbers("", shape) ?? [], shape).converted(to: size.precision)
  }

  private func measure(
    _ states: Variable, _ name: String, _ length: Int, flops: Double, filtersKept: Bool? = nil,
    _ network: (Variable) throws -> Variable
  ) throws {
    let batch = max(1, size.positions / length)
    let positions = batch * length
    let title = "D=\(size.width) L=\(length) B=\(batch)"
    guard bench.wants("\(name) \(title)") else { return }
    // The same numbers for all: only how they are cut into sequences differs.
    let device = states.device
    let input = try states.sliced(axis: 0, 0..<positions).reshaped([batch, length, size.width])
    device.keepsWhatParametersGive = filtersKept ?? true
    func forward(_ count: Int) throws -> Double {
      try executor.synchronize()
      let start = ContinuousClock.now
      for _ in 0..<count { _ = try device.evaluating { try network(input) } }
      try executor.synchronize()
      return seconds(since: start)
    }
    let profile = (executor as? CPUExecutor)?.profile ?? (executor as? CUDAExecutor)?.profile
    _ = try forward(1)
    if bench.profile {
      profile?.isOn.store(true, ordering: .relaxed)
      _ = try forward(1)
      profile?.isOn.store(false, ordering: .relaxed)
      Output.note("\(name) \(title)\n")
      profile?.report()
    }
    // So many calls that starting and ending a measurement do not count.
    let calls = max(1, Int(0.05 / max(1e-6, try forward(1))))
    let time = try bench.median(bench.repeats) { try forward(calls) / Double(calls) }
    report(
      name, title, time, rate: Double(positions) / time, floor: flops * Double(positions) / size.rate,
      filtersKept)
  }

  private func report(
    _ name: String, _ title: String, _ time: Double, rate: Double, floor: Double, _ filtersKept: Bool?
  ) {
    guard bench.json else {
      let kept = filtersKept.map { $0 ? ", filters kept" : ", filters made" } ?? ""
      return Output.write(
        "\(name)  \(title)\(kept): \(Output.fixed(time * 1e3, 3)) ms, \(Output.fixed(rate, 0)) tok_s, "
          + "\(Output.fixed(time / floor, 2)) times the products' floor\n")
    }
    Output.json([
      "op": JSONField("forward_\(name)"), "shape": JSONField(title), "peer": "godwit",
      "filters": filtersKept.map { JSONField($0 ? "kept" : "made") },
      "device": JSONField((executor as? CUDAExecutor)?.device.name ?? "cpu"),
      "threads": JSONField(bench.threadCount), "ms": JSONField(time * 1e3, decimals: 4),
      "tok_s": JSONField(rate, decimals: 1), "floor_ms": JSONField(floor * 1e3, decimals: 4),
    ])
  }
}
