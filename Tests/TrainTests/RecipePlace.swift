import Formats
import Glibc
import Models
import TestSupport

@testable import Train

/// A key of recipes, and a recipe in which it may be stated.
struct RecipePlace {
  /// The kind of network of that recipe.
  let network: String
  /// Keys of the object, from the outermost inwards.
  let object: [String]
  let key: SettingKey
  /// A recipe that has the object.
  let base: JSON
  /// What its task reads.
  let files: Files

  var path: [String] { object + [key.name] }
  var name: String { path.joined(separator: ".") }

  /// The recipe with a value there, and what that needs beside it; `null` leaves the key out.
  func recipe(_ value: JSON) -> JSON {
    needed(beside: value).reduce(base) { $0.with($1.path, $1.value) }.with(path, value)
  }

  /// What tasks read.
  struct Files {
    let corpus = Scratch.path("corpus.safetensors")
    let pictures = Scratch.path("pictures.jsonl")

    init() throws {
      let tokens = (0..<400).map { Int32($0 % 12) }
      try Corpus.write(
        train: tokens, test: Array(tokens[..<50]), vocabularySize: 12, tokenizer: "bytes", to: corpus)
      let file = fopen(pictures, "w")
      for label in 0..<600 { fputs(#"{"values": [\#(label), 2], "label": \#(label % 2)}"# + "\n", file) }
      fclose(file)
    }
  }
}

extension JSON {
  /// The same with another value at a path, whose objects are made.
  func with(_ path: [String], _ value: JSON) -> JSON {
    guard let result = setting(path, to: value) else { preconditionFailure("\(path) is within no object") }
    return result
  }
}

extension RecipePlace {
  /// Tasks that train something else than a language model.
  private static let others = [
    "masked": "masked", "listops": "classifier", "pathfinder": "classifier", "pictures": "classifier",
  ]

  /// All keys of recipes: those of `task` and `model` with each kind of network, all others with a language model.
  static func all() throws -> [RecipePlace] {
    let files = try Files()
    func recipe(_ task: JSON) -> JSON {
      ["task": task, "model": ["width": 8, "layers": 2], "optimizer": ["rate": 0.002], "epochs": 3]
    }
    let bases = [
      ("language", recipe("induction").with(["model", "mixer"], "h3")),
      ("classifier", recipe("listops").with(["model", "mixer"], "s4d")),
      ("masked", recipe(["masked": ["file": .string(files.corpus), "length": 10]])),
    ]
    return bases.flatMap { network, base in
      let keys = Recipe.keys.filter { network == "language" || ["task", "model"].contains($0.name) }
      return places(keys, at: [], network, base, files)
    }
  }

  private static func places(
    _ keys: [SettingKey], at object: [String], _ network: String, _ base: JSON, _ files: Files
  ) -> [RecipePlace] {
    keys.flatMap { key -> [RecipePlace] in
      let place = RecipePlace(network: network, object: object, key: key, base: base, files: files)
      return [place] + place.inner
    }
  }

  /// Keys of the objects that may stand there.
  private var inner: [RecipePlace] {
    switch key.values {
    case .object(let keys):
      Self.places(keys, at: path, network, recipe(present ?? required(keys, at: path)), files)
    case .oneOf(let kinds):
      kinds.filter { $0.name == network }.flatMap { Self.places($0.keys, at: path, network, base, files) }
    case .named(let forms):
      suiting(forms).flatMap { form in
        Self.places(form.keys, at: path + [form.name], network, recipe(object(of: form)), files)
      }
    default: []
    }
  }

  /// What the recipe has there.
  private var present: JSON? { path.reduce(Optional(base)) { $0?[$1] } }

  /// Those that go with the kind of network.
  func suiting(_ forms: [SettingForm]) -> [SettingForm] {
    name == "task" ? forms.filter { Self.others[$0.name, default: "language"] == network } : forms
  }

  /// A form with no more than it must have.
  func object(of form: SettingForm) -> JSON {
    JSON.null.with([form.name], required(form.keys, at: path + [form.name]))
  }

  /// An object with no more than it must have.
  func required(_ keys: [SettingKey], at path: [String]) -> JSON {
    keys.filter { $0.standard == .required }.reduce([:]) { object, key in
      let place = RecipePlace(network: network, object: path, key: key, base: base, files: files)
      return object.with([key.name], place.samples.accepted[0])
    }
  }
}
