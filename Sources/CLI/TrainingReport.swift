internal import Formats

/// Curves of a run.
struct TrainingReport {
  let title: String
  /// What was measured, step by step.
  let lines: [JSON]

  /// The page.
  ///
  /// - Throws: what charts do not take: nothing was measured.
  func html() throws -> String {
    let loss = try RunPage.chart(
      "Loss", "nats", [("training", lines, "train_loss"), ("answers", lines, "test_loss")])
    let accuracy = try RunPage.chart("Accuracy", "share of right answers", [("answers", lines, "accuracy")])
    return RunPage.html(title: title, body: loss + "\n" + accuracy)
  }
}
