import Formats
import Testing

@testable import CLI

@Suite struct OutputTests {
  @Test(arguments: [
    (0.0, 2, "0.00"), (1.005, 1, "1.0"), (0.96, 1, "1.0"), (-0.04, 1, "0.0"), (-0.06, 1, "-0.1"),
    (12.5, 0, "13"),
    (3.14159, 4, "3.1416"), (0.00049, 3, "0.000"), (999.9996, 3, "1000.000"), (-7, 2, "-7.00"),
    (.infinity, 2, "inf"), (1e15, 1, "1000000000000000.0"), (2.5e14, 6, "250000000000000.0"),
    (9.5e14, 4, "950000000000000.0"), (-3e300, 6, "-3e+300"),
    (9e15, 0, "9000000000000000"),
  ])
  func numbersHaveSoManyDecimals(value: Double, decimals: Int, text: String) {
    #expect(Output.fixed(value, decimals) == text)
  }

  @Test func fieldsAreJSON() throws {
    let text = "\"a\\b\"\n\r\t\u{1}\u{1F}é𝔸\u{2028}"
    #expect(try JSON.parse(JSONField(text).text, file: "field") == .string(text))
    #expect(
      JSONField(Double.nan, decimals: 3).text == "null" && JSONField(-.infinity, decimals: 0).text == "null")
    #expect(JSONField([1, -2, 3]).text == "[1, -2, 3]" && JSONField([Int32]()).text == "[]")
    #expect(JSONField(true).text == "true")
    #expect(try JSONField(["a": [1, .null]] as JSON).text == (["a": [1, .null]] as JSON).serialized())
  }
}
