import Formats
import Testing

@Suite struct JSONSettingTests {
  private func changed(_ text: String, _ path: [String], _ value: JSON) throws -> String? {
    try JSON.parse(text, file: "x").setting(path, to: value)?.serialized()
  }

  @Test func valuesAreReplacedAddedAndTakenAway() throws {
    #expect(try changed(#"{"a":{"b":1,"c":2}}"#, ["a", "b"], 3) == #"{"a":{"b":3,"c":2}}"#)
    #expect(try changed(#"{"a":1}"#, ["x", "y"], "z") == #"{"a":1,"x":{"y":"z"}}"#)
    #expect(try changed(#"{"a":{"b":1,"c":2}}"#, ["a", "b"], .null) == #"{"a":{"c":2}}"#)
    #expect(try changed(#"{"a":1}"#, ["b"], .null) == #"{"a":1}"#)
    #expect(try changed(#"{"a":1}"#, ["a", "b"], 2) == nil)
  }
}
