package import Memory
package import Tiles

/// ``MonarchWide`` with other tiles: 64 rows and 128 columns are one channel of 8,192 points, and one group has it to itself.
///
/// Two tasks share a multiprocessor and wait for nothing of each other. The spectrum is kept as float16 numbers over the largest of
/// each row. Floor: as ``MonarchFused``'s, with 16 products of 64 by 64 by 64 a channel instead of 24, or of float16 20; but elementwise steps are a
/// quarter more, so that it pays only where ``MonarchWide`` has few registers left to overlap steps: in gradients, with gates after
/// and none before.
package enum MonarchBroad {
  private static let side = MonarchConstants.side
  private typealias Pair = MonarchTile.Pair

  /// What is fixed while recording.
  package struct Shape: Sendable, Hashable {
    /// bfloat16 or float16.
    package var type: ElementType
    /// Gates by which results are multiplied, each for a tensor of its own: at least one.
    package var gatesAfter: Int
    /// Whether spectra are conjugated, which makes it the adjoint.
    package var isConjugated = false

    /// A convolution.
    package init(type: ElementType, gatesAfter: Int) {
      precondition(gatesAfter > 0, "without gates after it, MonarchWide is faster")
      (self.type, self.gatesAfter) = (type, gatesAfter)
    }

    var variant: String {
      "after\(gatesAfter)_\(isConjugated ? "adjoint_" : "")" + type.rawValue
    }
  }

  /// Halves of tiles that are brought ahead.
  private static let stages = 3

  /// What the kernel takes first.
  package static func constants(_ type: ElementType) throws -> [Tensor] {
    try MonarchQuarters.constants(type)
  }

  /// A channel's filter in the registers of a task.
  private struct Filter {
    let k: Recorder
    /// Over ``scale``, in halves of registers.
    let quarters: [Pair]
    let scale: Tile

    /// - Parameter load: a part, re or im, of a quarter.
    init(_ k: Recorder, load: (_ part: Int, _ quarter: Int) -> Tile) {
      self.k = k
      // Part after part, each with steps of its own: at once they would fill the registers.
      func largest(_ number: Int) -> Tile { MonarchFilter.largest(load(number % 2, number / 2), k) }
      let scale = (1..<8).reduce(k.map(.max, largest(0), 0x1p-100)) { k.map(.max, $0, largest($1)) }
      quarters = (0..<4).map { quarter in
        let parts = (0..<2).map { part in
          let factor = k.map(.reciprocal, scale)
          return k.cast(k.map(.multiply, load(part, quarter), factor), to: .float16)
        }
        return Pair(re: parts[0], im: parts[1])
      }
      self.scale = scale
      for quarter in quarters[2...] { for part in [quarter.re, quarter.im] { k.setAside(part) } }
    }

    /// The spectrum of a quarter of the result, rounded.
    func factor(_ x: Pair, quarter: Int, type: ElementType, conjugated: Bool) -> Pair {
      let product = MonarchTile.product(x, quarters[quarter], k, conjugated: conjugated)
      func rounded(_ x: Tile) -> Tile { k.cast(k.map(.multiply, x, scale), to: type) }
      return Pair(re: rounded(product.re), im: rounded(product.im))
    }
  }

  /// Arguments: ``constants(_:)``, spectra re and im float32 `[H · 64, 4, 32]` as ``MonarchWideSpectrum`` leaves them, inputs
  /// `[B, H · 64, 128]`, gates after of that shape, then as many results. Integer: how many rows of
  /// the batch a task visits.
  package static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_broad_\(shape.variant)") { k in
      let (batch, rows, share) = (k.extent("B"), k.extent("R"), k.argument("share"))
      let constants = MonarchQuarters.parameters(k, shape.type)
      let filters = ["re", "im"].map {
        k.input("spectrum_\($0)", .float32, [rows, 4, Index(MonarchQuarters.width)])
      }
      let sizes = [batch, rows, Index(MonarchQuarters.columns)]
      let input = k.input("u", shape.type, sizes)
      let after = (0..<shape.gatesAfter).map { k.input("after\($0)", shape.type, sizes) }
      let outputs = (0..<shape.gatesAfter).map { k.output("y\($0)", shape.type, sizes) }
      var schedule = Kernel.Schedule(groups: 1, tasksPerCore: 2)
      schedule.bringsOperands = true
      schedule.reusesStages = true
      schedule.settlesFactors = true
      schedule.recomputesAddresses = true
      k.grid([rows / Index(side), batch.ceilDiv(share)], schedule: schedule) { task in
        let row = task[0] * Index(side)
        let tile = MonarchQuarters(k, shape.type, from: constants)
        let filter = Filter(k) { part, quarter in
          k.load(
            filters[part], at: [row, Index(quarter), 0], rows: side, columns: MonarchQuarters.width,
            rowAxis: 0, columnAxis: 2, validRows: Index(side), validColumns: Index(MonarchQuarters.width))
        }
        let first = task[1] * share
        k.loop((batch - first).min(share)) { step in
          func at(_ half: Int) -> [Index] { [first + step, row, Index(half * side)] }
          // Halves of tiles come one by one, so that all of them can take turns with the same slots.
          func bring(_ tensor: TensorParameter, _ half: Int, _ use: (Tile) -> Void) {
            k.pipeline(
              steps: 1, stages: stages,
              load: { _ in
                [
                  k.load(
                    tensor, at: at(half), rows: side, columns: side, validRows: Index(side),
                    validColumns: Index(side))
                ]
              }, compute: { _, tiles in use(tiles[0]) })
          }
          var turned: [Pair] = []
          for half in 0..<2 { bring(input, half) { turned += tile.turned($0, half: half) } }
          let factors = tile.folded(turned)
          let quarters = (0..<4).map { quarter in
            let product = filter.factor(
              tile.spectrum(factors[quarter], quarter: quarter), quarter: quarter, type: shape.type,
              conjugated: shape.isConjugated)
            return tile.back(product, quarter: quarter)
          }
          let joined = tile.joined(quarters)
          for half in 0..<2 {
            let y = tile.real(joined, half: half)
            for (gate, output) in zip(after, outputs) {
              bring(gate, half) { k.store(k.map(.multiply, y, $0), to: output, at: at(half)) }
            }
          }
        }
      }
    }
  }
}
