import Fourier
import Kernels
import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@Suite struct StatePassingTests {
  static func space(channels: Int, states: Int) throws -> DiagonalStateSpace {
    let numbers = values(try uniform([4, channels * states], seed: 31))
    let count = channels * states
    var (poles, residues): ([(real: Double, imaginary: Double)], [(real: Double, imaginary: Double)]) = (
      [], []
    )
    for index in 0..<count {
      let (re, im) = (0.9 + 0.09 * numbers[index], 0.08 * numbers[count + index])
      let size = max(1, (re * re + im * im).squareRoot())
      poles.append((re / size, im / size))
      residues.append((numbers[2 * count + index], numbers[3 * count + index]))
    }
    return try DiagonalStateSpace(channels: channels, poles: poles, residues: residues)
  }

  /// Pieces with states in between equal one convolution with the whole filter.
  @Test(arguments: [(1, 1, 8, 5), (2, 3, 16, 4), (3, 4, 63, 3)])
  func piecesEqualTheWhole(batch: Int, states: Int, piece: Int, pieces: Int) throws {
    let executor = try CPUExecutor(threads: 2)
    let space = try Self.space(channels: 3, states: states)
    let length = piece * pieces
    let u = try uniform([batch, 3, length], seed: 32)
    let whole = ConvolutionOracle(try ConvolutionShape(mode: .causal, length: length, filterLength: length))
    let f = values(try space.filters(length: length))
    let input = values(u)
    var exact: [Double] = []
    for row in 0..<batch * 3 {
      let filter = Array(f[row % 3 * length..<(row % 3 + 1) * length])
      exact += whole.definition(Array(input[row * length..<(row + 1) * length]), filter)
    }
    let passing = try StatePassing(space, pieceLength: piece, batch: batch, on: executor)
    for _ in 0..<2 {
      let y = try poisoned([batch, 3, length])
      for first in stride(from: 0, to: length, by: piece) {
        try passing.push(
          u.sliced(axis: 2, first..<first + piece), into: y.sliced(axis: 2, first..<first + piece))
      }
      #expect(relativeError(values(y), exact) < 2e-6)
      try passing.restart()
    }
    #expect(throws: ConvolutionError.self) { try passing.push(u, into: u) }
  }

  /// Pieces that take the place of what they were made of leave the states that others leave.
  @Test func outputsMayTakeThePlaceOfInputs() throws {
    let executor = try CPUExecutor(threads: 2)
    let space = try Self.space(channels: 3, states: 2)
    let apart = try StatePassing(space, pieceLength: 16, batch: 2, on: executor)
    let inPlace = try StatePassing(space, pieceLength: 16, batch: 2, on: executor)
    for piece in 0..<3 {
      let (u, v) = (
        try uniform([2, 3, 16], seed: UInt64(40 + piece)), try uniform([2, 3, 16], seed: UInt64(40 + piece))
      )
      let y = try poisoned([2, 3, 16])
      try apart.push(u, into: y)
      try inPlace.push(v, into: v)
      #expect(values(v) == values(y), "piece \(piece)")
    }
  }

  @Test func badSpacesAreRefused() {
    #expect(throws: StateSpaceError.unstable(index: 0, size: 2)) {
      try DiagonalStateSpace(channels: 1, poles: [(2, 0)], residues: [(1, 0)])
    }
    #expect(throws: StateSpaceError.counts(poles: 3, residues: 3, channels: 2)) {
      try DiagonalStateSpace(
        channels: 2, poles: [(0, 0), (0, 0), (0, 0)], residues: [(1, 0), (1, 0), (1, 0)])
    }
  }
}
