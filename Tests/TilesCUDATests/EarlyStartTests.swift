import Kernels
import Testing
import Tiles

@testable import TilesCUDA

/// What kernels print that start while the one before them runs.
@Suite struct EarlyStartTests {
  /// Places of texts in a program's entry, which are there once each.
  private func places(_ texts: [String], in program: CUDAProgram) throws -> [String.Index] {
    let entry = try #require(program.source.range(of: "__global__")).upperBound
    return try texts.map { text in
      let found = program.source[entry...].ranges(of: text)
      #expect(found.count == 1, "\(text), \(found.count) times")
      return try #require(found.first).lowerBound
    }
  }

  @Test func rowsAwaitWhatWasBeforeThem() throws {
    let kernel = try Normalisation.layer(epsilon: 1e-5).kernel(width: 768, output: .bfloat16)
    let program = try SimpleLowering.emit(kernel, target: .sm_90a)
    // Weight and bias are asked for, the rows are not.
    let weights = [1, 2].map { "prefetch_row<32>((const u8 *)a.tensor[\($0)] + start" }
    let order = try places(weights + ["follow();", "const bool aligned"], in: program)
    #expect(order == order.sorted())
    #expect(!program.source.contains("prefetch_row<32>((const u8 *)a.tensor[0]"))
  }

  @Test func productsAwaitWhatWasBeforeThem() throws {
    let shape = Linear.Shape.sixteenBit(inputs: 768, outputs: 768, rowLimit: 64)
    let program = try PipelinedLowering.emit(
      Linear.kernel(shape, weight: .bfloat16, arithmetic: .sixteenBit))
    let entry = try #require(program.source.range(of: "__global__")).upperBound
    let text = program.source[entry...]
    // The loader and each group wait; the loader asks for weights before, and copies nothing.
    #expect(text.ranges(of: "follow();").count == 2)
    let first = try #require(text.range(of: "follow();")).lowerBound
    #expect(text[..<first].contains("prefetch_2(&a.map["))
    #expect(!text[..<first].contains("copy_in_2("))
  }

  /// All blocks together ask for no more than the cache can spare, and each for a step at least.
  @Test(arguments: [(768, 768), (2048, 8192), (8192, 2048), (4096, 14336), (64, 1 << 20)])
  func productsAskForSoMuchAhead(inputs: Int, outputs: Int) throws {
    let shape = Linear.Shape.sixteenBit(inputs: inputs, outputs: outputs, rowLimit: 64)
    let kernel = try Linear.kernel(shape, weight: .bfloat16, arithmetic: .sixteenBit)
    let early = LoaderProgram(placement: Placement(kernel)).early()
    guard case .loop(_, from: 0, let below, let body) = try #require(early.first) else {
      Issue.record("\(early[0]) is no loop")
      return
    }
    #expect(early.count == 1 && body.count == 1)
    let steps = below.value(parameters: [64])
    #expect(steps >= 1 && steps <= (inputs + 63) / 64)
    let tasks = min(132, (outputs + shape.columns - 1) / shape.columns)
    let bytes = 2 * 64 * shape.columns * tasks
    #expect(steps == 1 || steps * bytes <= LoaderProgram.earlyBytes)
    #expect(steps == (inputs + 63) / 64 || (steps + 1) * bytes > LoaderProgram.earlyBytes)
  }

  /// Weights are asked for, and neither rows nor what is kept; numbers of channels are read two at a time.
  @Test func stepsOfH3AwaitWhatWasBeforeThem() throws {
    let kernel = try H3Step.kernel(H3Step.Shape(width: 768, type: .bfloat16, cores: 132))
    let program = try PipelinedLowering.emit(kernel)
    let entry = try #require(program.source.range(of: "__global__")).upperBound
    let text = program.source[entry...]
    let first = try #require(text.range(of: "follow();")).lowerBound
    #expect(text[..<first].contains("prefetch_2(&a.map["))
    #expect(!text[..<first].contains("copy_in_2(") && !text[..<first].contains("a.tensor["))
    let names = program.pairedReads.map { kernel.tensors[$0].name }
    #expect(names == ["bias", "keysTaps", "keysOwn", "inputsTaps", "inputsOwn"])
  }

  /// What every sequence keeps, and what all share.
  @Test func turnsOfALoopAreAskedForTogether() throws {
    let shape = DiagonalStep.Shape(width: 768, modes: 16, activation: nil, type: .bfloat16)
    let program = try SimpleLowering.emit(DiagonalStep.kernel(shape), target: .sm_90a)
    let entry = try #require(program.source.range(of: "__global__")).upperBound
    let early = try #require(program.source[entry...].range(of: "follow();")).lowerBound
    let text = program.source[entry..<early]
    let loop = try #require(text.range(of: "for (int step0 = 0")).lowerBound
    for tensor in ["[6]", "[7]"] {
      #expect(text[loop...].contains("prefetch_row<4>((const u8 *)a.tensor\(tensor)"))
    }
    #expect(text[..<loop].contains("prefetch_row<4>((const u8 *)a.tensor[1]"))
    #expect(!text.contains("a.tensor[0]") && !text.contains("a.tensor[5]"))
  }

  /// Rows of which the data says where they lie may still be chosen.
  @Test func whatTheDataChoosesIsNotAskedFor() throws {
    let kernel = try Kernel("chosen") { k in
      let m = k.extent("M")
      let place = k.input("place", .int32, [1])
      let (table, x) = (k.input("table", .float32, [m, 64]), k.input("x", .float32, [m, 64]))
      let y = k.output("y", .float32, [m, 64])
      var schedule = Kernel.Schedule.early
      schedule.prefetched = [table.number, x.number]
      k.grid([m], schedule: schedule) { task in
        let chosen = k.load(
          table, at: [Index.element(tensor: place.number, at: [0]), 0], rows: 1, columns: 64)
        k.store(
          k.map(.add, chosen, k.load(x, at: [task[0], 0], rows: 1, columns: 64)), to: y, at: [task[0], 0])
      }
    }
    let program = try SimpleLowering.emit(kernel, target: .sm_90a)
    let entry = try #require(program.source.range(of: "__global__")).upperBound
    let early = try #require(program.source[entry...].range(of: "follow();")).lowerBound
    let text = program.source[entry..<early]
    #expect(text.contains("a.tensor[2]") && !text.contains("a.tensor[1]"))
  }

  @Test func othersDoNot() throws {
    let many = Linear.Shape.sixteenBit(inputs: 768, outputs: 768, rowLimit: nil)
    let product = try PipelinedLowering.emit(Linear.kernel(many, weight: .bfloat16, arithmetic: .sixteenBit))
    let rows = try SimpleLowering.emit(
      Embedding.kernel(width: 768, table: .float32, positions: nil), target: .sm_90a)
    for program in [product, rows] { #expect(!program.source.contains("follow")) }
  }
}
