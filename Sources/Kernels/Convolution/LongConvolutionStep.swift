public import Memory
public import Tiles

/// One position of long convolutions for each sequence, by the sum as it is written: x = gate · u, y = (Σ_l k[l] x_{p−l} + D x) · gate + term.
///
/// All inputs so far are kept, and where the position is, is data. The past is cut into spans, so that few sequences keep a whole GPU
/// busy: ``parts(_:)`` sums each, ``result(_:)`` adds them up. Floor: inputs so far, p·bytes of one·B·D, over the memory bandwidth.
public enum LongConvolutionStep {
  /// What both kernels of a convolution take.
  public struct Input: Sendable, Hashable {
    /// Whether there is a gate.
    public var isGated: Bool
    /// Type of u and its gate.
    public var type: ElementType
    /// What inputs are kept as: float32, bfloat16 or float16.
    public var kept: ElementType

    /// Inputs of a convolution.
    public init(isGated: Bool, type: ElementType = .float32, kept: ElementType) {
      (self.isGated, self.type, self.kept) = (isGated, type, kept)
    }

    var title: String {
      "\(type == .float32 ? "" : "\(type.rawValue)_")\(kept.rawValue)\(isGated ? "_gated" : "")"
    }

    /// Parameters: the input and where there is one its gate, `[B, D]` each.
    fileprivate func parameters(_ k: Recorder, _ batch: Index, _ channels: Index) -> [TensorParameter] {
      (["u"] + (isGated ? ["gate"] : [])).map { k.input($0, type, [batch, channels]) }
    }

    /// The product, as it is kept: what is kept is what counts, now as later.
    fileprivate func product(
      _ k: Recorder, _ load: (TensorParameter) -> Tile, _ parameters: [TensorParameter]
    )
      -> Tile
    {
      let factors = parameters.map(load)
      let whole = factors.count > 1 ? k.map(.multiply, factors[0], factors[1]) : factors[0]
      return k.map(.multiply, k.cast(whole, to: kept), 1.0)
    }
  }

  /// What is made of the sum.
  public struct Result: Sendable, Hashable {
    /// The convolution's input.
    public var input: Input
    /// Whether it is multiplied by a gate.
    public var isGated = false
    /// Whether something is added at last.
    public var addsTerm = false
    /// Type of the result.
    public var output: ElementType

    /// A sum of that type.
    public init(_ input: Input, output: ElementType) { (self.input, self.output) = (input, output) }
  }

  /// Positions of a part.
  public static let span = 512
  /// Channels of a task that sums.
  private static let rows = 8
  /// Channels of a task that adds up.
  private static let columns = 128

  /// Parts that so many positions may have.
  public static func parts(of capacity: Int) -> Int { (capacity + span - 1) / span }

  /// Arguments: positions int32 `[B]`; u, where there is one the gate, `[B, D]`; inputs so far `[B, D, C]`, which are read, and
  /// again, where x is written; the filter's last tap first, float32 `[D, C]`: tap l at C − 1 − l; parts float32 `[B, spans, D]`, of which
  /// those that have begun are written, Σ k[l] x_{p−l} over l > 0 that fall into the span.
  ///
  /// The place that is written is not read, so both views of the inputs may be one memory.
  public static func parts(_ input: Input) throws(TileError) -> Kernel {
    try Kernel("long_convolution_step_parts_\(input.title)") { k in
      let (batch, channels, capacity) = (k.extent("B"), k.extent("D"), k.extent("C"))
      let spans = k.extent("spans")
      let positions = k.input("positions", .int32, [batch])
      let factors = input.parameters(k, batch, channels)
      let history = k.input("history", input.kept, [batch, channels, capacity])
      let written = k.update("written", input.kept, [batch, channels, capacity])
      let filter = k.input("filter", .float32, [channels, capacity])
      let parts = k.update("parts", .float32, [batch, spans, channels])
      k.grid([channels.ceilDiv(Index(rows)), spans, batch], schedule: .early) { task in
        let (channel, first, sequence) = (task[0] * Index(rows), task[1] * Index(span), task[2])
        let position = Index.element(tensor: positions.number, at: [sequence])
        k.when(first, lessThan: position + 1) {
          let seen = (position - first).min(Index(span))
          let past = k.load(
            history, at: [sequence, channel, first], rows: rows, columns: span, validColumns: seen,
            as: .float32)
          let taps = k.load(
            filter, at: [channel, capacity - 1 - position + first], rows: rows, columns: span,
            validColumns: seen)
          k.store(
            k.rowSum(k.map(.multiply, past, taps)), to: parts, at: [sequence, task[1], channel], rowAxis: 2)
          k.when(position, lessThan: first + Index(span)) {
            let x = input.product(
              k, { k.load($0, at: [sequence, channel], rows: rows, rowAxis: 1, as: .float32) }, factors)
            k.store(x, to: written, at: [sequence, channel, position], rowAxis: 1)
          }
        }
      }
    }
  }

  /// Arguments: positions int32 `[B]`; u, where there is one its gate; newest float32 `[D]`, k[0] + D; the parts; where there are, the gate
  /// of the result and the term, float32 `[B, D]` each; y `[B, D]`.
  public static func result(_ shape: Result) throws(TileError) -> Kernel {
    let form = "\(shape.isGated ? "_times" : "")\(shape.addsTerm ? "_plus" : "")"
    let title = "\(shape.input.title)\(form)_\(shape.output.rawValue)"
    return try Kernel("long_convolution_step_\(title)") { k in
      let (batch, channels, spans) = (k.extent("B"), k.extent("D"), k.extent("spans"))
      let positions = k.input("positions", .int32, [batch])
      let factors = shape.input.parameters(k, batch, channels)
      let newest = k.input("newest", .float32, [channels])
      let parts = k.input("parts", .float32, [batch, spans, channels])
      func perChannel(_ name: String) -> TensorParameter { k.input(name, .float32, [batch, channels]) }
      let gate = shape.isGated ? perChannel("after") : nil
      let term = shape.addsTerm ? perChannel("term") : nil
      let y = k.output("y", shape.output, [batch, channels])
      k.grid([channels.ceilDiv(Index(columns)), batch], schedule: .early) { task in
        let (channel, sequence) = (task[0] * Index(columns), task[1])
        func load(_ tensor: TensorParameter) -> Tile {
          k.load(tensor, at: [sequence, channel], columns: columns, as: .float32)
        }
        let x = shape.input.product(k, load, factors)
        let sum = k.map(.multiply, x, k.load(newest, at: [channel], columns: columns))
        let position = Index.element(tensor: positions.number, at: [sequence])
        k.loop(position / Index(span) + 1) { part in
          k.assign(sum, k.map(.add, sum, k.load(parts, at: [sequence, part, channel], columns: columns)))
        }
        let gated = gate.map { k.map(.multiply, sum, load($0)) } ?? sum
        k.store(term.map { k.map(.add, gated, load($0)) } ?? gated, to: y, at: [sequence, channel])
      }
    }
  }
}
