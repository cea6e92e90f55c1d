import Fourier
import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@Suite struct ConvolutionStreamTests {
  /// Piece by piece equals the whole, gates and skip term included.
  @Test(arguments: [(64, 16, 64), (100, 16, 100), (1000, 24, 70), (300, 100, 300), (50, 64, 50)])
  func piecesEqualTheWhole(length: Int, piece: Int, taps: Int) throws {
    let executor = try CPUExecutor(threads: 2)
    let test = try ConvolutionCase(ConvolutionShape(mode: .causal, length: length, filterLength: taps))
    let stream = try ConvolutionStream(
      filters: test.filters.forward, pieceLength: piece, batch: test.batch, on: executor)
    let y = try poisoned(test.rows.input.shape)
    for _ in 0..<2 {
      for first in stride(from: 0, to: length, by: piece) {
        let range = first..<min(length, first + piece)
        func part(_ t: Tensor?) -> Tensor? { t?.sliced(axis: 2, range) }
        let rows = ConvolutionRows(
          test.rows.input.sliced(axis: 2, range), inputGate: part(test.rows.inputGate),
          outputGate: part(test.rows.outputGate), skip: test.rows.skip)
        try stream.push(rows, into: y.sliced(axis: 2, range))
      }
      #expect(stream.position == length)
      #expect(relativeError(values(y), test.exact()) < 1e-6)
      if length % piece != 0 {
        #expect(throws: ConvolutionError.self) { try stream.push(test.rows, into: y) }
      }
      try stream.restart()
    }
  }

  @Test(arguments: [1, 2, 31, 64, 100, 257], [0, 1, 40]) func numberByNumberEqualsTheWhole(
    length: Int, prompt: Int
  ) throws {
    guard prompt <= length else { return }
    let executor = try CPUExecutor(threads: 2)
    for taps in Set([length, (length + 1) / 2]) {
      let test = try ConvolutionCase(
        ConvolutionShape(mode: .causal, length: length, filterLength: taps), gated: false)
      let decoder = try ConvolutionDecoder(
        filters: test.filters.forward, capacity: length, batch: test.batch, on: executor)
      let y = try poisoned(test.rows.input.shape)
      let input = test.rows.input
      if prompt > 0 {
        let (first, out) = (
          try Tensor(zeros: .float32, [test.batch, test.channels, prompt]),
          try poisoned([test.batch, test.channels, prompt])
        )
        try executor.copy(from: input.sliced(axis: 2, 0..<prompt), into: first)
        try decoder.prefill(first, into: out)
        try executor.copy(from: out, into: y.sliced(axis: 2, 0..<prompt))
      }
      for at in prompt..<length {
        let (x, out) = (
          try Tensor(zeros: .float32, [test.batch, test.channels]), try poisoned([test.batch, test.channels])
        )
        try executor.copy(
          from: input.sliced(axis: 2, at..<at + 1), into: x.reshaped([test.batch, test.channels, 1]))
        try decoder.step(x, into: out)
        try executor.copy(
          from: out.reshaped([test.batch, test.channels, 1]), into: y.sliced(axis: 2, at..<at + 1))
      }
      #expect(relativeError(values(y), test.exact()) < 1e-6)
      let one = try uniform([test.batch, test.channels], seed: 1)
      #expect(throws: ConvolutionError.self) { try decoder.step(one, into: one) }
    }
  }

  @Test func badStreamsAreRefused() throws {
    let executor = try CPUExecutor(threads: 1)
    let k = try uniform([2, 30], seed: 1)
    #expect(throws: ConvolutionError.self) {
      try ConvolutionStream(filters: k, pieceLength: 11, batch: 1, on: executor)
    }
    // 3^25: a product of more small transforms than there are levels.
    #expect(throws: ConvolutionError.length(847_288_609_443)) {
      try ConvolutionStream(filters: k, pieceLength: 847_288_609_443, batch: 1, on: executor)
    }
    #expect(throws: ConvolutionError.self) {
      try ConvolutionStream(filters: k, pieceLength: 8, batch: 0, on: executor)
    }
    #expect(throws: ConvolutionError.self) {
      try ConvolutionDecoder(filters: k, capacity: 0, batch: 1, on: executor)
    }
    let stream = try ConvolutionStream(filters: k, pieceLength: 8, batch: 1, on: executor)
    let x = try uniform([1, 2, 9], seed: 2)
    #expect(throws: (any Error).self) { try stream.push(ConvolutionRows(x), into: x) }
  }
}
