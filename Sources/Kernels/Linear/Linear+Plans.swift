public import Memory
public import Tiles

/// Tiles of 16-bit layers that are chosen by measuring.
extension Linear.Shape {
  /// What tiles for a layer are kept under.
  public static func key(
    _ weight: ElementType, inputs: Int, outputs: Int, rowLimit: Int?, sums: Int
  ) -> String {
    TunedPlans.key(
      "\(sums > 1 ? "gated" : "linear") \(weight.rawValue) rows \(rowLimit.map { "\($0)" } ?? "any")",
      [("in", inputs), ("out", outputs)])
  }

  /// The kept tiles where there are some that suit, else those of ``sixteenBit(inputs:outputs:rowLimit:sums:weight:)``,
  /// cut into parts where that pays.
  public static func planned(
    inputs: Int, outputs: Int, rowLimit: Int?, sums: Int = 1, weight: ElementType, cores: Int,
    plans: TunedPlans?
  ) -> Self {
    let shape = sixteenBit(inputs: inputs, outputs: outputs, rowLimit: rowLimit, sums: sums, weight: weight)
    let key = key(weight, inputs: inputs, outputs: outputs, rowLimit: rowLimit, sums: sums)
    if let tuned = plans?.settings(key).flatMap({ shape.taking($0, sums: sums, weight: weight) }) {
      return tuned
    }
    return sums == 1 && rowLimit != nil ? shape.split(for: cores) : shape
  }

  /// What differs from candidate to candidate, as named integers.
  public var settings: [String: Int] {
    [
      "columns": columns, "groups": schedule.groups, "tasks": schedule.tasksPerCore, "stages": stages,
      "splits": splits,
    ]
  }

  /// The shape with such integers; `nil` where one is missing or no shape could have it.
  func taking(_ settings: [String: Int], sums: Int, weight: ElementType) -> Self? {
    guard let columns = settings["columns"], [64, 128].contains(columns), let groups = settings["groups"],
      groups == columns / 64, let tasks = settings["tasks"], (1...8).contains(tasks),
      let stages = settings["stages"], (1...16).contains(stages), let splits = settings["splits"],
      (1...64).contains(splits), sums == 1 || splits == 1
    else { return nil }
    var shape = self
    shape.columns = columns
    shape.schedule.groups = groups
    shape.schedule.tasksPerCore = tasks
    (shape.stages, shape.splits) = (stages, splits)
    return shape.fits(sums: sums, weight: weight) ? shape : nil
  }

  /// Whether stages and buffers for stores have room in 227 KiB.
  private func fits(sums: Int, weight: ElementType) -> Bool {
    let weights = sums * columns * innerStep / weight.blockElements * weight.blockBytes
    let bytes = stages * (weights + 2 * rows * innerStep) + 8192 * schedule.groups + 1024
    return bytes * schedule.tasksPerCore <= 227 << 10
  }

  /// Shapes worth timing for a layer on so many cores, the choice without measuring first.
  public static func candidates(
    inputs: Int, outputs: Int, rowLimit: Int?, sums: Int = 1, weight: ElementType, cores: Int
  ) -> [Self] {
    let first = planned(
      inputs: inputs, outputs: outputs, rowLimit: rowLimit, sums: sums, weight: weight, cores: cores,
      plans: nil)
    var shapes = [first]
    guard rowLimit != nil else { return shapes }
    for (columns, tasks) in [(64, 2), (64, 1), (64, 3), (64, 4), (128, 1), (128, 2)] {
      for splits in [1, 2, 3, 4, 6, 8] where splits == 1 || sums == 1 {
        let parts = (outputs + columns - 1) / columns * splits
        guard splits == 1 || parts <= 2 * tasks * cores && inputs >= 512 * splits else { continue }
        var shape = first
        shape.columns = columns
        shape.schedule = Kernel.Schedule(groups: columns / 64, tasksPerCore: tasks)
        shape.splits = splits
        shape.stages = 8
        while shape.stages > 1, !shape.fits(sums: sums, weight: weight) { shape.stages -= 1 }
        if shape.stages > 1, shape.fits(sums: sums, weight: weight), !shapes.contains(shape) {
          shapes.append(shape)
        }
      }
    }
    return shapes
  }
}
