public import Formats
internal import Memory

extension Recipe {
  /// All keys of a recipe, those of its objects within.
  public static let keys = [
    SettingKey("task", .named(TrainingTask.forms), "What is learned, and from what data."),
    SettingKey("examples", .object(exampleKeys), default: [:], "How many examples there are."),
    SettingKey("model", .oneOf(TrainingTask.networks), "The network, of the kind that the task trains."),
    SettingKey("optimizer", .object(OptimizerSettings.keys), "How AdamW moves parameters."),
    SettingKey(
      "schedule", .named(Schedule.forms), default: "constant", "How the learning rate changes over the steps."
    ),
    SettingKey("batch", .count, default: 32, "Examples of a step."),
    SettingKey(
      "microbatch", .count, otherwise: "`batch`",
      "Examples that are worked on at a time, for less memory; `batch` at most. Gradients are added up."),
    SettingKey(
      "precision", .choice(precisions.map(\.rawValue)), default: "float32",
      "Type of the factors of products; `bfloat16` is mixed precision."),
    SettingKey(
      "deterministic", .truth, default: true,
      "Whether gradients are the same bits in every run, for which fused attention on a GPU takes longer."),
    SettingKey(
      "recompute_blocks", .truth, default: false,
      "Whether blocks are computed again for their gradients, for less memory; for language models."),
    SettingKey(
      "epochs", .count, otherwise: "none; `steps` must be there", "Passes over the examples."),
    SettingKey("steps", .count, otherwise: "as many as `epochs` take", "Steps in all, instead of `epochs`."),
    SettingKey("seed", seeds, default: 0, "Decides initial parameters, order of examples and dropout."),
    SettingKey("evaluate", .object(evaluationKeys), default: [:], "When the network is judged."),
    SettingKey("stop", .object(stopKeys), otherwise: "at the last step", "When training ends early."),
  ]

  /// Keys of `examples`.
  static let exampleKeys = [
    SettingKey(
      "train", .count, otherwise: "5000; of a text all, of `pictures` those that do not judge",
      "Examples to train on; of a text, windows spread over it."),
    SettingKey("test", .count, default: 500, "Other examples to be judged by."),
    SettingKey("seed", seeds, default: 0, "Decides the examples; not for texts, which are what they are."),
  ]

  /// Keys of `evaluate`.
  static let evaluationKeys = [
    SettingKey("every", .count, default: 10, "Epochs from one evaluation to the next."),
    SettingKey(
      "steps", .count, otherwise: "as many as `every` takes",
      "Steps from one to the next, instead of `every`."),
  ]

  /// Keys of `stop`.
  static let stopKeys = [
    SettingKey(
      "accuracy", .number(from: .excluding(0), to: .including(1)), "Share of right answers that is enough.")
  ]

  /// Types of factors.
  static let precisions: [ElementType] = [.float32, .bfloat16]

  private static let seeds = SettingValues.integer(0...Int.max)
}
