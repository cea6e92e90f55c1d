/// A place in a picture: x to the right, y down, a pixel being a square of side 1 whose corner has whole numbers.
package struct Point: Sendable, Equatable {
  /// From the left edge.
  package var x: Double
  /// From the upper edge.
  package var y: Double

  /// The place so far away in a direction.
  func moved(_ distance: Double, _ direction: Direction) -> Point {
    Point(x: x + distance * direction.cosine, y: y + distance * direction.sine)
  }

  /// The square of the distance to another place.
  package func squaredDistance(to other: Point) -> Double {
    (x - other.x) * (x - other.x) + (y - other.y) * (y - other.y)
  }
}

/// An angle in 0..<2π with its sine and cosine.
struct Direction {
  /// The angle, clockwise from the right, as y points down.
  let angle: Double
  /// Its sine.
  let sine: Double
  /// Its cosine.
  let cosine: Double

  /// The direction of an angle.
  init(angle: Double) {
    (self.angle, sine, cosine) = (angle, Elementary.sine(angle), Elementary.cosine(angle))
  }

  /// The angle to another direction, in 0…π.
  func turn(to other: Double) -> Double {
    let difference = (angle - other).magnitude
    return min(difference, 2 * Double.pi - difference)
  }
}

/// A dash of a snake.
package struct Paddle: Sendable, Equatable {
  /// The end that is nearer to the snake's origin.
  package var start: Point
  /// The other end.
  package var end: Point

  /// The square of the distance from the dash's axis to a place.
  package func squaredDistance(to point: Point) -> Double {
    let (dx, dy) = (end.x - start.x, end.y - start.y)
    let along = ((point.x - start.x) * dx + (point.y - start.y) * dy) / (dx * dx + dy * dy)
    let share = min(max(along, 0), 1)
    return point.squaredDistance(to: Point(x: start.x + share * dx, y: start.y + share * dy))
  }

  /// Whether the axes of two dashes come nearer than a distance.
  package func isNearer(than distance: Double, to other: Paddle) -> Bool {
    let bound = distance * distance
    return squaredDistance(to: other.start) < bound || squaredDistance(to: other.end) < bound
      || other.squaredDistance(to: start) < bound || other.squaredDistance(to: end) < bound || crosses(other)
  }

  private func crosses(_ other: Paddle) -> Bool {
    side(of: other.start) * side(of: other.end) < 0 && other.side(of: start) * other.side(of: end) < 0
  }

  /// Above 0 on one side of the line through the dash, below 0 on the other.
  private func side(of point: Point) -> Double {
    (end.x - start.x) * (point.y - start.y) - (end.y - start.y) * (point.x - start.x)
  }
}
