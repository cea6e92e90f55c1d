import Glibc
import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Models
@testable import Tensors

/// Networks that continue sequences position by position: steps give what whole sequences give.
@Suite struct SequenceDecodingTests {
  static let mixers: [SequenceSettings.Mixer] =
    [
      .h3(states: 8, headWidth: 1), .h3(states: 64, headWidth: 1), .s4d(states: 6), .attention,
      .hyena(order: 2, filterWidth: 6, features: 3, frequency: 3, hasWindow: true),
      .hyena(order: 3, filterWidth: 6, features: 5, frequency: 3, hasWindow: false),
      .s4d(states: 6, isGated: true), .longConv(LongConvolutionSettings()),
      .monarchMixer(filterWidth: 6, features: 3, frequency: 3, normalises: false),
      .monarchMixer(filterWidth: 6, features: 5, frequency: 3, normalises: true),
    ] + SequenceSettings.Mixer.listedExamples

  /// - Parameters:
  ///   - isHybrid: whether there is a layer of attention between two of the mixer, of a width that tasks have no whole share of.
  ///   - blocks: of feed-forward layers; dense ones where `nil`.
  private func network(
    _ mixer: SequenceSettings.Mixer, on device: Device, isHybrid: Bool = false, blocks: Int? = nil,
    gatesBlocks: Bool = true, width: Int? = nil
  ) throws -> SequenceNetwork {
    var settings = SequenceSettings(
      vocabularySize: 11, vocabularyMultiple: 8, width: width ?? (blocks != nil ? 32 : isHybrid ? 12 : 8),
      layers: isHybrid ? 3 : 2,
      feedForward: blocks == nil ? 12 : 64, mixer: mixer,
      attentionLayers: isHybrid || mixer == .s4d(states: 6) ? [1] : [], heads: 2, longest: 160,
      learnsPositions: mixer == .attention, embeddingDropout: 0)
    if let blocks { settings.feedForwardKind = .blockDiagonal(blocks: blocks, isGated: gatesBlocks) }
    var generator = SeededGenerator(seed: 3)
    let source = ParameterSet.Source.read { (name: String, shape: [Int]) -> [Float] in
      let shift: Float = name.hasSuffix("log_dt") ? -2 : 0
      let count = shape.reduce(1, *)
      return (0..<count).map { _ in Float.random(in: -0.5...0.5, using: &generator) + shift }
    }
    return try SequenceNetwork(settings, ParameterSet(source, on: device))
  }

  private func worstStep(_ network: SequenceNetwork, prompt: Int, steps: Int) throws -> Double {
    let (device, rows) = (network.parameters.device, network.settings.embeddingRows)
    let length = prompt + steps
    let tokens: [Int32] = (0..<2 * length).map { (n: Int) -> Int32 in Int32((n * n + n / 7) % 11) }
    let whole = try device.evaluating { try device.numbers(network.logits(tokens, batch: 2).value) }
    let session = try SequenceSession(network, capacity: length)
    func row(_ at: Int) -> [Int32] { [tokens[at], tokens[length + at]] }
    var worst = 0.0
    func compare(_ logits: Variable, at place: Int) throws {
      let found = try device.numbers(logits.value)
      for sequence in 0..<2 {
        let start = (sequence * length + place) * rows
        let a: [Double] = found[sequence * rows..<(sequence + 1) * rows].map { Double($0) }
        let b: [Double] = whole[start..<start + rows].map { Double($0) }
        worst = max(worst, relativeError(a, b))
      }
    }
    let start: [Int32] = Array(tokens[..<prompt]) + Array(tokens[length..<length + prompt])
    try compare(session.begin(start, batch: 2), at: prompt - 1)
    for place in prompt..<length { try compare(session.step(row(place)), at: place) }
    #expect(session.positions == [length, length])
    return worst
  }

