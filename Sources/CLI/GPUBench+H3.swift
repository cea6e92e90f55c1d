internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

extension GPUBench {
  /// H3 of whole sequences, of a position more, and of a span's end, of 64 sequences at the widths of 125 million and 1.3 billion parameters.
  func h3() throws {
    for width in [768, 2048] {
      for length in [512, 1536] { try h3Chunks(width: width, length: length) }
      try h3Step(width: width)
      try h3Part(width: width)
      try h3Span(width: width)
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
    let batch = bench.sequences ?? 64
    let title = "B=\(batch) D=\(width) C=\(H3Step.span)"
    guard bench.wants("step \(title)") else { return }
    let clock = try executor.tensor(.int32, [1])
    try executor.clear(clock)
    let shape = H3Step.Shape(width: width, type: .bfloat16, cores: executor.cores)
    let padded = shape.paddedWidth
    let x = try random(.bfloat16, [batch, width], seed: 1)
    let y = try executor.tensor(.bfloat16, [batch, padded])
    let kernel = try executor.compile(try H3Step.kernel(shape))
    // Weights and memories of several layers take turns, as they do in a network, so that the cache is cold.
    let calls = try (0..<8).map { number -> () throws -> Void in
      let seed = UInt64(30 + 8 * number)
      let projection = [
        try random(.bfloat16, [3 * padded, width], seed: seed, scale: 0.05),
        try random(.float32, [3 * padded], seed: seed + 1),
      ]
      let halves = try (0..<2).flatMap { half in
        let seed = seed + 2 + UInt64(3 * half)
        return [
          try random(.float32, [padded, H3Step.span, batch], seed: seed),
          try random(.float32, [2 * H3Step.part, padded], seed: seed + 1, scale: 0.1),
          try random(.float32, [padded], seed: seed + 2),
        ]
      }
      return { try kernel.run([clock, x] + projection + halves + [y]) }
    }
    report(
      Figure(
        op: "h3_step", shape: title, seconds: try time(calls),
        bytes: Double(batch * width * (8 * H3Step.part + 12) + 6 * width * width)))
  }

  private func h3Part(width: Int) throws {
    let batch = bench.sequences ?? 64
    let title = "B=\(batch) D=\(width) P=\(H3Step.part)"
    guard bench.wants("part \(title)") else { return }
    // The longest: at the end of a span's first part.
    let clock = try executor.tensor(.int32, [1])
    try executor.clear(clock)
    let filters = try (0..<2).map {
      try random(.float32, [width, H3Step.span], seed: UInt64($0 + 1), scale: 0.1)
    }
    let kernel = try executor.compile(try H3Part.kernel())
    let calls = try (0..<8).map { number -> () throws -> Void in
      let memories = try (0..<2).map {
        try random(.float32, [width, H3Step.span, batch], seed: UInt64(10 + 2 * number + $0))
      }
      return { try kernel.run([clock] + memories + memories + filters) }
    }
    let numbers = H3Step.part + 2 * (H3Step.span - H3Step.part)
    report(
      Figure(
        op: "h3_part", shape: title, seconds: try time(calls), bytes: Double(8 * batch * width * numbers)))
  }

  private func h3Span(width: Int) throws {
    let (batch, modes, taps, span) = (bench.sequences ?? 64, 32, 64, H3Step.span)
    let title = "B=\(batch) D=\(width) N=\(modes) taps=\(taps)"
    guard bench.wants("span \(title)") else { return }
    let clock = try executor.tensor(.int32, [1])
    try executor.clear(clock)
    let shape = H3Span.Shape(modes: modes, taps: taps, type: .bfloat16)
    func factor(_ rows: Int, _ columns: Int, _ seed: UInt64) throws -> Tensor {
      try random(.bfloat16, [width, shape.parts, rows, columns], seed: seed, scale: 0.05)
    }
    let entering = [
      try factor(2 * shape.places, span, 1), try factor(span, span, 2), try factor(span, modes, 3),
      try factor(span, modes, 4),
    ]
    let turns = try (0..<2).map { try random(.float32, [width, modes], seed: UInt64(5 + $0), scale: 0.3) }
    let leaving = try (0..<2).map { try factor(modes, span, UInt64(7 + $0)) }
    let kernel = try executor.compile(try H3Span.kernel(shape))
    let calls = try (0..<8).map { number -> () throws -> Void in
      let seed = UInt64(10 + 5 * number)
      let memories = try (0..<2).map {
        try random(.float32, [width, span, batch], seed: seed + UInt64($0))
      }
      let ring = try random(.bfloat16, [batch, width, shape.places], seed: seed + 2)
      let states = try (0..<2).map {
        try random(.float32, [batch, width, modes], seed: seed + 3 + UInt64($0))
      }
      return { try kernel.run([clock] + memories + [ring, ring] + entering + turns + states + leaving) }
    }
    report(
      Figure(
        op: "h3_span", shape: title, seconds: try time(calls),
        bytes: Double(batch * width * (16 * (modes + span) + 2 * (shape.places + span)))))
  }
}
