import Formats
import Models
import TestSupport
import Testing

@testable import Train

/// Descriptions of a recipe's keys against what reads them.
@Suite struct RecipeKeysTests {
  private let places: [RecipePlace]

  init() throws { places = try RecipePlace.all() }

  private func read(_ json: JSON) throws -> Recipe { try Recipe(json, file: "recipe") }

  /// All that a recipe decides, as text.
  private func decisions(_ recipe: Recipe) -> [String] {
    let optimizer = recipe.optimizer
    let groups: [ParameterGroup] = [.ordinary, .stateSpace, .filter, .positions]
    let moves = groups.map { "\($0): \(optimizer.numbers(of: $0))" }
    let numbers = [optimizer.firstBeta, optimizer.secondBeta, optimizer.epsilon, optimizer.clip ?? -1]
    // Groups are a dictionary, and a source tells what was said.
    return Mirror(reflecting: recipe).children.filter { !["source", "optimizer"].contains($0.label) }
      .map { "\($0.label ?? ""): \($0.value)" } + moves + ["\(numbers)"]
  }

  @Test func everyDescribedKeyIsRead() throws {
    #expect(places.count > 150)
    for place in places {
      let (accepted, refused) = place.samples
      for value in accepted {
        let found = message { _ = try read(place.recipe(value)) }
        #expect(found.isEmpty, "\(place.network) \(place.name): \(value)")
      }
      for value in refused {
        #expect(throws: (any Error).self, "\(place.network) \(place.name): \(value)") {
          try read(place.recipe(value))
        }
      }
    }
  }

  @Test func defaultsAreWhatIsDescribed() throws {
    for place in places {
      let value: JSON
      switch place.key.standard {
      case .required:
        let found = message { _ = try read(place.recipe(.null)) }
        #expect(found.contains(place.key.name), "\(place.network) \(place.name): \(found)")
        continue
      case .value(let standard): value = standard
      case .words:
        guard let stated = place.stated else {
          #expect(
            ["epochs", "steps", "stop", "optimizer.clip", "model.patch"].contains(place.name), "\(place.name)"
          )
          continue
        }
        value = stated
      }
      let (without, with) = (try read(place.recipe(.null)), try read(place.recipe(value)))
      #expect(decisions(without) == decisions(with), "\(place.network) \(place.name): \(value)")
    }
  }

  /// What an unknown key is told stands there is what is described.
  @Test func everyKeyThatIsReadIsDescribed() throws {
    let objects = Dictionary(grouping: places) { "\($0.network): \($0.object.joined(separator: "."))" }
    #expect(objects.count > 40)
    for places in objects.values {
      let names = places.map(\.key.name).joined(separator: ", ")
      let unknown = places[0].base.with(places[0].object + ["unknown"], 1)
      // Only a language model's recipe is gone through from the top.
      if places[0].object.isEmpty, places[0].network != "language" { continue }
      let found = message { _ = try read(unknown) }
      let path = (places[0].object + ["unknown"]).joined(separator: ".")
      #expect(found.contains("\(path): expected one of \(names), found an unknown key"), "\(found)")
    }
    // Forms without keys.
    for path in [["model", "mixer", "attention"], ["model", "mlp", "dense"]] {
      let base = try #require(places.first { $0.network == "language" }).base
      let found = message { _ = try read(base.with(path.dropLast(), .null).with(path + ["unknown"], 1)) }
      #expect(found.contains("expected no settings, found an unknown key"), "\(found)")
    }
  }

  /// What two keys decide together.
  @Test func defaultsThatDependOnOthers() throws {
    func task(_ settings: JSON) throws -> [String] {
      let recipe: JSON = [
        "task": ["recall": settings], "model": ["mixer": "h3", "width": 8, "layers": 2],
        "optimizer": ["rate": 0.002], "epochs": 3,
      ]
      return decisions(try read(recipe))
    }
    #expect(try task(["length": 64]) == task(["length": 64, "vocabulary": 30]))
    #expect(message { _ = try task(["length": 64, "tokens": 8]) }.contains("no such key beside length"))
    let place = try #require(places.first { $0.name == "steps" })
    #expect(try decisions(read(place.base)) == decisions(read(place.recipe(471))))
  }
}
