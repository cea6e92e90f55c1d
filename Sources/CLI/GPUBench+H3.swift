internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

extension GPUBench {
  /// H3 of whole sequences and of a position more, of 64 sequences at the widths of 125 million and 1.3 billion parameters.
  func h3() throws {
    for width in [768, 2048] {
      for length in [512, 1536] { try h3Chunks(width: width, length: length) }
      try h3Step(width: width)
    }
  }

  private func h3Chunks(width: Int, length: Int) throws {
    let (batch, modes) = (64, 32)
    let title = "B=\(batch) D=\(width) L=\(length) N=\(modes)"
    guard bench.wants("chunks \(title)") else { return }
    let shape = H3Chunks.Shape(modes: modes, type: .bfloat16)
    let chunk = H3Chunks.chunk
    let sequences = try (0..<3).map { try random(.bfloat16, [batch, width, length], seed: UInt64($0 + 1)) }
    let squares = [
      [2 * chunk, chunk], [chunk, chunk], [modes, chunk], [modes, chunk], [chunk, modes], [chunk, modes],
    ]
    let factors = try squares.enumerated().map { number, square in
      try random(.bfloat16, [width, shape.parts] + square, seed: UInt64(number + 4), scale: 0.05)
    }
    let turns = try (0..<2).map { try random(.float32, [width, modes], seed: UInt64($0 + 20), scale: 0.3) }
    let states = try (0..<2).map { _ in try executor.tensor(.float32, [batch, width, modes]) }
    let y = try executor.tensor(.bfloat16, sequences[0].shape)
    let kernel = try executor.compile(try H3Chunks.kernel(shape))
    let seconds = try time([{ try kernel.run(sequences + factors + turns + states + [y]) }])
    report(
      Figure(
        op: "h3_chunks", shape: title, seconds: seconds,
        flops: 2 * Double(y.count) * Double(chunk * (4 + 2) + 5 * 2 * modes), bytes: 8 * Double(y.count)))
  }

  private func h3Step(width: Int) throws {
    let (batch, modes, taps) = (64, 32, 64)
    let title = "B=\(batch) D=\(width) N=\(modes) taps=\(taps)"
    guard bench.wants("step \(title)") else { return }
    let positions = try executor.tensor(.int32, [batch])
    try executor.clear(positions)
    let z = try random(.float32, [batch, 3, width], seed: 1)
    let window = try random(.float32, [width, H3Step.starts, 2 * taps], seed: 2, scale: 0.1)
    let vectors = try (0..<2).map { try random(.float32, [width], seed: UInt64($0 + 3)) }
    let known = try (0..<4).map { try random(.float32, [width, modes], seed: UInt64($0 + 5), scale: 0.3) }
    let y = try executor.tensor(.bfloat16, [batch, width])
    let shape = H3Step.Shape(width: width, taps: taps, modes: modes, keys: .bfloat16, output: .bfloat16)
    let kernel = try executor.compile(try H3Step.kernel(shape))
    // States of several layers take turns, as they do in a network, so that the cache is cold.
    let calls = try (0..<8).map { number -> () throws -> Void in
      let ring = try random(.bfloat16, [batch, width, taps], seed: UInt64(number + 30))
      let states = try (0..<2).map {
        try random(.float32, [batch, width, modes], seed: UInt64(2 * number + $0 + 40))
      }
      return {
        try kernel.run(
          [positions, z, ring, ring, window, vectors[0]] + known + [vectors[1]] + states + [y])
      }
    }
    report(
      Figure(
        op: "h3_step", shape: title, seconds: try time(calls),
        bytes: Double(batch * width * (16 * modes + 2 * taps))))
  }
}
