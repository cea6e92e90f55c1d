/// Lines on axes.
public struct Chart: Sendable, Equatable {
  /// What stands above it.
  public var title: String
  /// Name of the horizontal axis.
  public var horizontal: String
  /// Name of the vertical axis.
  public var vertical: String
  /// The lines, in the order of the legend.
  public var series: [Series]
  /// What equal distances mean on both axes.
  public var scale: Scale

  /// What equal distances mean.
  public enum Scale: Sendable, Equatable {
    /// Equal ratios: all numbers are above 0.
    case logarithmic
    /// Equal differences.
    case linear
  }

  /// Points that are joined by a line.
  public struct Series: Sendable, Equatable {
    /// Name in the legend.
    public var name: String
    /// In order of x.
    public var points: [Point]
    /// Whether it is a limit instead of a measurement: a broken line without marks.
    public var isFloor: Bool

    /// A line.
    public init(name: String, points: [Point], isFloor: Bool = false) {
      self.name = name
      self.points = points
      self.isFloor = isFloor
    }
  }

  /// A place on the axes.
  public struct Point: Sendable, Equatable {
    public var x: Double
    public var y: Double

    /// A place.
    public init(x: Double, y: Double) {
      self.x = x
      self.y = y
    }
  }

  /// A chart of the given lines.
  public init(
    title: String, horizontal: String, vertical: String, series: [Series], scale: Scale = .logarithmic
  ) {
    self.title = title
    self.horizontal = horizontal
    self.vertical = vertical
    self.series = series
    self.scale = scale
  }
}
