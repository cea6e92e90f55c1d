import Formats
import TestSupport
import Testing

@Suite struct JSONTests {
  private func parse(_ text: String) throws -> JSON { try JSON.parse(text, file: "f.json") }

  @Test func values() throws {
    #expect(try parse(" null ") == .null)
    #expect(try parse("[true,false]") == [true, false])
    #expect(try parse("\t{\"a\" : [1, {\"b\":\"c\"}]}\r\n") == ["a": [1, ["b": "c"]]])
    #expect(try parse("{}") == [:])
    #expect(try parse("[ ]") == [])
  }

  @Test(arguments: [
    ("0", JSON.integer(0)), ("-1", .integer(-1)), ("9223372036854775807", .integer(.max)),
    ("-9223372036854775808", .integer(.min)), ("9223372036854775808", .number(9_223_372_036_854_775_808)),
    ("-9223372036854775809", .number(-9_223_372_036_854_775_809)), ("-0", .number(-0.0)), ("1.0", .number(1)),
    ("1e5", .number(100_000)), ("1E+2", .number(100)), ("25e-1", .number(2.5)), ("0.1", .number(0.1)),
    ("5e-324", .number(5e-324)), ("1e-400", .number(0)),
  ])
  func numbers(text: String, value: JSON) throws {
    #expect(try parse(text) == value)
    if case .number(let parsed) = try parse(text), case .number(let expected) = value {
      #expect(parsed.bitPattern == expected.bitPattern)
    }
  }

  @Test func strings() throws {
    #expect(try parse(#""\"\\\/\b\f\n\r\t""#) == .string("\"\\/\u{8}\u{c}\n\r\t"))
    #expect(try parse(#""\u0041\u00e9\u20AC\uD83D\uDE00""#) == "Aé€😀")
    #expect(try parse(#""é😀\u0000""#) == "é😀\0")
  }

