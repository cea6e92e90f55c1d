internal import Memory
public import Tiles

/// Gradients: one pass over x and dy gives that of the input and parts of those of filter and bias.
///
/// dx[t] = Σ over j of w[j] · g[t + before − j], dw[j] = Σ over t of g[t] · x[t + j − before] and db = Σ g, where g is dy, or
/// dy · silu′(z) with the sums z computed again. Parts are float32 sums over segments of the batch's tiles in order, and
/// added up in order, so that a gradient has the same bits in every run and with any number of threads. Floor: x and dy
/// read and dx written once over the memory bandwidth; with SiLU g is written and read between, as float32.
extension ShortConvolutionShape {
  /// Numbers a channel that gradients of filter and bias have.
  var sums: Int { width + (hasBias ? 1 : 0) }

  /// Shape of the parts that ``backward()`` writes, for sequences of that many numbers.
  ///
  /// - Returns: `[segments, rows, K or K + 1, H]`, float32.
  public func partsShape(batch: Int, channels: Int, length: Int) -> [Int] {
    let block = SignalBlock.gradients(self)
    let blocks = (channels + block.channels - 1) / block.channels
    let tiles = batch * ((length + block.times - 1) / block.times)
    // Enough tasks for the largest machines, whatever the one at hand: sums depend on how many there are.
    let wanted = max(1, min(tiles, 1024 / max(1, blocks)))
    let steps = max(1, (tiles + wanted - 1) / wanted)
    return [max(1, (tiles + steps - 1) / steps), isLast ? block.rows : 1, sums, channels]
  }

  /// The gradient of x, or with SiLU that of the sums before it, and the parts of those of filter and bias.
  ///
  /// Arguments: x, filter, bias (where there is one and SiLU), dy, then dx as x (with SiLU g as x, float32), parts as
  /// ``partsShape(batch:channels:length:)`` says.
  public func backward() throws(TileError) -> Kernel {
    try Kernel("short_convolution_backward_\(title)") { k in
      let sides = SignalSides(k, self)
      let x = k.input("x", type, sides.extents)
      let filter = ChannelFilter(k, self, sides.channels, hasBias: hasBias && appliesSiLU)
      let dy = k.input("dy", type, sides.extents)
      let result = k.output(appliesSiLU ? "g" : "dx", appliesSiLU ? .float32 : type, sides.extents)
      let segments = k.extent("segments")
      let block = SignalBlock.gradients(self)
      let parts = k.output(
        "parts", .float32, [segments, Index(isLast ? block.rows : 1), Index(sums), sides.channels])
      k.grid([sides.channels.ceilDiv(Index(block.channels)), segments]) { task in
        let (channel, segment) = (task[0] * Index(block.channels), task[1])
        let taps = filter.taps(k, SignalPlace(batch: 0, channel: channel, time: 0), block)
        let left = (sides.channels - channel).min(Index(block.channels))
        let totals = (0..<sums).map { _ in
          isLast
            ? k.filled(
              0, rows: block.rows, columns: block.columns, validRows: Index(block.rows), validColumns: left)
            : k.filled(0, rows: block.rows, columns: 1, validRows: left, validColumns: 1)
        }
        let across = sides.length.ceilDiv(Index(block.times))
        let tiles = sides.batch * across
        let steps = tiles.ceilDiv(segments)
        k.loop((tiles - segment * steps).min(steps).max(0)) { step in
          let tile = segment * steps + step
          let place = SignalPlace(
            batch: tile / across, channel: channel, time: tile % across * Index(block.times))
          func window(_ tensor: TensorParameter, _ offset: Int) -> Tile {
            block.window(k, tensor, sides, place, offset: offset, isFull: isLast)
          }
          func inputs() -> [Tile] { (0..<width).map { window(x, $0 - before) } }
          func store(_ tile: Tile) {
            k.store(
              tile, to: result, at: block.origin(place), rowAxis: block.rowAxis, columnAxis: block.columnAxis)
          }
          let windows: [Tile]
          let gradient: Tile
          // The store keeps the two chains apart: as one they would hold twice as many windows at a time.
          if appliesSiLU {
            windows = inputs()
            gradient = k.map(.multiply, window(dy, 0), siluSlope(convolved(windows, taps, k), k))
            store(gradient)
          } else {
            let shifted = (0..<width).map { window(dy, before - $0) }
            gradient = shifted[before]
            store(convolved(shifted, (taps.weights, nil), k))
            windows = inputs()
          }
          for (number, total) in totals.enumerated() {
            sum(gradient, number < width ? windows[number] : nil, into: total, k)
          }
        }
        for (number, total) in totals.enumerated() {
          k.store(
            total, to: parts, at: [segment, 0, Index(number), channel], rowAxis: isLast ? 1 : 3,
            columnAxis: isLast ? 3 : nil)
        }
      }
    }
  }