  @Test(arguments: mixers, [(1, 3), (5, 70), (64, 2), (130, 5)]) func stepsAreTheWhole(
    mixer: SequenceSettings.Mixer, sizes: (Int, Int)
  ) throws {
    let network = try network(mixer, on: Device(CPUExecutor(threads: 2)))
    #expect(try worstStep(network, prompt: sizes.0, steps: sizes.1) < 1e-4)
  }

  /// In float64 nothing but the order of sums differs; sums over the past as a GPU forms them.
  @Test(arguments: mixers) func stepsAreTheWholeInFloat64(mixer: SequenceSettings.Mixer) throws {
    let network = try network(
      mixer, on: Device(ReferenceExecutor<Double>(checked: false), scalar: .float64))
    #expect(try worstStep(network, prompt: 5, steps: 4) < 1e-6)
  }

  /// As on a GPU: 16-bit factors, memory apart, the past of convolutions summed as it is written.
  @Test(arguments: mixers) func stepsAreNearTheWholeWithFactorsOf16Bits(mixer: SequenceSettings.Mixer) throws
  {
    let network = try network(
      mixer, on: Device(DeviceExecutor(CPUExecutor(threads: 2)), factors: .bfloat16))
    #expect(try worstStep(network, prompt: 70, steps: 6) < 0.05)
  }

  static let replayed: [SequenceSettings.Mixer] = [
    .h3(states: 8, headWidth: 1), .h3(states: 64, headWidth: 1), .s4d(states: 6), .s4d(states: 64),
    .attention, .hyena(order: 2, filterWidth: 6, features: 3, frequency: 3, hasWindow: true),
    .hyena(order: 3, filterWidth: 6, features: 5, frequency: 3, hasWindow: false),
    .monarchMixer(filterWidth: 6, features: 3, frequency: 3, normalises: false),
    .monarchMixer(filterWidth: 6, features: 5, frequency: 3, normalises: true),
  ]

