internal import Memory
internal import Tiles
internal import TilesCUDA

/// What times kernels on a GPU.
protocol KernelTiming {
  /// The GPU.
  var executor: CUDAExecutor { get }
}

extension KernelTiming {
  /// Median seconds of one of the calls, which take turns.
  func time(_ calls: [() throws -> Void], repeats: Int = 15) throws -> Double {
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
    for _ in 0..<repeats { times.append(try once { try graph.launch() } / Double(inner)) }
    return times.sorted()[repeats / 2]
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

  /// Weights in blocks on the device, from rows that repeat.
  func randomBlocks(_ type: ElementType, _ shape: [Int], seed: UInt64) throws -> Tensor {
    let target = try executor.tensor(type, shape)
    let host = try Tensor(random: type, [min(shape[0], 256), shape[1]], seed: seed)
    for start in stride(from: 0, to: shape[0], by: host.shape[0]) {
      let count = min(host.shape[0], shape[0] - start)
      try executor.copy(
        from: host.sliced(axis: 0, 0..<count), into: target.sliced(axis: 0, start..<(start + count)))
    }
    return target
  }
}
