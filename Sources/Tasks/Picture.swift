/// A grey picture, 0 black and 1 white, row by row.
struct Picture {
  /// Pixels of a side.
  let size: Int
  /// `[size, size]`.
  private(set) var pixels: [Float]

  /// A black picture.
  init(size: Int) {
    self.size = size
    pixels = [Float](repeating: 0, count: size * size)
  }

  /// Draws a dash with square ends.
  ///
  /// A pixel is lit by how much of it the dash covers, computed as if the pixel's sides were parallel to the dash: exact
  /// for upright and level dashes, and of the same area for the others.
  mutating func draw(_ paddle: Paddle, thickness: Double, brightness: Double) {
    let (dx, dy) = (paddle.end.x - paddle.start.x, paddle.end.y - paddle.start.y)
    let length = (dx * dx + dy * dy).squareRoot()
    let reach = thickness / 2 + 1
    let columns = range(min(paddle.start.x, paddle.end.x) - reach, max(paddle.start.x, paddle.end.x) + reach)
    let rows = range(min(paddle.start.y, paddle.end.y) - reach, max(paddle.start.y, paddle.end.y) + reach)
    for row in rows {
      for column in columns {
        let (x, y) = (Double(column) + 0.5 - paddle.start.x, Double(row) + 0.5 - paddle.start.y)
        let along = Self.overlap(of: (x * dx + y * dy) / length, with: 0, length)
        let across = Self.overlap(of: (y * dx - x * dy) / length, with: -thickness / 2, thickness / 2)
        light(row, column, along * across * brightness)
      }
    }
  }

  /// Draws a white disc, whose edge fades over one pixel.
  mutating func drawDisc(at centre: Point, radius: Double) {
    for row in range(centre.y - radius - 1, centre.y + radius + 1) {
      for column in range(centre.x - radius - 1, centre.x + radius + 1) {
        let pixel = Point(x: Double(column) + 0.5, y: Double(row) + 0.5)
        light(row, column, radius + 0.5 - pixel.squaredDistance(to: centre).squareRoot())
      }
    }
  }

  /// How much of the stretch of length 1 around `middle` lies between two bounds.
  private static func overlap(of middle: Double, with lower: Double, _ upper: Double) -> Double {
    max(0, min(middle + 0.5, upper) - max(middle - 0.5, lower))
  }

  /// The pixels that touch a stretch, as far as the picture goes.
  private func range(_ lower: Double, _ upper: Double) -> Range<Int> {
    let first = min(max(Int(lower.rounded(.down)), 0), size)
    return first..<min(max(Int(upper.rounded(.up)), first), size)
  }

  /// Makes a pixel at least so bright; what is above 1 is 1.
  private mutating func light(_ row: Int, _ column: Int, _ value: Double) {
    let place = row * size + column
    pixels[place] = max(pixels[place], Float(min(max(value, 0), 1)))
  }
}