  /// As on a GPU, where a step is started as one: states stay where they are, and positions are data.
  @Test(arguments: replayed, [(1, 3), (5, 59), (5, 70), (62, 2), (130, 5)]) func replayedStepsAreTheWhole(
    mixer: SequenceSettings.Mixer, sizes: (Int, Int)
  ) throws {
    for (isSixteenBit, bound) in [(false, 1e-4), (true, 0.05)] {
      // Machines like this convolve no more positions in float32.
      if !isSixteenBit, sizes.0 + sizes.1 > 64 { continue }
      let executor = DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: isSixteenBit)
      let device = Device(executor, factors: isSixteenBit ? .bfloat16 : .float32)
      let network = try network(mixer, on: device, isHybrid: true)
      #expect(ReplayedSteps.suits(network))
      #expect(try worstStep(network, prompt: sizes.0, steps: sizes.1) < bound)
      // The first step is started kernel by kernel, the second noted; so are those at ends of parts and of spans.
      var started = 1
      if case .h3 = mixer { started += [H3Step.part, H3Step.span].count { sizes.1 >= $0 } }
      #expect(executor.replays == sizes.1 - started)
    }
  }

  /// Block-diagonal layers go block by block, where those begin where copies can.
  @Test(arguments: [false, true]) func replayedStepsOfBlocksAreTheWhole(isGated: Bool) throws {
    let mixer = SequenceSettings.Mixer.monarchMixer(
      filterWidth: 6, features: 3, frequency: 3, normalises: false)
    for (isSixteenBit, length, bound) in [(false, 60, 1e-4), (true, 130, 0.05)] {
      let executor = DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: isSixteenBit)
      let device = Device(executor, factors: isSixteenBit ? .bfloat16 : .float32)
      let network = try network(mixer, on: device, blocks: 4, gatesBlocks: isGated)
      #expect(ReplayedSteps.suits(network))
      #expect(try worstStep(network, prompt: length - 5, steps: 5) < bound)
      #expect(executor.replays == 4)
      #expect(try !ReplayedSteps.suits(self.network(mixer, on: device, blocks: 8)))
    }
  }

  /// More states than a task has room for, and types that have no room for states, go operation by operation.
  @Test(arguments: [(128, ElementType.bfloat16, true), (258, .bfloat16, false), (64, .float16, false)])
  func whatHasNoReplayedStepsGoesOn(states: Int, factors: ElementType, suits: Bool) throws {
    let executor = DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: true)
    let network = try network(
      .h3(states: states, headWidth: 1), on: Device(executor, factors: factors), isHybrid: true)
    #expect(ReplayedSteps.suits(network) == suits)
    #expect(try worstStep(network, prompt: 70, steps: H3Step.span + 2) < 0.05)
  }

  /// Heads whose pages are filled on matrix units: prompts of no full page, of full ones alone, and of a last one behind them.
  @Test(arguments: [63, 64, 65, 130]) func pagesOfPromptsAreFilled(prompt: Int) throws {
    let executor = DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: true)
    let network = try network(.attention, on: Device(executor, factors: .bfloat16), width: 128)
    #expect(ReplayedSteps.suits(network))
    #expect(try worstStep(network, prompt: prompt, steps: 2) < 0.05)
  }

  /// Prompts of different lengths, two of them equal, give what each gives alone.
  @Test(arguments: mixers) func batchesAreTheirSequences(mixer: SequenceSettings.Mixer) throws {
    try expectBatchesAreTheirSequences(
      network(mixer, on: Device(CPUExecutor(threads: 2)), isHybrid: true), bound: 1e-5)
  }

  @Test(arguments: replayed) func replayedBatchesAreTheirSequences(mixer: SequenceSettings.Mixer) throws {
    for (isSixteenBit, bound) in [(false, 1e-5), (true, 0.01)] {
      let executor = DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: isSixteenBit)
      let device = Device(executor, factors: isSixteenBit ? .bfloat16 : .float32)
      try expectBatchesAreTheirSequences(network(mixer, on: device, isHybrid: true), bound: bound)
    }
  }

  private func expectBatchesAreTheirSequences(_ network: SequenceNetwork, bound: Double) throws {
    let prompts = [[3], [1, 4, 1, 5, 9], [2, 6, 5, 3, 5], (0..<60).map { Int32($0 * $0 % 11) }]
    try expectBatch(of: prompts, steps: H3Step.span + 2, network, bound: bound)
  }

  /// More than a task of any kernel has, of lengths that turn and turn about.
  @Test func replayedBatchesMayBeLarge() throws {
    let executor = DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: true)
    let network = try network(
      .h3(states: 8, headWidth: 1), on: Device(executor, factors: .bfloat16), isHybrid: true)
    for count in [40, 65] {
      let prompts: [[Int32]] = (0..<count).map { number in
        (0...number % 3).map { Int32((7 * number + $0) % 11) }
      }
      try expectBatch(
        of: prompts, comparing: [0, 1, 38, 63, 64].filter { $0 < count }, steps: H3Step.part + 1, network,
        bound: 0.01)
    }
  }

  private func expectBatch(
    of prompts: [[Int32]], comparing compared: [Int]? = nil, steps: Int, _ network: SequenceNetwork,
    bound: Double
  ) throws {
    let (device, rows) = (network.parameters.device, network.settings.embeddingRows)
    func run(_ prompts: [[Int32]]) throws -> [[Double]] {
      let session = try SequenceSession(network, capacity: 80)
      var found = [try device.numbers(session.begin(prompts).value)]
      for step in 0..<steps {
        let tokens = prompts.map { Int32(($0.count + step) % 11) }
        found.append(try device.numbers(session.step(tokens).value))
      }
      return found.map { $0.map { Double($0) } }
    }
    let together = try run(prompts)
    for number in compared ?? Array(prompts.indices) {
      for (all, own) in zip(together, try run([prompts[number]])) {
        let part = Array(all[number * rows..<(number + 1) * rows])
        #expect(relativeError(part, own) < bound)
      }
    }
  }

  /// Many prompts go through H3 chunk by chunk, in one kernel, and leave states as few do that are convolved.
  @Test(arguments: [8, 64], [5, 64, 70, 130]) func manyPromptsAreTheirSequences(states: Int, length: Int)
    throws
  {
    let (rows, batch, steps) = (16, H3Prompt.leastSequences + 1, H3Step.span + 2)
    let tokens: [[Int32]] = (0..<batch).map { (number: Int) -> [Int32] in
      (0..<length + steps).map { (place: Int) -> Int32 in Int32((number + place * place + place / 7) % 11) }
    }
    let cores = Device(try CPUExecutor(threads: 2))
    let exact = try cores.numbers(
      network(.h3(states: states, headWidth: 1), on: cores, isHybrid: true).logits(
        tokens.flatMap { $0 }, batch: batch
      ).value)
    for (isSixteenBit, bound) in [(false, 1e-4), (true, 0.05)] {
      let executor = DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: isSixteenBit)
      let device = Device(executor, factors: isSixteenBit ? .bfloat16 : .float32)
      let session = try SequenceSession(
        network(.h3(states: states, headWidth: 1), on: device, isHybrid: true), capacity: length + steps)
      for step in 0...steps {
        let logits =
          try step == 0
          ? session.begin(tokens.map { Array($0.prefix(length)) })
          : session.step(tokens.map { $0[length + step - 1] })
        let found = try device.numbers(logits.value).map { Double($0) }
        for sequence in 0..<batch {
          let start = (sequence * (length + steps) + length + step - 1) * rows
          let whole = exact[start..<start + rows].map { Double($0) }
          #expect(
            relativeError(Array(found[sequence * rows..<(sequence + 1) * rows]), whole) < bound,
            "step \(step) of \(sequence)")
        }
      }
    }
  }

  /// What goes on gives what it gives beside sequences that go on too.
  @Test(arguments: [false, true], replayed) func sequencesEnd(
    isDevice: Bool, mixer: SequenceSettings.Mixer
  ) throws {
    let cores = try CPUExecutor(threads: 2)
    let device = Device(isDevice ? DeviceExecutor(cores) : cores)
    let network = try network(mixer, on: device, isHybrid: true)
    let rows = network.settings.embeddingRows
    func run(_ ends: [Int]) throws -> [[Float]] {
      // No longer than the first, which ends at its capacity.
      let session = try SequenceSession(network, capacity: 44)
      _ = try session.begin([(0..<42).map { Int32($0 % 11) }, [2], [5], [6, 7]])
      return try (0..<40).map { step in
        let logits = try session.step(ends.map { step < $0 ? Int32(step % 11) : nil })
        return Array(try device.numbers(logits.value)[rows..<2 * rows])
      }
    }
    #expect(try run([2, 40, 40, 40]) == run([2, 40, 3, 0]))
  }

  @Test func theDeviceFindsTheLikeliestTokens() throws {
    let device = Device(DeviceExecutor(try CPUExecutor(threads: 2)))
    let network = try network(.h3(states: 8, headWidth: 1), on: device)
    let session = try SequenceSession(network, capacity: 20)
    var logits = try session.begin([[1, 2, 3], [4], [5, 6]])
    for _ in 0..<4 {
      let numbers = try device.numbers(logits.value)
      let rows = network.settings.embeddingRows
      let best = (0..<3).map { row -> Int32 in
        // Rows of the embedding past the vocabulary stand for no token.
        let own = Array(numbers[row * rows..<row * rows + 11])
        return Int32(own.firstIndex(of: own.max() ?? 0) ?? -1)
      }
      #expect(try session.likeliestTokens() == best)
      logits = try session.step(best)
    }
  }

  /// Steps without the host in between are those that the host asks for one by one, across runs and up to the capacity.
  @Test(arguments: replayed) func likeliestStepsAreStepsWithTheLikeliestTokens(
    mixer: SequenceSettings.Mixer
  ) throws {
    let device = Device(DeviceExecutor(try CPUExecutor(threads: 2)))
    let network = try network(mixer, on: device, isHybrid: true)
    let prompts: [[Int32]] = [[1, 2, 3], [4], [5, 6]]
    let count = 90
    let session = try SequenceSession(network, capacity: count + 3)
    var logits = try session.begin(prompts)
    var expected: [[Int32]] = []
    for _ in 0..<count {
      expected.append(try #require(try session.likeliestTokens()))
      logits = try session.step(expected[expected.count - 1])
    }
    let last = try device.numbers(logits.value)
    let rows = network.settings.embeddingRows
    for round in 0..<2 {
      logits = try session.begin(prompts)
      let first = try device.numbers(logits.value)
      var found = try #require(try session.likeliestSteps(round == 0 ? count : 21))
      if round == 1 {
        // The host says what comes in between.
        for step in 21..<30 { _ = try session.step(expected[step].map { Optional($0) }) }
        #expect(try session.likeliestTokens() == expected[30])
        found += expected[21..<30].map { $0.map { ($0, 0) } }
        found += try #require(try session.likeliestSteps(count - 30))
      }
      #expect(found.map { $0.map(\.token) } == expected, "round \(round)")
      #expect(session.positions == [count + 3, count + 1, count + 2])
      #expect(try device.numbers(logits.value) == last)
      // Of the tokens alone, not of what pads the embedding.
      let own = (0..<3).map { first[$0 * rows..<$0 * rows + 11].map { Double($0) } }
      for (row, choice) in zip(own, found[0]) {
        let all = log(row.reduce(0) { $0 + exp($1) })
        #expect(abs(Double(choice.logProbability) - ((row.max() ?? 0) - all)) < 1e-5)
      }
    }
    let cores = try SequenceSession(
      self.network(.attention, on: Device(CPUExecutor(threads: 1))), capacity: 9)
    _ = try cores.begin([[1]])
    #expect(try cores.likeliestSteps(3)?.count == nil)
  }

  @Test func replayedSessionsBeginAnew() throws {
    let device = Device(DeviceExecutor(try CPUExecutor(threads: 2)))
    for mixer in Self.replayed {
      let session = try SequenceSession(network(mixer, on: device, isHybrid: true), capacity: 90)
      func run(_ prompts: [[Int32]]) throws -> [[Float]] {
        let first = try device.numbers(session.begin(prompts).value)
        return try [first]
          + (0..<20).map { _ in
            try device.numbers(session.step([Int32](repeating: 7, count: prompts.count)).value)
          }
      }
      let short = try run([[1, 2], [3, 4]])
      // Longer ones leave keys behind that the next must not see.
      _ = try run([[Int32](repeating: 9, count: 64), [Int32](repeating: 8, count: 50)])
      #expect(try run([[1, 2], [3, 4]]) == short)
      _ = try run([[1, 2]])
      #expect(try run([[1, 2], [3, 4]]) == short)
    }
  }

  @Test func sessionsBeginAnew() throws {
    let device = Device(try CPUExecutor(threads: 1))
    let session = try SequenceSession(network(.h3(states: 8, headWidth: 1), on: device), capacity: 20)
    let first = try device.numbers(session.begin([1, 2, 3], batch: 1).value)
    _ = try session.step([4])
    #expect(try device.numbers(session.begin([1, 2, 3], batch: 1).value) == first)
  }

  @Test func whatHasNoStepsIsRefused() throws {
    let device = Device(try CPUExecutor(threads: 1))
    let hyena = try network(Self.mixers[4], on: device)
    #expect(hyena.longestContext == 160)
    #expect(throws: ModelError.self) { try SequenceSession(hyena, capacity: 161) }
    let heads = try SequenceSession(network(.h3(states: 8, headWidth: 2), on: device), capacity: 9)
    #expect(throws: ModelError.self) { try heads.begin([1, 2], batch: 1) }
    // Recurrences go on past what they were made for.
    #expect(try network(.h3(states: 8, headWidth: 1), on: device).longestContext == nil)
  }
}
