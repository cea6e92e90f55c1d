internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCPU

/// Short depthwise convolutions against what it takes to copy as many bytes.
struct ShortConvolutionBench {
  private let bench: BenchCommand

  init(_ bench: BenchCommand) { self.bench = bench }

  func run() throws {
    let executor = try CPUExecutor(threads: bench.threadCount)
    let (batch, channels, length) = (2, 512, 8192)
    for type in [ElementType.float32, .bfloat16] {
      for (layout, name) in [(LongConvolution.Layout.channelsFirst, "bhl"), (.channelsLast, "blh")] {
        for (width, appliesSiLU) in [(3, false), (4, false), (4, true), (16, false)] {
          let silu = appliesSiLU ? " silu" : ""
          let title = "B=\(batch) H=\(channels) L=\(length) K=\(width) \(name) \(type.rawValue)\(silu)"
          guard bench.wants(title) else { continue }
          let shape = try ShortConvolutionShape(
            width: width, layout: layout, type: type, appliesSiLU: appliesSiLU)
          let sides =
            layout == .channelsFirst ? [batch, channels, length] : [batch, length, channels]
          try measure(shape, sides, channels, title, executor)
        }
      }
    }
  }

  private func measure(
    _ shape: ShortConvolutionShape, _ sides: [Int], _ channels: Int, _ title: String, _ executor: CPUExecutor
  ) throws {
    let (x, dy) = (
      try Tensor(random: shape.type, sides, seed: 1), try Tensor(random: shape.type, sides, seed: 4)
    )
    let filter = ShortConvolution.Filter(
      weights: try Tensor(random: .float32, [channels, shape.width], seed: 2),
      bias: try Tensor(random: .float32, [channels], seed: 3))
    let (y, dx) = (try Tensor(zeros: shape.type, sides), try Tensor(zeros: shape.type, sides))
    let length = sides[shape.layout == .channelsFirst ? 2 : 1]
    let whole = try ShortConvolution(shape, on: executor)
    let gradients = try ShortConvolutionGradients(
      shape, batch: sides[0], channels: channels, length: length, on: executor)
    let targets = ShortConvolutionGradients.Targets(
      input: dx, weights: try Tensor(zeros: .float32, [channels, shape.width]),
      bias: try Tensor(zeros: .float32, [channels]))
    let copy = try executor.compile(try Self.copy(shape.type))
    let rows = [x.count / 4096, 4096]
    // In turn, so that all see the same clock and the same neighbours; the least of each is the machine's.
    var (least, forward, backward) = (Double.infinity, Double.infinity, Double.infinity)
    for _ in 0...max(10, bench.repeats) {
      least = min(least, try time { try copy.run([x.reshaped(rows), y.reshaped(rows)]) })
      forward = min(forward, try time { try whole.apply(x, filter, into: y) })
      backward = min(backward, try time { try gradients(of: x, filter, outputGradient: dy, into: targets) })
    }
    let bytes = Double(x.count * shape.type.blockBytes)
    // A copy moves two tensors, a gradient three.
    for (op, seconds, tensors) in [("short_conv", forward, 2.0), ("short_conv_bwd", backward, 3.0)] {
      bench.report(
        op, title, milliseconds: seconds * 1e3, rate: ("GB/s", tensors * bytes / seconds / 1e9),
        ofBandwidth: least * tensors / 2 / seconds)
    }
  }

  private func time(_ body: () throws -> Void) rethrows -> Double {
    let start = ContinuousClock.now
    try body()
    return seconds(since: start)
  }

  private static func copy(_ type: ElementType) throws(TileError) -> Kernel {
    try Kernel("copy") { k in
      let (m, n) = (k.extent("M"), k.extent("N"))
      let x = k.input("x", type, [m, n])
      let y = k.output("y", type, [m, n])
      k.grid([m]) { task in
        k.store(k.load(x, at: [task[0], 0], columns: 4096), to: y, at: [task[0], 0])
      }
    }
  }
}
