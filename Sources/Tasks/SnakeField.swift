/// The dashes that lie in a picture, and snakes that grow between them.
struct SnakeField {
  /// A snake that grows.
  struct Snake {
    /// From the origin on.
    var paddles: [Paddle]
    /// Where the last dash points.
    var direction: Direction
  }

  private let settings: PathfinderSettings
  private let margin: Double
  /// Axes of dashes of different snakes are at least so far apart: half a dash's width and the margin on both sides.
  private let clearance: Double
  /// All dashes, in the order they were put down.
  private var paddles: [Paddle] = []
  /// Where a dash may point, and sums of odds up to each: for one dash, in memory of all.
  private var choices: (directions: [Direction], sums: [Double]) = ([], [])

  /// An empty picture.
  init(_ settings: PathfinderSettings, margin: Double) {
    (self.settings, self.margin) = (settings, margin)
    clearance = 2 * margin + settings.thickness
  }

  /// How often a dash may be drawn.
  private static let tries = 3
  /// How often a short snake may be begun.
  private static let distractorTries = 5
  /// How many places a short snake's first dash may try.
  private static let seedTries = 32

  /// The two long snakes, whole; nil when they have no room.
  mutating func growTargets(using generator: inout some RandomNumberGenerator) -> [Snake]? {
    paddles.removeAll(keepingCapacity: true)
    let border = 2 * settings.seedDistance
    let first = Point(
      x: border + generator.unit() * (Double(settings.size) - 2 * border),
      y: border + generator.unit() * (Double(settings.size) - 2 * border))
    guard var one = begin(at: first, using: &generator) else { return nil }
    for _ in 0..<Self.tries {
      let bearing = Direction(angle: generator.angle())
      guard var two = begin(at: first.moved(settings.seedDistance, bearing), using: &generator) else {
        continue
      }
      for _ in 1..<settings.contourLength {
        guard extend(&one, using: &generator), extend(&two, using: &generator) else { return nil }
      }
      return [one, two]
    }
    return nil
  }

  /// A short snake; nil when no room was found.
  mutating func growDistractor(using generator: inout some RandomNumberGenerator) -> Snake? {
    let room = Double(settings.size) - 2 * settings.padding
    let before = paddles.count
    for _ in 0..<Self.distractorTries {
      for _ in 0..<Self.seedTries {
        let place = Point(
          x: settings.padding + generator.unit() * room, y: settings.padding + generator.unit() * room)
        guard var snake = begin(at: place, using: &generator) else { continue }
        var isWhole = true
        for _ in 1..<settings.distractorLength where isWhole { isWhole = extend(&snake, using: &generator) }
        if isWhole { return snake }
        paddles.removeSubrange(before...)
        break
      }
    }
    return nil
  }

  /// A snake of one dash from a place in a random direction; nil when it has no room.
  private mutating func begin(at start: Point, using generator: inout some RandomNumberGenerator) -> Snake? {
    let direction = Direction(angle: generator.angle())
    let paddle = Paddle(start: start, end: start.moved(settings.paddleLength, direction))
    guard isFree(paddle, besides: nil) else { return nil }
    paddles.append(paddle)
    return Snake(paddles: [paddle], direction: direction)
  }

  /// Adds a dash to a snake; false when it has no room.
  ///
  /// The next dash ends on a circle around the place one margin behind the snake's end, and begins one margin from that
  /// place, so that between two dashes of a straight snake there are two margins.
  private mutating func extend(_ snake: inout Snake, using generator: inout some RandomNumberGenerator)
    -> Bool
  {
    guard let last = snake.paddles.last else { return false }
    let radius = settings.paddleLength + margin
    let pivot = last.end.moved(margin, snake.direction)
    // An end for every pixel of the circle's length, unless that is finer than anybody sees.
    let ends = min(Int((2 * Double.pi * radius).rounded(.up)), 512)
    let first = generator.unit()
    choices.directions.removeAll(keepingCapacity: true)
    choices.sums.removeAll(keepingCapacity: true)
    for index in 0..<ends {
      let angle = 2 * Double.pi * (Double(index) + first) / Double(ends)
      let turn = snake.direction.turn(to: angle) * settings.continuity
      guard turn < Double.pi / 2 else { continue }
      let direction = Direction(angle: angle)
      guard isFree(pivot.moved(radius, direction), besides: last) else { continue }
      let weight = Elementary.cosine(turn)
      choices.directions.append(direction)
      choices.sums.append((choices.sums.last ?? 0) + weight * weight)
    }
    guard let total = choices.sums.last, total > 1e-4 else { return false }
    for _ in 0..<Self.tries {
      let mark = generator.unit() * total
      let place = choices.sums.firstIndex { $0 > mark } ?? choices.sums.count - 1
      let direction = choices.directions[place]
      let paddle = Paddle(start: pivot.moved(margin, direction), end: pivot.moved(radius, direction))
      guard isFree(paddle, besides: last) else { continue }
      paddles.append(paddle)
      snake.paddles.append(paddle)
      snake.direction = direction
      return true
    }
    return false
  }

  private func isInside(_ point: Point) -> Bool {
    let inside = settings.padding...Double(settings.size) - settings.padding
    return inside.contains(point.x) && inside.contains(point.y)
  }

  /// Whether a dash may end there.
  private func isFree(_ point: Point, besides last: Paddle) -> Bool {
    guard isInside(point) else { return false }
    let bound = (clearance - settings.thickness / 2) * (clearance - settings.thickness / 2)
    // No part of a dash that begins farther away comes near.
    let far = settings.paddleLength + clearance
    return !paddles.contains {
      $0.start.squaredDistance(to: point) < far * far && $0.squaredDistance(to: point) < bound && $0 != last
    }
  }

  /// Whether a dash may lie there; `last` is what it goes on from.
  private func isFree(_ paddle: Paddle, besides last: Paddle?) -> Bool {
    guard isInside(paddle.start), isInside(paddle.end) else { return false }
    // All dashes have one length: starts that are farther apart than two of them and the clearance cannot come near.
    let far = 2 * settings.paddleLength + clearance
    return !paddles.contains {
      $0.start.squaredDistance(to: paddle.start) < far * far && $0.isNearer(than: clearance, to: paddle)
        && $0 != last
    }
  }
}

extension RandomNumberGenerator {
  /// An angle in 0..<2π.
  fileprivate mutating func angle() -> Double { 2 * Double.pi * unit() }
}
