package import Memory
package import Tiles

/// ``MonarchFused`` for 8,192 points: a tile of 64 rows and 128 columns is one channel, and one group has it to itself; or for
/// 16,384, 128 rows that two groups share.
///
/// Two tasks of one group share a multiprocessor and wait for nothing of each other, so that one's elementwise steps run beside
/// the other's products. The spectrum stays in registers as float16 numbers over the largest of each row. Floor: as ``MonarchFused``'s, with 16
/// products of 64 by 64 by 64 a channel of 8,192 numbers, 48 of 16,384.
package enum MonarchBroad {
  private static let side = MonarchConstants.side
  private typealias Pair = MonarchTile.Pair

  /// What is fixed while recording.
  package struct Shape: Sendable, Hashable {
    /// bfloat16 or float16.
    package var type: ElementType
    /// Whether inputs are multiplied by a gate.
    package var isGatedBefore = false
    /// Gates by which results are multiplied, each for a tensor of its own; 0 for the results themselves.
    package var gatesAfter = 0
    /// Whether spectra are conjugated, which makes it the adjoint.
    package var isConjugated = false

    /// Rows of a channel, each of 128 numbers: 64 or 128.
    package var height = 64

    /// A convolution without gates of 8,192 numbers.
    package init(type: ElementType, isGatedBefore: Bool = false, gatesAfter: Int = 0) {
      (self.type, self.isGatedBefore, self.gatesAfter) = (type, isGatedBefore, gatesAfter)
    }

    var variant: String {
      "\(height > 64 ? "tall_" : "")\(isGatedBefore ? "before_" : "")\(gatesAfter > 0 ? "after\(gatesAfter)_" : "")\(isConjugated ? "adjoint_" : "")"
        + type.rawValue
    }
  }

  /// Halves of tiles that are brought ahead.
  private static func stages(_ shape: Shape) -> Int { shape.height == side ? 3 : 2 }

  /// What the kernel takes first.
  package static func constants(_ type: ElementType, height: Int) throws -> [Tensor] {
    try MonarchQuarters.constants(type, height: height)
  }

  /// A channel's filter in the registers of a task.
  private struct Filter {
    let k: Recorder
    /// Over ``scale``, in halves of registers.
    let quarters: [Pair]
    let scale: Tile

    /// - Parameters:
    ///   - isTall: whether two groups share 128 rows, and registers are the scarcer.
    ///   - load: a part, re or im, of a quarter.
    init(_ k: Recorder, isTall: Bool, load: (_ part: Int, _ quarter: Int) -> Tile) {
      self.k = k
      // Part after part, each with steps of its own: at once they would fill the registers.
      func largest(_ number: Int) -> Tile { k.rowMax(k.map(.abs, load(number % 2, number / 2))) }
      let scale = (1..<8).reduce(k.map(.max, largest(0), 0x1p-100)) { k.map(.max, $0, largest($1)) }
      quarters = (0..<4).map { quarter in
        let parts = (0..<2).map { part in
          let factor = k.map(.reciprocal, scale)
          return k.cast(k.map(.multiply, load(part, quarter), factor), to: .float16)
        }
        return Pair(re: parts[0], im: parts[1])
      }
      self.scale = scale
      if isTall { k.setAside(scale) }
      for quarter in quarters[2...] { for part in [quarter.re, quarter.im] { k.setAside(part) } }
    }

    /// The spectrum of a quarter of the result, rounded.
    func factor(_ x: Pair, quarter: Int, type: ElementType, conjugated: Bool) -> Pair {
      let product = MonarchTile.product(x, quarters[quarter], k, conjugated: conjugated)
      func rounded(_ x: Tile) -> Tile { k.cast(k.map(.multiply, x, scale), to: type) }
      return Pair(re: rounded(product.re), im: rounded(product.im))
    }
  }

  /// Arguments: ``constants(_:height:)``, spectra re and im float32 `[H · height, 4, 32]` as ``MonarchWideSpectrum`` leaves them, inputs
  /// `[B, H · height, 128]`, where there are, the gate before and the gates after of that shape, then results likewise, as many as gates
  /// after or one. Integer: how many rows of the batch a task visits.
  package static func kernel(_ shape: Shape) throws(TileError) -> Kernel {
    try Kernel("monarch_broad_\(shape.variant)") { k in
      let height = shape.height
      let (batch, rows, share) = (k.extent("B"), k.extent("R"), k.argument("share"))
      let constants = MonarchQuarters.parameters(k, shape.type, height: height)
      let filters = ["re", "im"].map {
        k.input("spectrum_\($0)", .float32, [rows, 4, Index(MonarchQuarters.width)])
      }
      let sizes = [batch, rows, Index(MonarchQuarters.columns)]
      func tensors(_ names: [String]) -> [TensorParameter] { names.map { k.input($0, shape.type, sizes) } }
      let inputs = tensors(shape.isGatedBefore ? ["u", "before"] : ["u"])
      let after = tensors((0..<shape.gatesAfter).map { "after\($0)" })
      let outputs = (0..<max(1, shape.gatesAfter)).map { k.output("y\($0)", shape.type, sizes) }
      var schedule = Kernel.Schedule(groups: height / side, tasksPerCore: 2 * side / height)
      schedule.bringsOperands = true
      schedule.reusesStages = true
      schedule.settlesFactors = true
      schedule.forgetsGroup = height > side && shape.isGatedBefore
      schedule.recomputesAddresses = true
      k.grid([rows / Index(height), batch.ceilDiv(share)], schedule: schedule) { task in
        let row = task[0] * Index(height)
        let tile = MonarchQuarters(k, shape.type, height: height, from: constants)
        let filter = Filter(k, isTall: height > side) { part, quarter in
          k.load(
            filters[part], at: [row, Index(quarter), 0], rows: height, columns: MonarchQuarters.width,
            rowAxis: 0, columnAxis: 2, validRows: Index(height), validColumns: Index(MonarchQuarters.width))
        }
        let first = task[1] * share
        k.loop((batch - first).min(share)) { step in
          func at(_ half: Int) -> [Index] { [first + step, row, Index(half * side)] }
          // Halves of tiles come one by one, so that all of them can take turns with the same slots.
          func bring(_ halves: [(TensorParameter, Int)], _ use: ([Tile]) -> Void) {
            k.pipeline(
              steps: 1, stages: stages(shape),
              load: { _ in
                halves.map {
                  k.load(
                    $0, at: at($1), rows: height, columns: side, validRows: Index(height),
                    validColumns: Index(side))
                }
              }, compute: { _, tiles in use(tiles) })
          }
          let turned = turned(tile, inputs, type: shape.type, k, bring)
          let factors = tile.folded(turned)
          func spectrum(_ quarter: Int) -> Pair { tile.spectrum(factors[quarter], quarter: quarter) }
          let quarters = (0..<4).map { quarter in
            let product = filter.factor(
              spectrum(quarter), quarter: quarter, type: shape.type, conjugated: shape.isConjugated)
            return tile.back(product, quarter: quarter)
          }
          let joined = tile.joined(quarters)
          for half in 0..<2 {
            let y = tile.real(joined, half: half)
            if after.isEmpty { k.store(y, to: outputs[0], at: at(half)) }
            for (gate, output) in zip(after, outputs) {
              bring([(gate, half)]) { k.store(k.map(.multiply, y, $0[0]), to: output, at: at(half)) }
            }
          }
        }
      }
    }
  }

  /// Rows of both halves of the input, which is multiplied by its gate where there is one.
  private static func turned(
    _ tile: MonarchQuarters, _ inputs: [TensorParameter], type: ElementType, _ k: Recorder,
    _ bring: ([(TensorParameter, Int)], ([Tile]) -> Void) -> Void
  ) -> [Pair] {
    var turned: [Pair] = []
    guard inputs.count > 1 else {
      for half in 0..<2 { bring([(inputs[0], half)]) { turned += tile.turned($0[0], half: half) } }
      return turned
    }
    let gated = (0..<2).compactMap { half in
      var (own, gated): (Tile?, Tile?)
      bring([(inputs[0], half)]) { own = k.cast($0[0], to: type) }
      bring([(inputs[1], half)]) { tiles in
        gated = own.map { k.cast(k.map(.multiply, $0, tiles[0]), to: type) }
      }
      return gated
    }
    return gated.enumerated().flatMap { tile.turned($1, half: $0) }
  }
}
