internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

/// Kernels that memory limits.
extension GPUBench {
  /// What the device can copy: the roof of the other kernels here.
  func copy() throws {
    guard bench.wants("2GiB") else { return }
    let (seconds, bytes) = try copyTime()
    report(Figure(op: "copy", shape: "2GiB", seconds: seconds, bytes: bytes))
  }

  /// Seconds to copy 2 GiB, and the bytes read and written.
  func copyTime() throws -> (seconds: Double, bytes: Double) {
    let (rows, width) = (1 << 19, 1024)
    let kernel = try executor.compile(
      try Kernel("copy") { k in
        let m = k.extent("M")
        let x = k.input("x", .float32, [m, Index(width)])
        let y = k.output("y", .float32, [m, Index(width)])
        k.grid([m.ceilDiv(8)]) { task in
          let tile = k.load(x, at: [task[0] * 8, 0], rows: 8, columns: width)
          k.store(tile, to: y, at: [task[0] * 8, 0])
        }
      })
    let x = try executor.tensor(.float32, [rows, width])
    let y = try executor.tensor(.float32, [rows, width])
    return (try time([{ try kernel.run([x, y]) }]), 8 * Double(x.count))
  }

  /// Rotary embedding of whole heads.
  func rotary() throws {
    let (batch, heads, size) = (16, 16, 128)
    let kernel = try executor.compile(try RotaryEmbedding.kernel(headSize: size, angles: .bfloat16))
    for length in [1024, 4096, 16384] {
      let title = "B=\(batch) H=\(heads) N=\(length) D=\(size)"
      guard bench.wants(title) else { continue }
      let x = try random(.bfloat16, [batch, heads, length, size], seed: 1)
      let angles = try (0..<2).map { try random(.bfloat16, [length, size / 2], seed: UInt64(2 + $0)) }
      let y = try executor.tensor(.bfloat16, x.shape)
      let seconds = try time([{ try kernel.run([x] + angles + [y]) }])
      report(Figure(op: "rotary", shape: title, seconds: seconds, bytes: 4 * Double(x.count)))
    }
  }

  /// Dropout, residual and LayerNorm in one pass.
  func dropoutResidualNorm() throws {
    let (batch, width) = (16, 1024)
    let seam = DropoutResidualNorm(.layer(epsilon: 1e-5), width: width, probability: 0.1)
    let kernel = try executor.compile(try seam.kernel())
    for length in [1024, 4096, 16384] {
      let title = "B=\(batch) N=\(length) D=\(width)"
      guard bench.wants(title) else { continue }
      let inputs = try (1...2).map { try random(.bfloat16, [batch * length, width], seed: UInt64($0)) }
      let vectors = try (3...4).map { try random(.float32, [width], seed: UInt64($0)) }
      let outputs = try (0..<2).map { _ in try executor.tensor(.bfloat16, [batch * length, width]) }
      let seconds = try time([{ try kernel.run(inputs + vectors + outputs, integers: [1, 0]) }])
      report(
        Figure(
          op: "dropout_residual_layernorm", shape: title, seconds: seconds, bytes: 8 * Double(inputs[0].count)
        ))
    }
  }
}
