internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

extension GPUBench {
  /// One decoding step of sequences that share a prefix, from queries to results.
  func prefix() throws {
    let (heads, size, own) = (32, 128, 128)
    for sequences in [64, 256, 1024] {
      for length in [1024, 4096, 16384] {
        let title = "B=\(sequences) P=\(length) S=\(own) Hq=\(heads) Hkv=\(heads) D=\(size)"
        guard bench.wants(title) else { continue }
        let run = try SharedPrefixStep(
          PrefixDecoding.Shape(kvHeads: heads, group: 1, headSize: size, sequences: sequences),
          scale: 1 / Float(size).squareRoot(), sequences: sequences, prefixKeys: length,
          cores: executor.device.multiprocessors, executor: executor)
        func numbers(_ shape: [Int], _ seed: UInt64) throws -> Tensor {
          try random(.bfloat16, shape, seed: seed)
        }
        let (q, y) = (
          try numbers([sequences, heads, 1, size], 1),
          try executor.tensor(.bfloat16, [sequences, heads, 1, size])
        )
        let (kp, vp) = (try numbers([heads, length, size], 2), try numbers([heads, length, size], 3))
        let (ks, vs) = (
          try numbers([sequences, heads, own, size], 4), try numbers([sequences, heads, own, size], 5)
        )
        let host = try Tensor(zeros: .int32, [sequences])
        host.withMutableElements(as: Int32.self) { span in
          for index in span.indices { span[index] = Int32(own) }
        }
        let lengths = try executor.place(host)
        let seconds = try time([
          {
            try run(q: q, prefixKeys: kp, prefixValues: vp, lengths: lengths, keys: ks, values: vs, y: y)
          }
        ])
        let rows = Double(sequences * heads * size)
        report(
          Figure(
            op: "prefix_decode", shape: title, seconds: seconds, flops: 4 * rows * Double(length + own),
            bytes: 4 * rows * Double(own) + 4 * Double(heads * size) * Double(length)))
      }
    }
  }
}
