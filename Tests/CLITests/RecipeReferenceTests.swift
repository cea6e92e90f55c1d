import ArgumentParser
import Formats
import TestSupport
import Testing
import Train

@testable import CLI

@Suite struct RecipeReferenceTests {
  private let reference = RecipeReference()

  private func printed(_ arguments: String...) throws -> String {
    let command = try Godwit.parseAsRoot(["recipe"] + arguments)
    return try #require(command as? RecipeCommand).text()
  }

  /// What it says is wrong, and the exit code.
  private func complaint(_ arguments: String...) -> (text: String, code: Int32) {
    do {
      let command = try Godwit.parseAsRoot(["recipe"] + arguments)
      if let command = command as? RecipeCommand { _ = try command.text() }
      return ("", 0)
    } catch { return (Godwit.fullMessage(for: error), Godwit.exitCode(for: error).rawValue) }
  }

  /// `godwit recipe --markdown > Documentation/Recipes.md` where this fails.
  @Test func thePageIsCurrent() throws {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    let page = try Files.text("/\(root)/Documentation/Recipes.md")
    #expect(
      try printed("--markdown") == page, "write it anew: godwit recipe --markdown > Documentation/Recipes.md")
  }

  @Test func linksOfThePageLeadSomewhere() throws {
    let page = reference.page
    let headings = Files.lines(page).filter { $0.hasPrefix("##") }.map { line in
      let title = line.drop { $0 == "#" || $0 == " " }.lowercased()
      return title.filter { $0.isLetter || $0.isNumber || "_- ".contains($0) }.replacing(" ", with: "-")
    }
    #expect(Set(headings).count == headings.count)
    let links = page.matches(of: /\]\(#(.+?)\)/).map { String($0.1) }
    #expect(
      links.count > 30 && links.allSatisfy(headings.contains), "\(links.filter { !headings.contains($0) })")
  }

  @Test func theExampleOfThePageTrains() throws {
    let path = Scratch.path("recipe.yaml")
    try Files.write(RecipeReference.example, to: path)
    #expect(try RecipeFile.read(path, seed: nil).steps > 0)
  }

  /// Every key is in each form, and can be asked for.
  @Test func allKeysArePrinted() throws {
    let (page, text) = (reference.page, try printed())
    let lines = Files.lines(try printed("--json"))
    let values = try lines.map { try JSON.parse($0, file: "line") }
    let keys = Set(values.compactMap { $0["key"]?.string })
    #expect(reference.paths.count > 120 && keys == Set(reference.paths))
    for entry in reference.entries {
      #expect(page.contains("`\(entry.path)`") && text.contains("  \(entry.path)"), "\(entry.path)")
      #expect(page.contains(entry.key.meaning) && entry.key.meaning.hasSuffix("."), "\(entry.path)")
    }
    for path in reference.paths { #expect(try printed(path).contains(path)) }
  }

  @Test func aPartIsPrinted() throws {
    #expect(
      try printed("model.mixer.moving_average") == """
        model.mixer.moving_average (language, classifier): Damped moving averages of each channel behind a gate \
        (arXiv:2209.10655).
          model.mixer.moving_average.averages  (integer from 1 to 256; default 4)
              Averages of each channel.

        """)
    #expect(try printed("batch") == "  batch  (integer from 1; default 32)\n      Examples of a step.\n")
    #expect(try printed("model.mixer.attention").contains("It has no keys."))
    #expect(
      try printed("optimizer.rate", "--json") == """
        {"key": "optimizer.rate", "type": "number", "values": "number above 0", "above": 0.0, "required": true, \
        "meaning": "Learning rate, before the schedule changes it."}

        """)
    // Of two kinds of networks.
    #expect(Files.lines(try printed("model.dropout", "--json")).count == 2)
  }

  @Test func unknownKeysAreToldWhatIsNear() throws {
    let failure = complaint("model.mixer.hyna")
    #expect(failure.code == 1 && failure.text.contains("Near to it: model.mixer.hyena."), "\(failure)")
    #expect(complaint("hyena.order").text.contains("Near to it: model.mixer.hyena.order."))
    #expect(complaint("dropout").text.contains("Near to it: model.dropout."))
    #expect(complaint("xylophone").text.contains("no key “xylophone”. `godwit recipe` lists all."))
    #expect(complaint("").code == 0 && complaint(".").code == 1)
    #expect(complaint("batch", "--markdown").code == 64 && complaint("--json", "--markdown").code == 64)
  }

  @Test(arguments: [
    (SettingValues.count, "integer from 1"), (.integer(2...6, .even), "even integer from 2 to 6"),
    (.integer(3...9, .odd), "odd integer from 3 to 9"), (.share, "number from 0 to below 1"),
    (.positive, "number above 0"), (.nonNegative, "number from 0"), (.number(from: nil, to: nil), "number"),
    (.number(from: .excluding(0), to: .including(1)), "number above 0 and up to 1"),
    (.number(from: .including(0), to: .including(0.5)), "number from 0 to 0.5"),
    (.number(from: .excluding(0), to: .excluding(1)), "number above 0 and below 1"),
    (.number(from: nil, to: .including(1)), "number up to 1"), (.truth, "true or false"),
    (.choice(["a", "b"]), "a, b"),
  ])
  func valuesAreSaidInWords(values: SettingValues, words: String) {
    #expect(values.description == words)
  }
}
