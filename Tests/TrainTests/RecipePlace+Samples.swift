import Formats

@testable import Models
@testable import Train

extension RecipePlace {
  /// Values that may stand there, and some that may not: the ends of ranges and what is just beyond.
  var samples: (accepted: [JSON], refused: [JSON]) {
    special ?? Self.samples(key.values, self)
  }

  /// What the description says.
  private static func samples(
    _ values: SettingValues, _ place: RecipePlace
  ) -> (accepted: [JSON], refused: [JSON]) {
    switch values {
    case .integer(let range, let parity):
      let step = parity == .any ? 1 : 2
      let (least, most) = (range.lowerBound, range.upperBound)
      let odd = parity == .any ? [] : [least + 1]
      let beyond = [least - 1] + (most < Int.max ? [most + 1] : []) + odd
      return (
        [least, least + step, most].map { .integer($0) }, beyond.map { .integer($0) } + [1.5, "many", [:]]
      )
    case .number(let least, let most):
      let inside = ((least?.number ?? 0) + (most?.number ?? 3)) / 2
      let ends = [(least, -1.0), (most, 1.0)].compactMap { bound, out in bound.map { ($0, out) } }
      return (
        [.number(inside)] + ends.filter(\.0.isIncluded).map { .number($0.0.number) },
        ends.map { .number($0.0.isIncluded ? $0.0.number + $0.1 : $0.0.number) } + ["much", [:]]
      )
    case .truth: return ([false, true], ["maybe", 1])
    case .text: return (["text"], [1, [:]])
    case .choice(let names): return (names.map { .string($0) }, ["nothing", 1])
    case .words(_, let example): return ([example], ["words", [[:]]])
    case .object(let keys): return ([place.required(keys, at: place.path)], [3, "object"])
    case .oneOf: return ([place.base[place.name] ?? .null], [3, "object"])
    case .named(let forms):
      let known = place.suiting(forms)
      let alone = known.filter { form in !form.keys.contains { $0.standard == .required } }
      return (
        alone.map { .string($0.name) } + known.map { place.object(of: $0) },
        ["nothing", ["nothing": [:]], [:], 3]
      )
    }
  }

  /// Where more is to be known than a range.
  private var special: (accepted: [JSON], refused: [JSON])? {
    switch (name, network) {
    case ("task.corpus.file", _), ("task.masked.file", _): ([.string(files.corpus)], ["/nowhere", 1])
    case ("task.pictures.file", _): ([.string(files.pictures)], ["/nowhere", 1])
    // The text to judge by has 50 tokens, and a picture two numbers.
    case ("task.corpus.length", _), ("task.masked.length", _): ([10, 1, 49], [0, 50])
    case ("task.pictures.channels", _): ([1, 2], [0, 3])
    // The data have so many.
    case ("model.vocabulary", "language"): ([20, 2_147_483_647], [19, 2_147_483_648])
    case ("model.vocabulary", "masked"): ([13, 2_147_483_647], [12, 2_147_483_648])
    case ("model.vocabulary", _): ([18, 2_147_483_647], [17, 2_147_483_648])
    case ("model.longest", "language"): ([31, 2_147_483_647], [30, 2_147_483_648])
    case ("model.longest", "masked"): ([10, 2_147_483_647], [9, 2_147_483_648])
    case ("model.longest", _): ([2048, 2_147_483_647], [2047, 2_147_483_648])
    case ("model.channels", _): ([1], [0, 2])
    // Divisors of 32, and of 1,024 pixels.
    case ("model.patch", _): ([1, 2, 32], [0, 3, 64, 4097, "2"])
    case ("model.picture_row", _): ([32, 64, 1024], [0, 3, 2048])
    case ("model.classes", _): ([10], [9, 11])
    // Divisors of 2³¹ − 1, which is prime.
    case ("model.heads", _), ("model.mixer.h3.head_width", _): ([1, 2_147_483_647], [0, 2])
    case ("model.blocks", _), ("model.mlp.block_diagonal.blocks", _), ("model.mlp.monarch.blocks", _):
      ([1, 2, 4], [0, 3, 64])
    case ("model.mixer.longconv.learned_transform", "language"): ([false], [true, 1])
    case ("task.listops.arguments", _), ("task.listops.tokens", _):
      ([[2, 9], [5, 5]], [[0, 3], [5, 4], [3], 3])
    case ("optimizer.betas", _): ([[0, 0.5], [0.9, 0.98]], [[0.9, 1], [-0.1, 0.9], [0.9], 0.9])
    case ("model.attention_layers", _): ([[], [0, 1]], [[2], [-1], 1])
    default: nil
    }
  }

  /// What has to stand elsewhere for a value to be accepted.
  func needed(beside value: JSON) -> [(path: [String], value: JSON)] {
    func model(_ key: String, _ value: JSON) -> (path: [String], value: JSON) { (["model", key], value) }
    func beside(_ key: String, _ value: JSON) -> (path: [String], value: JSON) { (object + [key], value) }
    switch (name, network) {
    case ("model.heads", _): return [model("mixer", "attention"), model("width", 2_147_483_647)]
    case ("model.attention_dropout", _): return [model("mixer", "attention")]
    case ("model.mixer.h3.head_width", _): return [model("width", 2_147_483_647)]
    case ("model.mixer", "classifier"):
      let mixer = try? SequenceSettings.Mixer(JSONNode(value, file: "mixer"))
      return mixer?.canBeTwoSided == false ? [model("direction", "causal")] : []
    // Four blocks of monarch's factors want 16.
    case ("model.mlp", _): return [model("width", 16), model("feed_forward", 64)]
    case ("model.width", "masked"), ("model.feed_forward", "masked"): return [model("blocks", 1)]
    case ("model.channels", _), ("model.patch", _): return [(["task"], "pathfinder")]
    case ("model.picture_row", _): return [(["task"], "pathfinder"), model("patch", 1)]
    case ("task.induction.copied", _), ("task.induction.triggers", _): return [beside("tokens", 268_435_456)]
    case ("task.recall.key_tokens", _): return [beside("vocabulary", 4), beside("tokens", 2_097_152)]
    case ("task.recall.length", _): return [beside("vocabulary", 20)]
    case ("task.counting.most", _): return [beside("tokens", 268_435_456)]
    case ("task.counting.tokens", _): return [beside("most", 1)]
    case ("task.listops.width", _): return [beside("tokens", [1, 1])]
    case ("microbatch", _): return [(["batch"], 2_147_483_647)]
    case ("steps", _): return [(["epochs"], .null)]
    default: return []
    }
  }

  /// The value that says what the words of a default say; `nil` where there is none.
  var stated: JSON? {
    switch (name, network) {
    case ("task.recall.vocabulary", _): 20
    case ("task.recall.length", _): 42
    case ("task.listops.width", _): 2
    case ("examples.train", _): 5000
    case ("model.feed_forward", _): 32
    case ("model.vocabulary", "language"): 20
    case ("model.vocabulary", "masked"): 13
    case ("model.vocabulary", _): 18
    case ("model.longest", "language"): 31
    case ("model.longest", "masked"): 10
    case ("model.longest", _): 2048
    case ("model.channels", _): 1
    case ("model.picture_row", _): 32
    case ("model.classes", _): 10
    case ("optimizer.groups.state_space.rate", _): 0.001
    case ("optimizer.groups.filter.rate", _): 0.002
    case ("microbatch", _): 2_147_483_647
    // 157 steps an epoch.
    case ("evaluate.steps", _): 1570
    default: nil
    }
  }
}