  /// dx from the gradient g of the sums before SiLU, float32. Arguments: g, filter, dx.
  public func inputGradient() throws(TileError) -> Kernel {
    try Kernel("short_convolution_input_gradient_\(title)") { k in
      let sides = SignalSides(k, self)
      let g = k.input("g", .float32, sides.extents)
      let filter = ChannelFilter(k, self, sides.channels, hasBias: false)
      let dx = k.output("dx", type, sides.extents)
      let block = SignalBlock.forward(self)
      k.grid(block.grid(sides)) { task in
        let place = block.place(task)
        let taps = filter.taps(k, place, block)
        let windows = (0..<width).map { block.window(k, g, sides, place, offset: before - $0) }
        k.store(
          convolved(windows, taps, k), to: dx, at: block.origin(place), rowAxis: block.rowAxis,
          columnAxis: block.columnAxis)
      }
    }
  }

  /// Gradients of filter and bias from their parts. Arguments: parts, dw float32 `[H, K]`, db float32 `[H]` where there is
  /// a bias.
  public func filterGradient() throws(TileError) -> Kernel {
    try Kernel("short_convolution_filter_gradient_\(title)") { k in
      let (segments, channels) = (k.extent("segments"), k.extent("H"))
      let rows = isLast ? SignalBlock.gradients(self).rows : 1
      let parts = k.input("parts", .float32, [segments, Index(rows), Index(sums), channels])
      let dw = k.output("dw", .float32, [channels, Index(width)])
      let db = hasBias ? k.output("db", .float32, [channels]) : nil
      let columns = 64
      k.grid([channels.ceilDiv(Index(columns))]) { task in
        let channel = task[0] * Index(columns)
        func filled(_ rows: Int) -> Tile {
          k.filled(
            0, rows: rows, columns: columns, validRows: Index(rows),
            validColumns: (channels - channel).min(Index(columns)))
        }
        let (weights, bias) = (filled(width), db.map { _ in filled(1) })
        k.loop(segments * Index(rows)) { step in
          func add(_ first: Int, to total: Tile) {
            let part = k.load(
              parts, at: [step / Index(rows), step % Index(rows), Index(first), channel], rows: total.rows,
              columns: columns, validRows: Index(total.rows))
            k.assign(total, k.map(.add, total, part))
          }
          add(0, to: weights)
          if let bias { add(width, to: bias) }
        }
        k.store(weights, to: dw, at: [channel, 0], rowAxis: 1, columnAxis: 0)
        if let db, let bias { k.store(bias, to: db, at: [channel], columnAxis: 0) }
      }
    }
  }

  /// Adds Σ gradient · x along the positions of a tile; with channels last, each row to a sum of its own.
  private func sum(_ gradient: Tile, _ x: Tile?, into total: Tile, _ k: Recorder) {
    if isLast {
      k.assign(total, x.map { k.map(.fma, gradient, $0, total) } ?? k.map(.add, gradient, total))
    } else {
      k.rowSum(x.map { k.map(.multiply, gradient, $0) } ?? gradient, addingTo: total)
    }
  }

  /// silu′(z) = s · (1 + z · (1 − s)) with s = sigmoid(z).
  private func siluSlope(_ z: Tile, _ k: Recorder) -> Tile {
    let s = k.map(.sigmoid, z)
    return k.map(.multiply, s, k.map(.fma, z, k.map(.subtract, 1.0, s), 1.0))
  }
}
