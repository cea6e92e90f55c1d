internal import Fourier
internal import Kernels
internal import Memory
internal import Tiles

/// Kinds of convolution that do less work, or all of it in little memory.
extension ConvolutionBench {
  /// Frequencies dropped by the first digit, whose rows are not computed.
  func sparse() throws {
    let (channels, factors) = (8, [64, 64, 64])
    for keep in [[64, 64, 64], [48, 64, 64], [32, 64, 64], [16, 64, 64], [13, 32, 64]] {
      let mask = try FrequencyMask(factors: factors, keep: keep)
      let length = mask.size
      let name = "B=1 H=\(channels) L=\(length) sparsity=\(Output.fixed(100 * mask.sparsity, 0))%"
      guard bench.wants(name) else { continue }
      let problem = try problem(1, channels, length, mask: mask)
      let spectrum = LongConvolution.Filter.spectrum(try problem.convolution.spectrum(of: problem.filters))
      let time = try seconds { try problem.apply(spectrum) }
      let oracle = ConvolutionOracle(problem.shape, mask: mask)
      func first(_ tensor: Tensor) -> [Double] {
        tensor.withElements(as: Float.self) { span in (0..<length).map { Double(span[$0]) } }
      }
      let exact = oracle.transformed(first(problem.rows.input), first(problem.filters.forward))
      let found = first(problem.output)
      var (difference, size) = (0.0, 0.0)
      for i in 0..<length {
        difference += (found[i] - exact[i]) * (found[i] - exact[i])
        size += exact[i] * exact[i]
      }
      report("fftconv_sparse", name, "godwit", time, error: (difference / size).squareRoot())
    }
  }

  /// Filters shorter than the sequence: time, and memory for spectra and work.
  func partial() throws {
    let (channels, length) = (4, 1_048_576)
    for part in [1, 2, 4, 8, 16, 32, 256] {
      let name = "B=1 H=\(channels) L=\(length) taps=\(length / part)"
      guard bench.wants(name) else { continue }
      let problem = try problem(1, channels, length, taps: length / part)
      let time = try seconds { try problem.apply(.taps(problem.filters)) }
      let plan = problem.convolution.plan
      let megabytes =
        Double(
          plan.workspaceBytes(gradients: false) * bench.threadCount + 4 * channels * plan.shape.filterLength)
        / 1e6
      report(
        "fftconv_partial", name, "godwit", time, error: problem.error,
        note: "\(Output.fixed(megabytes, 1)) MB of work and filters, \(problem.plan)")
    }
  }

  /// A long row in pieces against the whole, and the cost of going number by number.
  func streaming() throws {
    let (length, piece) = (1_048_576, 4096)
    let name = "B=1 H=1 L=\(length) piece=\(piece)"
    if bench.wants(name) {
      let problem = try problem(1, 1, length)
      try problem.apply(.taps(problem.filters))
      let stream = try ConvolutionStream(
        filters: problem.filters.forward, pieceLength: piece, batch: 1, on: executor)
      let output = try Tensor(zeros: .float32, [1, 1, length])
      var half = 0
      let start = ContinuousClock.now
      for first in stride(from: 0, to: length, by: piece) {
        try stream.push(
          ConvolutionRows(problem.rows.input.sliced(axis: 2, first..<first + piece)),
          into: output.sliced(axis: 2, first..<first + piece))
        // The first half touches the history for the first time.
        if first == length / 2 { half = Files.peakMemory }
      }
      let time = (ContinuousClock.now - start) / .seconds(1)
      let growth = Double(Files.peakMemory - half) / 1e6
      let error = output.withElements(as: Float.self) { a in
        problem.output.withElements(as: Float.self) { b in
          var (difference, size) = (0.0, 0.0)
          for i in 0..<length {
            difference += Double(a[i] - b[i]) * Double(a[i] - b[i])
            size += Double(b[i]) * Double(b[i])
          }
          return (difference / size).squareRoot()
        }
      }
      report(
        "fftconv_stream", name, "godwit", time, error: error,
        note: "to the whole; \(Output.fixed(growth, 1)) MB more at the end than half way")
    }
    for length in [1024, 4096, 16_384, 65_536] {
      let name = "B=1 H=64 L=\(length)"
      guard bench.wants(name) else { continue }
      let filters = try Tensor(random: .float32, [64, length], seed: 3)
      let decoder = try ConvolutionDecoder(filters: filters, capacity: length, batch: 1, on: executor)
      let (x, y) = (try Tensor(random: .float32, [1, 64], seed: 4), try Tensor(zeros: .float32, [1, 64]))
      let start = ContinuousClock.now
      for _ in 0..<length { try decoder.step(x, into: y) }
      let time = (ContinuousClock.now - start) / .seconds(1)
      report("fftconv_token", name, "godwit", time / Double(length), note: "mean of all numbers")
    }
  }
}
