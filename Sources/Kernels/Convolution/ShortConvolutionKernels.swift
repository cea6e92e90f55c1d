internal import Memory
public import Tiles

/// The forward kernels. Floor: x read and y written once over the memory bandwidth.
extension ShortConvolutionShape {
  /// y from x `[B, H, L]` or `[B, L, H]`. Arguments: x, filter `[H, K]`, bias `[H]` where there is one, y.
  ///
  /// A tile is read K times, shifted by one position each time: once from memory, then from the nearest cache.
  public func forward() throws(TileError) -> Kernel {
    try Kernel("short_convolution_\(title)") { k in
      let sides = SignalSides(k, self)
      let x = k.input("x", type, sides.extents)
      let filter = ChannelFilter(k, self, sides.channels)
      let y = k.output("y", type, sides.extents)
      let block = SignalBlock.forward(self)
      k.grid(block.grid(sides)) { task in
        let place = block.place(task)
        let taps = filter.taps(k, place, block)
        let windows = (0..<width).map { block.window(k, x, sides, place, offset: $0 - before) }
        k.store(
          activated(convolved(windows, taps, k), k), to: y, at: block.origin(place), rowAxis: block.rowAxis,
          columnAxis: block.columnAxis)
      }
    }
  }

  /// y `[B, H]` at one more position from x `[B, H]` there, of causal convolutions.
  ///
  /// Arguments: x, filter, bias where there is one, the state `[B, K − 1, H]`, y. The state holds the K − 1 numbers before,
  /// oldest first, and is brought up to date; it starts with zeros. Equal to the whole sequence's results to the bit. y may be x.
  public func step() throws(TileError) -> Kernel {
    try Kernel("short_convolution_step_\(title)") { k in
      let sides = SignalSides(batch: k.extent("B"), channels: k.extent("H"), length: 1, isLast: true)
      let x = k.input("x", type, [sides.batch, sides.channels])
      let filter = ChannelFilter(k, self, sides.channels)
      let state = k.update("state", type, [sides.batch, Index(stateLength), sides.channels])
      let y = k.output("y", type, [sides.batch, sides.channels])
      // Rows are sequences here.
      let block = SignalBlock(rows: 8, columns: width > 8 ? 128 : 256, isLast: true)
      k.grid([sides.batch.ceilDiv(8), sides.channels.ceilDiv(Index(block.columns))]) { task in
        let place = SignalPlace(batch: task[0] * 8, channel: task[1] * Index(block.columns), time: 0)
        let taps = filter.taps(k, place, block)
        var windows = (0..<stateLength).map {
          k.load(
            state, at: [place.batch, Index($0), place.channel], rows: block.rows, columns: block.columns,
            rowAxis: 0)
        }
        windows.append(
          k.load(x, at: [place.batch, place.channel], rows: block.rows, columns: block.columns))
        // First, since y may be x: it is read where it lies.
        for number in 0..<stateLength {
          k.store(
            windows[number + 1], to: state, at: [place.batch, Index(number), place.channel], rowAxis: 0)
        }
        k.store(activated(convolved(windows, taps, k), k), to: y, at: [place.batch, place.channel])
      }
    }
  }

  /// The state `[B, K − 1, H]` after a sequence: its last K − 1 numbers, oldest first, after zeros where it is shorter.
  ///
  /// Arguments: x, state.
  public func lastState() throws(TileError) -> Kernel {
    try Kernel("short_convolution_state_\(title)") { k in
      let sides = SignalSides(k, self)
      let x = k.input("x", type, sides.extents)
      let state = k.output("state", type, [sides.batch, Index(stateLength), sides.channels])
      let channels = 64
      k.grid([sides.batch, sides.channels.ceilDiv(Index(channels))]) { task in
        let (channel, first) = (task[1] * Index(channels), sides.length - Index(stateLength))
        let tile =
          isLast
          ? k.load(
            x, at: [task[0], first, channel], rows: stateLength, columns: channels, rowAxis: 1, columnAxis: 2,
            paddedAxis: 1)
          : k.load(
            x, at: [task[0], channel, first], rows: channels, columns: stateLength, rowAxis: 1, columnAxis: 2,
            paddedAxis: 2)
        k.store(
          tile, to: state, at: [task[0], 0, channel], rowAxis: isLast ? 1 : 2, columnAxis: isLast ? 2 : 1)
      }
    }
  }

  /// The sum before the activation: one chain of fused multiply-adds from the bias on, oldest number first, so that
  /// a step and a whole sequence round alike.
  func convolved(_ windows: [Tile], _ taps: (weights: [Tile], bias: Tile?), _ k: Recorder) -> Tile {
    var sum = taps.bias
    for (window, weight) in zip(windows, taps.weights) {
      sum = sum.map { k.map(.fma, window, weight, $0) } ?? k.map(.multiply, window, weight)
    }
    return sum ?? windows[0]
  }

  private func activated(_ sum: Tile, _ k: Recorder) -> Tile {
    appliesSiLU ? Activation.silu.apply(to: sum, k) : sum
  }
}
