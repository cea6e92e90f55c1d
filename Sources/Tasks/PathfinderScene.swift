/// What lies where in a picture of ``Pathfinder``.
package struct PathfinderScene: Sendable, Equatable {
  /// Snakes from their origins to their ends; the first two are the long ones.
  package var snakes: [[Paddle]]
  /// Where the two discs are.
  package var markers: [Point]
  /// 1 when both discs are on one snake.
  package var label: Int
  /// The margin of the picture.
  package var margin: Double

  /// The grey values, row by row.
  func pixels(_ settings: PathfinderSettings) -> [Float] {
    var picture = Picture(size: settings.size)
    for paddle in snakes.joined() {
      picture.draw(paddle, thickness: settings.thickness, brightness: settings.contrast)
    }
    for marker in markers { picture.drawDisc(at: marker, radius: settings.markerRadius) }
    return picture.pixels
  }
}
