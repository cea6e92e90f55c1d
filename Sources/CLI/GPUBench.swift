internal import Memory
internal import Tiles
internal import TilesCUDA

/// Times of kernels on a GPU at the shapes that other libraries are timed at.
///
/// Short kernels are repeated in one graph, inputs take turns so that the cache is cold, and a figure is the median of 15
/// runs between events.
struct GPUBench {
  let bench: BenchCommand
  let executor: CUDAExecutor

  /// One measurement in the units of its group.
  struct Figure {
    var op: String
    var shape: String
    var seconds: Double
    var flops: Double?
    var bytes: Double?
    var variant: String?
    /// Norm of the error over the norm of what is right, where that was looked at.
    var error: Double?
  }

  func report(_ figure: Figure) {
    let rates: [(String, Double?)] = [
      ("tflops", figure.flops.map { $0 / figure.seconds / 1e12 }),
      ("gbps", figure.bytes.map { $0 / figure.seconds / 1e9 }),
    ]
    let peer = figure.variant.map { "godwit \($0)" } ?? "godwit"
    guard bench.json else {
      let text =
        rates.compactMap { name, value in value.map { ", \(Output.fixed($0, 1)) \(name)" } }.joined()
        + (figure.error.map { ", error \(Output.fixed($0 * 1e3, 3))e-3" } ?? "")
      Output.write(
        "\(figure.op)  \(figure.shape)  \(peer): \(Output.fixed(figure.seconds * 1e3, 4)) ms\(text)\n")
      return
    }
    Output.json([
      "op": JSONField(figure.op), "shape": JSONField(figure.shape), "peer": JSONField(peer),
      "ms": JSONField(figure.seconds * 1e3, decimals: 5), "device": JSONField(executor.device.name),
      "tflops": rates[0].1.map { JSONField($0, decimals: 1) },
      "gbps": rates[1].1.map { JSONField($0, decimals: 1) },
      "error": figure.error.map { JSONField($0, decimals: 7) },
    ])
  }

  /// Median seconds of one of the calls, which take turns.
  func time(_ calls: [() throws -> Void]) throws -> Double {
    for call in calls + calls { try call() }
    func once(_ body: () throws -> Void) throws -> Double {
      let (start, end) = (try CUDAEvent(device: executor.device), try CUDAEvent(device: executor.device))
      try start.record(in: executor.stream)
      try body()
      try end.record(in: executor.stream)
      try end.synchronize()
      return try end.seconds(since: start)
    }
    let single = try once(calls[0])
    let inner = max(1, min(200, Int(2e-3 / max(single, 1e-6))))
    let graph = try executor.capture { for number in 0..<inner { try calls[number % calls.count]() } }
    try graph.launch()
    var times: [Double] = []
    for _ in 0..<15 { times.append(try once { try graph.launch() } / Double(inner)) }
    return times.sorted()[7]
  }

  /// Numbers around 0 of about unit size on the device, from a block that repeats.
  func random(_ type: ElementType, _ shape: [Int], seed: UInt64, scale: Float = 1) throws -> Tensor {
    let target = try executor.tensor(type, shape)
    let block = min(target.count, 1 << 22)
    let host = try Tensor(zeros: type, [block])
    var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    func next() -> Float {
      // Sum of four uniform numbers: near enough to a normal distribution.
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let bits = state >> 16
      var sum: Float = 0
      for part in 0..<4 { sum += Float(bits >> UInt64(12 * part) & 0xFFF) / 4096 - 0.5 }
      return sum * 1.7320508 * scale
    }
    switch type {
    case .bfloat16:
      host.withMutableElements(as: UInt16.self) { span in
        for index in span.indices { span[index] = BFloat16(next()).bitPattern }
      }
    case .float16:
      host.withMutableElements(as: UInt16.self) { span in
        for index in span.indices { span[index] = float16Bits(next()) }
      }
    default:
      host.withMutableElements(as: Float.self) { span in
        for index in span.indices { span[index] = next() }
      }
    }
    let flat = target.reshaped([target.count])
    for start in stride(from: 0, to: target.count, by: block) {
      let count = min(block, target.count - start)
      try executor.copy(
        from: host.sliced(axis: 0, 0..<count), into: flat.sliced(axis: 0, start..<(start + count)))
    }
    return target
  }
}
