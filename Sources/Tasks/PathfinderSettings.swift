/// How pictures of ``Pathfinder`` are drawn; all lengths are in pixels.
public struct PathfinderSettings: Sendable, Equatable {
  /// Pixels of a side.
  public var size: Int
  /// How far from the border snakes stay.
  public var padding: Double
  /// How far apart the two long snakes start.
  public var seedDistance: Double
  /// Paddles of a long snake.
  public var contourLength: Int
  /// Paddles of a short snake.
  public var distractorLength: Int
  /// How many short snakes are tried; one that finds no room is left out.
  public var distractors: Int
  /// Length of a paddle.
  public var paddleLength: Double
  /// Width of a paddle.
  public var thickness: Double
  /// Half the gap between the paddles of a snake, and how far around a paddle other snakes stay away. Each picture has
  /// one of these.
  public var margins: [Double]
  /// How straight snakes are: they turn by at most π / 2 divided by this.
  public var continuity: Double
  /// Radius of the discs on the two ends.
  public var markerRadius: Double
  /// How bright a pixel that a paddle covers is beside a disc; above 1 it makes thin lines brighter.
  public var contrast: Double

  /// The settings of Long Range Arena's hard pictures (14 paddles) for sizes 32, 64, 128 and 256.
  ///
  /// Any other size has the settings of the largest of these that is not larger (of 32 where all are) with all lengths
  /// scaled: 512 has those of 256 doubled, as no settings were published for it.
  public init(size: Int) {
    switch size {
    // A snake contrast of 2 times a paddle contrast of 0.75.
    case 32:
      self.init(
        size: 32, padding: 1, seed: 7, distractors: 20 / 4, paddle: 2, thickness: 0.5, margins: [1],
        continuity: 1,
        marker: 1.5, contrast: 2 * 0.75)
    case 64:
      self.init(
        size: 64, padding: 1, seed: 12, distractors: 22 / 4, paddle: 5, thickness: 1, margins: [1],
        continuity: 1.8,
        marker: 2.5, contrast: 0.8)
    case 128:
      self.init(
        size: 128, padding: 1, seed: 20, distractors: 35 / 4, paddle: 5, thickness: 1.5, margins: [2, 3],
        continuity: 1.8, marker: 3, contrast: 0.9)
    case 256:
      self.init(
        size: 256, padding: 22, seed: 27, distractors: 30 / 4, paddle: 5, thickness: 2, margins: [3],
        continuity: 1.8, marker: 5, contrast: 1)
    default:
      let listed = [256, 128, 64].first { $0 < size } ?? 32
      self = PathfinderSettings(size: listed).scaled(to: size)
    }
  }

  private init(
    size: Int, padding: Double, seed: Double, distractors: Int, paddle: Double, thickness: Double,
    margins: [Double],
    continuity: Double, marker: Double, contrast: Double
  ) {
    (self.size, self.padding, seedDistance, self.distractors) = (size, padding, seed, distractors)
    (contourLength, distractorLength) = (14, 14 / 3)
    (paddleLength, self.thickness, self.margins, self.continuity) = (paddle, thickness, margins, continuity)
    (markerRadius, self.contrast) = (marker, contrast)
  }

  /// The same picture larger or smaller.
  private func scaled(to size: Int) -> PathfinderSettings {
    let factor = Double(size) / Double(self.size)
    var scaled = self
    scaled.size = size
    for length in [\PathfinderSettings.padding, \.seedDistance, \.paddleLength, \.thickness, \.markerRadius] {
      scaled[keyPath: length] *= factor
    }
    scaled.margins = margins.map { $0 * factor }
    return scaled
  }

  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` for the first setting that no picture can have.
  func validate() throws(TaskError) {
    let task = "Pathfinder"
    try TaskError.require("the size", size, in: 8...1 << 14, of: task)
    try TaskError.require("the number of paddles of a long snake", contourLength, in: 2...1 << 12, of: task)
    try TaskError.require(
      "the number of paddles of a short snake", distractorLength, in: 1...1 << 12, of: task)
    try TaskError.require("the number of short snakes", distractors, in: 0...1 << 12, of: task)
    let side = Double(size)
    let lengths = [
      ("the paddle length", paddleLength, 1), ("the thickness", thickness, 0.1),
      ("the marker radius", markerRadius, 0.1),
      ("the padding", padding, 0),
    ]
    for (name, value, least) in lengths { try TaskError.require(name, value, in: least...side / 2, of: task) }
    for margin in margins { try TaskError.require("a margin", margin, in: 0...side / 2, of: task) }
    if margins.isEmpty {
      throw .parameter(task: task, name: "the number of margins", value: "0", rule: "at least 1")
    }
    try TaskError.require(
      "the seed distance", seedDistance, in: 0...side / 4, of: task,
      because: "the first snake starts twice as far from the border")
    try TaskError.require("the continuity", continuity, in: 0.01...100, of: task)
    try TaskError.require("the contrast", contrast, in: 0.01...100, of: task)
  }
}