  @Test(arguments: [
    ("", "ends where a value"), (" ", "ends where a value"), ("nul", "cut or misspelt"),
    ("tru e", "misspelt"),
    ("01", "start with 0"), ("-", "digit must follow the minus"), ("1.", "decimal point"), ("1e", "exponent"),
    (".5", "a value must stand here"), ("+1", "a value must"), ("NaN", "a value must"),
    ("-Infinity", "minus"),
    ("1e400", "out of range"), ("0x10", "follows the end"), ("[1,]", "a value must stand here, not \"]\""),
    ("[1 2]", "a comma or \"]\""), ("[", "ends where"), ("[1", "ends inside an array"),
    ("{\"a\"}", "a colon"),
    ("{\"a\":1,}", "a key in quotes"), ("{a:1}", "a key in quotes"), ("{\"a\":1", "ends inside"),
    ("1 2", "follows"),
    ("\"a", "ends inside a string"), ("\"a\\", "ends inside a string"), ("\"a\nb\"", "control character"),
    (#""\x""#, "escape is not"), (#""\u12g4""#, "four hexadecimal"), (#""\u12"#, "four hexadecimal"),
    (#""\uD800""#, "high surrogate stands alone"), (#""\uD800\u0041""#, "stands alone"),
    (#""\uDC00""#, "low surrogate"), ("'a'", "a value must"), ("[1]//c", "follows"),
    ("\u{feff}1", "byte-order"),
  ])
  func refused(text: String, words: String) {
    let message = message { _ = try parse(text) }
    #expect(message.hasPrefix("f.json: line ") && message.contains(words), "\(message)")
  }

  @Test func invalidUTF8() throws {
    for bad: [UInt8] in [
      [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC3], [0xE2, 0x82],
    ] {
      let text = [0x22] + bad + [0x22]
      let message = message { _ = try JSON.parse(text.span, file: "f") }
      #expect(message.contains("not valid UTF-8"), "\(message)")
    }
    #expect(throws: FormatError.self) { try JSON.parse([0xC3, 0xA9].span, file: "f") }
  }

  @Test func depth() throws {
    let deepest = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
    _ = try parse(deepest)
    #expect(message { _ = try parse("[\(deepest)]") }.contains("deeper than the limit of 64"))
    let bomb = String(repeating: "[", count: 1_000_000)
    #expect(
      message { _ = try parse(bomb) }
        == "f.json: line 1, column 65: arrays and objects are nested deeper than the limit of 64.")
    #expect(message { _ = try parse(String(repeating: "{\"a\":", count: 100_000)) }.contains("limit of 64"))
  }

  @Test func limitOfNumbers() throws {
    _ = try parse(String(repeating: "1", count: 300))
    #expect(message { _ = try parse(String(repeating: "1", count: 1025)) }.contains("the limit is 1024"))
  }

  @Test(arguments: [3, 5, 20, 500])
  func duplicateKeys(count: Int) throws {
    let members = (0..<count).map { "\"k\($0)\":\($0)" }
    let text = "{" + (members + ["\"k1\":-1"]).joined(separator: ",") + "}"
    #expect(throws: FormatError.duplicate(file: "f.json", item: "key", name: "k1")) { try parse(text) }
    let last = try JSON.parse(text, file: "f", duplicateKeys: .lastWins)
    #expect(last.object?.count == count && last["k1"] == -1 && last.object?.members[1].key == "k1")
    let good = try parse("{" + members.joined(separator: ",") + "}")
    for index in 0..<count { #expect(good["k\(index)"] == .integer(index)) }
    #expect(good["k\(count)"] == nil)
    #expect(throws: FormatError.self) { try parse(#"{"a":1,"\u0061":2}"#) }
  }

  /// Canonically equivalent but different tokens must stay two.
  @Test func keysAreBytes() throws {
    let object = try parse("{\"\u{e9}\":1,\"e\u{301}\":2,\"\u{212b}\":3,\"\u{c5}\":4}")
    #expect(
      object["\u{e9}"] == 1 && object["e\u{301}"] == 2 && object["\u{212b}"] == 3 && object["\u{c5}"] == 4)
  }

  @Test func positions() {
    let error = #expect(throws: FormatError.self) { try parse("{\n  \"a\": 1,\n  \"b\": ?\n}") }
    #expect(
      error == .syntax(file: "f.json", line: 3, column: 8, reason: "a value must stand here, not \"?\""))
  }

  @Test func writing() throws {
    let value: JSON = [
      "text": "a\"\\\n\r\t\u{1}\u{1f}é😀\u{7f}", "list": [1, -2.5, true, nil, 1e300, 5e-324, 0.1],
      "empty": [:],
    ]
    let text = try value.serialized()
    #expect(text.hasPrefix(#"{"text":"a\"\\\n\r\t\u0001\u001fé😀"#))
    #expect(!text.contains("\n"))
    #expect(try parse(text) == value)
    for number in [Double.infinity, -.infinity, .nan] {
      #expect(throws: FormatError.self) { try JSON.number(number).serialized() }
    }
    #expect(try JSON.number(3).serialized() == "3.0")
    var deep = JSON.array([])
    for _ in 0..<63 { deep = .array([deep]) }
    _ = try deep.serialized()
    #expect(throws: FormatError.self) { try JSON.array([deep]).serialized() }
  }

  @Test func nodes() throws {
    let text = #"{"layers":"x","rope":{"factor":0,"list":[1,"b"]},"none":null,"big":99999999999}"#
    let root = JSONNode(try parse(text), file: "config.json")
    #expect(
      message { _ = try root.required("layers").positiveInteger() }
        == "config.json: layers: expected a positive integer, found \"x\".")
    #expect(
      message { _ = try root.required("rope").required("factor").positiveNumber() }
        == "config.json: rope.factor: expected a positive number, found 0.")
    #expect(
      message { _ = try root.required("rope").required("list").elements()[1].integer() }
        == "config.json: rope.list[1]: expected an integer, found \"b\".")
    #expect(message { _ = try root.required("none") } == "config.json: none is missing.")
    #expect(try root.optional("none") == nil)
    #expect(
      message { _ = try root.required("big").positiveInteger() }.contains("expected a positive integer"))
    #expect(message { _ = try root.required("layers").optional("a") }.contains("layers: expected an object"))
    #expect(try root.required("rope").required("list").elements()[0].integer(in: 1...1) == 1)
  }

  /// T-16: a text of any one byte is a value or an error.
  @Test func fiftyKilobytesOfEveryByte() {
    for byte in UInt8.min ... .max {
      let text = [UInt8](repeating: byte, count: 50_000)
      _ = try? JSON.parse(text.span, file: "f")
      _ = try? JSON.parse(([0x22] + text).span, file: "f")
    }
  }

  /// The shape of a tokenizer.json: short keys with integers, pairs of short strings.
  @Test func speed() throws {
    var text = "{\"vocab\":{"
    for index in 0..<400_000 { text += "\(index > 0 ? "," : "")\n  \"Ġtok\(index)\": \(index)" }
    text += "},\"merges\":["
    for index in 0..<400_000 { text += "\(index > 0 ? "," : "")\n  \"Ġa\(index) b\"" }
    text += "]}"
    let clock = ContinuousClock()
    var best = Duration.seconds(100)
    for _ in 0..<3 {
      var count: Int?
      best = min(best, try clock.measure { count = try parse(text)["vocab"]?.object?.count })
      #expect(count == 400_000)
    }
    let seconds = Double(best.components.attoseconds) * 1e-18 + Double(best.components.seconds)
    print("JSON: \(text.utf8.count) bytes in \(seconds) s, \(Double(text.utf8.count) / seconds / 1e6) MB/s")
    #expect(seconds < 10)
  }
}
