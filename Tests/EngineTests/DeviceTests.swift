import Engine
import Memory
import Models
import TestSupport
import Testing
import Tiles
import TilesCPU

/// An executor with memory of its own gives what the executor that it wraps gives: nothing in the engine looks into
/// memory that is not the host's, or at results before they are there.
@Suite struct DeviceTests {
  private func model(
    sixteenBit: Bool = false, cacheType: ElementType = .float32
  ) throws -> (model: Llama, executor: DeviceExecutor) {
    let executor = DeviceExecutor(try CPUExecutor(threads: 2), prefersSixteenBit: sixteenBit)
    return (try tinyModel(cacheType: cacheType, executor: executor, exact: !sixteenBit), executor)
  }

  @Test(arguments: [ElementType.float32, .float16, .int8]) func tokensAreTheSame(type: ElementType) throws {
    let expected = try run(GeneratorTests.requests, Generator(tinyModel(cacheType: type)))
    for mode in SharingMode.allCases {
      var options = Generator.Options()
      options.sharing = mode
      let generator = try Generator(model(cacheType: type).model, options: options)
      #expect(try run(GeneratorTests.requests, generator) == expected, "\(mode)")
    }
  }

  @Test(arguments: [9, 14]) func evictedPagesAreComputedAgain(pages: Int) throws {
    let model = try model().model
    var options = Generator.Options()
    options.cacheBytes = pages * model.cacheGeometry.pageBytes
    let generator = try Generator(model, options: options)
    #expect(try run(GeneratorTests.requests, generator) == GeneratorTests.alone())
    #expect(generator.pages.used == 0)
  }

  @Test(arguments: [ElementType.float32, .int8]) func savedPrefixesGoBetweenMemories(type: ElementType) throws
  {
    let expected = try run(PrefixStateTests.requests(), Generator(tinyModel(cacheType: type)))
    try PrefixStateTests.withFile { path in
      #expect(try PrefixStateTests.save(model(cacheType: type).model, to: path) == 256)
      for model in [try model(cacheType: type).model, try tinyModel(cacheType: type)] {
        let generator = try Generator(model)
        #expect(try generator.loadPrefix(from: path).count == 256)
        #expect(try run(PrefixStateTests.requests(), generator) == expected)
        #expect(generator.statistics.promptTokensReused == 4 * 256)
      }
    }
  }

  /// A step brings its inputs in one copy and takes away the logits of the rows that were asked for.
  @Test func aStepCopiesLittle() throws {
    let (model, executor) = try model()
    let generator = try Generator(model)
    _ = try generator.submit(GenerationRequest(prompt: [1, 2, 3], maximumTokens: 9))
    _ = try generator.step()
    let before = executor.copied
    _ = try generator.step()
    #expect(executor.copied.out - before.out == 4 * 300)
    #expect(executor.copied.in - before.in <= 10 * 256)
  }

  /// Steps of equal shape are recorded and started as one; tokens stay the same over page and chunk boundaries.
  @Test func stepsOfOneShapeAreReplayed() throws {
    let requests = [40, 500].map { length in
      GenerationRequest(prompt: (0..<length).map { Int32($0 % 290) }, maximumTokens: 100)
    }
    let (model, executor) = try model()
    for (number, request) in requests.enumerated() {
      let expected = try run([request], Generator(tinyModel()))
      #expect(try run([request], Generator(model)) == expected)
      #expect(executor.replays >= 90 * (number + 1))
    }
    #expect(try run(requests, Generator(model)) == run(requests, Generator(tinyModel())))
  }

  /// Sixteen-bit factors round, but sharing, batching and splitting still change nothing on this executor.
  @Test func sixteenBitBatchesEqualSingles() throws {
    let (model, _) = try model(sixteenBit: true, cacheType: .float16)
    #expect(model.attentionFactor == .float16)
    let alone = try GeneratorTests.requests.map { try run([$0], Generator(model))[0] }
    for mode in SharingMode.allCases {
      var options = Generator.Options()
      options.sharing = mode
      #expect(try run(GeneratorTests.requests, Generator(model, options: options)) == alone, "\(mode)")
    }
  }

  @Test func costsAreMeasuredOnIt() throws {
    let (model, executor) = try model(sixteenBit: true, cacheType: .float16)
    let costs = try AttentionCosts.measured(for: model, executor: executor)
    #expect(costs.page > 0 && costs.phase > 0)
  }
}
