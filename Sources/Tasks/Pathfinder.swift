package import Memory

/// Pathfinder: are the two discs at the ends of one dashed snake?
///
/// Two long snakes wind through the picture, and short ones between them. Label 1: discs on both ends of one long snake;
/// label 0: one on the origin of one, one on the end of the other. Each label has odds of one half, before anything is
/// drawn.
///
/// The rules are those of the published generator with its pictures' masks replaced by distances between dashes: dashes
/// lie at exact and not at whole coordinates, directions are any angle, the long snakes may not start in each other,
/// and pixels are lit by the area that a dash covers, so there is no scale to draw at and to shrink from. Its pictures
/// and ours are alike, not equal.
///
/// Linsley et al., “Learning long-range spatial dependencies with horizontal gated recurrent units”, 2018,
/// arXiv:1805.08315; sizes as in Tay et al., “Long Range Arena”, 2020, arXiv:2011.04006.
public struct Pathfinder: Sendable {
  /// How pictures are drawn.
  public let settings: PathfinderSettings

  /// Pictures drawn so.
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` for a setting that no picture can have.
  public init(_ settings: PathfinderSettings) throws(TaskError) {
    try settings.validate()
    self.settings = settings
  }

  /// Pictures of `size` × `size` pixels with the settings of Long Range Arena.
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` for a size below 8 or above 16384.
  public init(size: Int) throws(TaskError) {
    // Settings of a size that cannot be are not worth scaling.
    try TaskError.require("the size", size, in: 8...1 << 14, of: "Pathfinder")
    try self.init(PathfinderSettings(size: size))
  }

  /// `count` pictures with grey values in 0…1, row by row, and their labels.
  ///
  /// They are the same on every machine for a seed; fewer of them are the first of more. Two equal pictures are not
  /// looked for: all coordinates have 53 random bits. All cores draw: each picture has random numbers of its own.
  ///
  /// - Throws: ``TaskError/unreachable(task:goal:draws:remedy:)`` when the long snakes find no room, and
  ///   ``TaskError/parameter(task:name:value:rule:)`` for a count below 0 or beyond any memory.
  public func examples(_ count: Int, seed: UInt64) throws(TaskError) -> LabelledExamples<Float> {
    var draws = try draws(count, seed: seed)
    return try draws.next(count)
  }

  /// The same pictures, some at a time.
  ///
  /// - Parameter count: how many there will be in all.
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` for a count below 0 or beyond any memory.
  public func draws(_ count: Int, seed: UInt64) throws(TaskError) -> PathfinderDraws {
    try TaskError.requireCount(count, of: settings.size * settings.size, task: "Pathfinder")
    return PathfinderDraws(self, seed: seed)
  }

  /// How often the two long snakes may be begun anew. At 64, the tightest of the listed sizes, they fit about once in
  /// 5000 times; settings where they fit once in 10,000 fail once in e²⁰.
  private static let mostDraws = 200_000

  /// What lies in the next picture.
  package func scene(using generator: inout SeededNumbers) throws(TaskError) -> PathfinderScene {
    let label = generator.below(2)
    let marked = generator.below(2)
    let margin = settings.margins[generator.below(settings.margins.count)]
    var field = SnakeField(settings, margin: margin)
    for _ in 0..<Self.mostDraws {
      guard let targets = field.growTargets(using: &generator) else { continue }
      var scene = PathfinderScene(snakes: targets.map(\.paddles), markers: [], label: label, margin: margin)
      for _ in 0..<settings.distractors {
        if let snake = field.growDistractor(using: &generator) { scene.snakes.append(snake.paddles) }
      }
      if let origin = scene.snakes[marked].first,
        let end = scene.snakes[label == 1 ? marked : 1 - marked].last
      {
        scene.markers = [origin.start, end.end]
      }
      return scene
    }
    throw .unreachable(
      task: "Pathfinder",
      goal:
        "room for two snakes of \(settings.contourLength) paddles in \(settings.size) × \(settings.size) pixels",
      draws: Self.mostDraws,
      remedy: "Make the picture larger, or paddles, margins or snakes shorter.")
  }
}

/// Pictures in the order in which a seed draws them.
public struct PathfinderDraws: Sendable {
  private let task: Pathfinder
  /// Each picture takes one, from which all its own numbers follow.
  private var seeds: SeededNumbers

  fileprivate init(_ task: Pathfinder, seed: UInt64) {
    self.task = task
    seeds = SeededNumbers(seed: seed)
  }

  /// The next `count` pictures.
  ///
  /// - Throws: ``TaskError/unreachable(task:goal:draws:remedy:)`` when the long snakes find no room.
  public mutating func next(_ count: Int) throws(TaskError) -> LabelledExamples<Float> {
    let (task, settings) = (task, task.settings)
    var examples = LabelledExamples<Float>(width: settings.size * settings.size, classes: 2)
    // Pictures wait in arrays of their own before they are put in line: not all of them at once.
    let round = 4096
    for first in stride(from: 0, to: count, by: round) {
      let starts = (first..<min(first + round, count)).map { _ in seeds.next() }
      let drawn = try concurrentMap(starts.count) { index throws(TaskError) in
        var generator = SeededNumbers(seed: starts[index])
        let scene = try task.scene(using: &generator)
        return (pixels: scene.pixels(settings), label: scene.label)
      }
      for picture in drawn { examples.append(picture.pixels, label: picture.label, padding: 0) }
    }
    return examples
  }

  /// Leaves out the next `count` pictures, which need not be drawn for that.
  public mutating func skip(_ count: Int) {
    for _ in 0..<count { _ = seeds.next() }
  }
}
