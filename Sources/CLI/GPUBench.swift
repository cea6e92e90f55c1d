internal import Memory
internal import Tiles
internal import TilesCUDA

/// Times of kernels on a GPU at the shapes that other libraries are timed at.
///
/// Short kernels are repeated in one graph, inputs take turns so that the cache is cold, and a figure is the median of 15
/// runs between events.
struct GPUBench: KernelTiming {
  let bench: BenchCommand
  let executor: CUDAExecutor
  /// Finds plans before they are measured, where that was asked for.
  var tuner: GPUTuner?

  /// One measurement in the units of its group.
  struct Figure {
    var op: String
    var shape: String
    var seconds: Double
    var flops: Double?
    var bytes: Double?
    /// Seconds in which the device copies so many bytes, where that was measured.
    var floor: Double?
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
      "floor_ms": figure.floor.map { JSONField($0 * 1e3, decimals: 5) },
      "error": figure.error.map { JSONField($0, decimals: 7) },
    ])
  }
}
