internal import Memory
internal import Tiles

/// Extents of the sequences that a kernel works on.
struct SignalSides {
  var batch: Index
  var channels: Index
  var length: Index
  var isLast: Bool

  /// As the tensors have them.
  var extents: [Index] { isLast ? [batch, length, channels] : [batch, channels, length] }
}

extension SignalSides {
  /// Those that the arguments give.
  init(_ k: Recorder, _ shape: ShortConvolutionShape) {
    self.init(
      batch: k.extent("B"), channels: k.extent("H"), length: k.extent("L"), isLast: shape.isLast)
  }
}

/// Where a tile of sequences begins.
struct SignalPlace {
  var batch: Index
  var channel: Index
  var time: Index
}

/// How sequences are cut into tiles: channels by positions, or positions by channels, as they lie in memory.
struct SignalBlock {
  var rows: Int
  var columns: Int
  /// Whether columns are channels.
  var isLast: Bool

  /// Tiles of results. A tile and its weights go with the registers of a GPU's lanes and the nearest cache of a core.
  static func forward(_ shape: ShortConvolutionShape) -> SignalBlock {
    shape.isLast
      ? SignalBlock(rows: 32, columns: shape.width > 8 ? 128 : 256, isLast: true)
      : alongRows(isWide: shape.width <= 4)
  }

  /// Of positions beside each other as many as a lane's registers hold for every tap.
  private static func alongRows(isWide: Bool) -> SignalBlock {
    SignalBlock(rows: isWide ? 16 : 32, columns: isWide ? 512 : 256, isLast: false)
  }

  /// Tiles of gradients: with channels last there is a sum a tap for each of their numbers.
  static func gradients(_ shape: ShortConvolutionShape) -> SignalBlock {
    shape.isLast
      ? SignalBlock(rows: 16, columns: 64, isLast: true)
      : alongRows(isWide: shape.width <= 4 && !shape.appliesSiLU)
  }

  var channels: Int { isLast ? columns : rows }
  var times: Int { isLast ? rows : columns }
  var rowAxis: Int { 1 }
  var columnAxis: Int { 2 }

  /// Tasks in the order in which tiles lie in memory.
  func grid(_ sides: SignalSides) -> [Index] {
    let (channels, times) = (
      sides.channels.ceilDiv(Index(channels)), sides.length.ceilDiv(Index(times))
    )
    return isLast ? [sides.batch, times, channels] : [sides.batch, channels, times]
  }

  func place(_ task: [Index]) -> SignalPlace {
    SignalPlace(
      batch: task[0], channel: task[isLast ? 2 : 1] * Index(channels),
      time: task[isLast ? 1 : 2] * Index(times))
  }

  func origin(_ place: SignalPlace, offset: Int = 0) -> [Index] {
    let time = place.time + Index(offset)
    return isLast ? [place.batch, time, place.channel] : [place.batch, place.channel, time]
  }

  /// The tile at `place`, shifted along the sequence; beyond its ends there are zeros.
  ///
  /// - Parameter isFull: whether what lies behind the sequence's end is valid, as zeros, too.
  func window(
    _ k: Recorder, _ x: TensorParameter, _ sides: SignalSides, _ place: SignalPlace, offset: Int,
    isFull: Bool = false
  ) -> Tile {
    let left = isFull ? nil : sides.length - place.time
    return k.load(
      x, at: origin(place, offset: offset), rows: rows, columns: columns, rowAxis: rowAxis,
      columnAxis: columnAxis, validRows: isLast ? left : nil, validColumns: isLast ? nil : left,
      paddedAxis: isLast ? rowAxis : columnAxis)
  }
}

/// Filter and bias of a kernel.
struct ChannelFilter {
  let weights: TensorParameter
  let bias: TensorParameter?

  init(_ k: Recorder, _ shape: ShortConvolutionShape, _ channels: Index, hasBias: Bool? = nil) {
    weights = k.input("filter", shape.filterType, [channels, Index(shape.width)])
    bias = hasBias ?? shape.hasBias ? k.input("bias", shape.filterType, [channels]) : nil
  }

  /// A number a channel for each tap, oldest first, and the bias.
  func taps(_ k: Recorder, _ place: SignalPlace, _ block: SignalBlock) -> (weights: [Tile], bias: Tile?) {
    let count = weights.extents[1].constantValue ?? 0
    return (
      (0..<count).map { vector(k, weights, [place.channel, Index($0)], block) },
      bias.map { vector(k, $0, [place.channel], block) }
    )
  }

  private func vector(_ k: Recorder, _ tensor: TensorParameter, _ at: [Index], _ block: SignalBlock) -> Tile {
    guard block.isLast else {
      return k.load(tensor, at: at, rows: block.rows, columns: 1, rowAxis: 0, as: .float32)
    }
    let tile = k.load(tensor, at: at, columns: block.columns, columnAxis: 0, as: .float32)
    // Taps lie K apart: gathered once a task instead of once a row.
    return tensor.type == .float32 ? k.cast(tile, to: .float32) : tile
  }
}
