import Memory
import Testing

@testable import Tasks

@Suite struct PathfinderTests {
  static func scenes(_ settings: PathfinderSettings, _ count: Int, seed: UInt64) throws -> [PathfinderScene] {
    let task = try Pathfinder(settings)
    var generator = SeededNumbers(seed: seed)
    return try (0..<count).map { _ in try task.scene(using: &generator) }
  }

  /// For each dash of all snakes one after the other, a number that dashes share which hang together by steps of at most
  /// `reach` between their axes.
  static func components(_ paddles: [Paddle], reach: Double) -> [Int] {
    var component = Array(paddles.indices)
    for one in paddles.indices {
      for two in 0..<one where paddles[one].isNearer(than: reach, to: paddles[two]) {
        let (old, new) = (component[one], component[two])
        for index in component.indices where component[index] == old { component[index] = new }
      }
    }
    return component
  }

  /// Sizes and how many scenes: 64 and 128 are slow where nothing is optimised.
  @Test(arguments: [(32, 60), (64, 2), (128, 4), (256, 20), (512, 10), (48, 20), (16, 5)])
  func discsAreOnOneConnectedSnakeExactlyWhenTheLabelSaysSo(size: Int, count: Int) throws {
    let settings = PathfinderSettings(size: size)
    for scene in try Self.scenes(settings, count, seed: 1) {
      #expect(settings.margins.contains(scene.margin) && scene.markers.count == 2)
      let paddles = Array(scene.snakes.joined())
      // Gaps within a snake are two margins at most, gaps between snakes that and a dash's width at least.
      let component = Self.components(paddles, reach: 2 * scene.margin + settings.thickness / 2)
      let ends = scene.markers.map { marker in
        paddles.indices.filter { paddles[$0].start == marker || paddles[$0].end == marker }
      }
      #expect(ends[0].count == 1 && ends[1].count == 1)
      #expect((component[ends[0][0]] == component[ends[1][0]]) == (scene.label == 1))
      #expect(Set(component).count == scene.snakes.count)
      // Both discs are on long snakes: on the origin of one and on an end.
      let long = scene.snakes.prefix(2)
      #expect(
        long.contains { $0.first?.start == scene.markers[0] }
          && long.contains { $0.last?.end == scene.markers[1] })
    }
  }

  @Test(arguments: [(32, 60), (64, 2), (128, 4), (256, 20), (512, 10)])
  func snakesKeepTheRules(size: Int, count: Int) throws {
    let settings = PathfinderSettings(size: size)
    for scene in try Self.scenes(settings, count, seed: 2) {
      #expect(scene.snakes.count >= 2 && scene.snakes.count <= 2 + settings.distractors)
      let room = settings.padding...Double(size) - settings.padding
      for (index, snake) in scene.snakes.enumerated() {
        #expect(snake.count == (index < 2 ? 14 : 4))
        for paddle in snake {
          let length = paddle.start.squaredDistance(to: paddle.end).squareRoot()
          #expect(abs(length - settings.paddleLength) < 1e-9)
          for end in [paddle.start, paddle.end] { #expect(room.contains(end.x) && room.contains(end.y)) }
        }
        for (before, after) in zip(snake, snake.dropFirst()) {
          let gap = before.end.squaredDistance(to: after.start).squareRoot()
          #expect(gap <= 2 * scene.margin + 1e-9 && gap >= 2 * scene.margin * 0.7)
          let (dx, dy) = (before.end.x - before.start.x, before.end.y - before.start.y)
          let (nextX, nextY) = (after.end.x - after.start.x, after.end.y - after.start.y)
          let cosine: Double = (dx * nextX + dy * nextY) / (settings.paddleLength * settings.paddleLength)
          #expect(cosine >= Elementary.cosine(Double.pi / 2 / settings.continuity) - 1e-9)
        }
        for other in scene.snakes[..<index].joined() {
          for paddle in snake {
            #expect(!paddle.isNearer(than: 2 * scene.margin + settings.thickness - 1e-9, to: other))
          }
        }
      }
      let origins = scene.snakes[..<2].map { $0[0].start }
      #expect(abs(origins[0].squaredDistance(to: origins[1]).squareRoot() - settings.seedDistance) < 1e-9)
    }
  }

  @Test func labelsAndMarkedSnakesAreBalanced() throws {
    let scenes = try Self.scenes(PathfinderSettings(size: 256), 400, seed: 3)
    #expect(abs(scenes.count { $0.label == 1 } - 200) < 50)
    #expect(abs(scenes.count { $0.snakes[0][0].start == $0.markers[0] } - 200) < 50)
    // What a picture looks like says nothing of its label: both have the same number of lit snakes.
    func meanSnakes(_ label: Int) -> Double {
      let counts = scenes.filter { $0.label == label }.map(\.snakes.count)
      return Double(counts.reduce(0, +)) / Double(counts.count)
    }
    let difference: Double = meanSnakes(1) - meanSnakes(0)
    #expect(abs(difference) < 0.3)
  }

  @Test func picturesShowTheScene() throws {
    let settings = PathfinderSettings(size: 32)
    let task = try Pathfinder(size: 32)
    let examples = try task.examples(50, seed: 4)
    #expect(examples.width == 1024 && examples.classes == 2 && examples.count == 50)
    #expect(examples.inputs.allSatisfy { (0...1).contains($0) } && examples.lengths.allSatisfy { $0 == 1024 })
    #expect(examples.centred[7] == (examples.inputs[7] - 0.5) / 0.5)
    var seeds = SeededNumbers(seed: 4)
    for index in 0..<50 {
      var generator = SeededNumbers(seed: seeds.next())
      let scene = try task.scene(using: &generator)
      let pixels = Array(examples.input(index))
      #expect(scene.label == Int(examples.labels[index]))
      func pixel(_ point: Point) -> Float { pixels[Int(point.y) * 32 + Int(point.x)] }
      for marker in scene.markers { #expect(pixel(marker) == 1) }
      for paddle in scene.snakes.joined() {
        let middle = Point(x: (paddle.start.x + paddle.end.x) / 2, y: (paddle.start.y + paddle.end.y) / 2)
        #expect(pixel(middle) > 0)
      }
      // Pixels that nothing comes near are black.
      for place in pixels.indices {
        let centre = Point(x: Double(place % 32) + 0.5, y: Double(place / 32) + 0.5)
        let isNear =
          scene.snakes.joined().contains { $0.squaredDistance(to: centre) < 1.5 }
          || scene.markers.contains { $0.squaredDistance(to: centre) < (settings.markerRadius + 0.5) * 2.1 }
        if !isNear { #expect(pixels[place] == 0) }
      }
    }
  }

  /// More than are drawn at once: in order, whichever core was first.
  @Test func fewerPicturesAreTheFirstOfMore() throws {
    let task = try Pathfinder(size: 16)
    let more = try task.examples(4200, seed: 5)
    for count in [0, 1, 63, 4096, 4097] {
      #expect(try task.examples(count, seed: 5) == more.part(0..<count))
    }
    #expect(try task.examples(63, seed: 6) != more.part(0..<63))
  }

  @Test func whereOneFailsAllFail() throws {
    for failing in [0, 50, 99] {
      #expect(throws: TaskError.self) {
        try concurrentMap(100) { index throws(TaskError) in
          if index == failing { throw TaskError.unreachable(task: "", goal: "", draws: 1, remedy: "") }
          return index
        }
      }
    }
    #expect(try concurrentMap(1000) { index throws(TaskError) in index } == Array(0..<1000))
  }

  @Test func dashesLightTheirArea() {
    var level = Picture(size: 12)
    level.draw(Paddle(start: Point(x: 2.25, y: 5), end: Point(x: 7.5, y: 5)), thickness: 1.5, brightness: 1)
    #expect(level.pixels.reduce(0, +) == 5.25 * 1.5)
    #expect(level.pixels[5 * 12 + 4] == 0.75 && level.pixels[4 * 12 + 4] == 0.75)
    #expect(level.pixels[5 * 12 + 2] == 0.75 * 0.75 && level.pixels[3 * 12 + 4] == 0)
    var bright = Picture(size: 12)
    bright.draw(Paddle(start: Point(x: 2, y: 2), end: Point(x: 2, y: 9)), thickness: 2, brightness: 1.5)
    #expect(bright.pixels.max() == 1 && bright.pixels.reduce(0, +) == 14)
    var faint = Picture(size: 12)
    faint.draw(Paddle(start: Point(x: 2, y: 2), end: Point(x: 2, y: 9)), thickness: 2, brightness: 0.25)
    #expect(faint.pixels.max() == 0.25 && faint.pixels.reduce(0, +) == 3.5)
    for step in 0..<40 {
      var slanted = Picture(size: 40)
      let direction = Direction(angle: Double(step) * 0.15)
      let start = Point(x: 20.3, y: 19.6)
      slanted.draw(
        Paddle(start: start, end: start.moved(15, direction)), thickness: 1.5, brightness: 1)
      #expect(abs(slanted.pixels.reduce(0, +) - 22.5) < 0.7, "\(step)")
    }
    var disc = Picture(size: 20)
    disc.drawDisc(at: Point(x: 9.7, y: 10.2), radius: 5)
    #expect(abs(disc.pixels.reduce(0, +) - 25 * 3.14159) < 1 && disc.pixels[10 * 20 + 9] == 1)
  }

  @Test func whatLiesOutsideIsCutOff() {
    var picture = Picture(size: 4)
    picture.drawDisc(at: Point(x: 0, y: 4), radius: 2)
    picture.draw(Paddle(start: Point(x: -9, y: -9), end: Point(x: -3, y: -9)), thickness: 1, brightness: 1)
    picture.draw(Paddle(start: Point(x: 9, y: 1.5), end: Point(x: 2, y: 1.5)), thickness: 1, brightness: 1)
    #expect(picture.pixels[12] == 1 && picture.pixels[3] == 0 && picture.pixels[7] == 1)
  }

  @Test func axesThatCrossAreNear() {
    let level = Paddle(start: Point(x: 0, y: 0), end: Point(x: 10, y: 0))
    let upright = Paddle(start: Point(x: 5, y: -5), end: Point(x: 5, y: 5))
    #expect(level.isNearer(than: 0.1, to: upright) && upright.isNearer(than: 0.1, to: level))
    let apart = Paddle(start: Point(x: 12, y: 1), end: Point(x: 12, y: 8))
    #expect(!level.isNearer(than: 2.2, to: apart) && level.isNearer(than: 2.3, to: apart))
  }

  @Test func settingsOfOtherSizesAreScaled() {
    let large = PathfinderSettings(size: 512)
    #expect(
      large.padding == 44 && large.seedDistance == 54 && large.paddleLength == 10 && large.thickness == 4)
    #expect(large.margins == [6] && large.markerRadius == 10 && large.distractors == 7 && large.size == 512)
    let small = PathfinderSettings(size: 16)
    #expect(small.paddleLength == 1 && small.margins == [0.5] && small.contourLength == 14)
    #expect(PathfinderSettings(size: 64).distractors == 5 && PathfinderSettings(size: 128).distractors == 8)
    #expect(PathfinderSettings(size: 32).distractors == 5 && PathfinderSettings(size: 128).margins == [2, 3])
  }
}
