// Golden file: Scripts/golden/templates.py, rendered by jinja2 as transformers sets it up.
import Foundation
import Testing
import Tokenizers

/// One rendering by jinja2.
struct GoldenCase {
  var name: String
  var template: String
  var context: TemplateValue
  var expected: TemplateValue
}

/// JSON with members in file order, which templates can see.
struct OrderedJSON {
  private let bytes: [UInt8]
  private var at = 0

  static func parse(_ data: Data) throws -> TemplateValue {
    var reader = OrderedJSON(bytes: Array(data))
    return try reader.value()
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private mutating func next() -> UInt8 {
    while [32, 10, 13, 9, 44, 58].contains(bytes[at]) { at += 1 }
    return bytes[at]
  }

  private mutating func text() throws -> String {
    let start = at
    at += 1
    while bytes[at] != 0x22 { at += bytes[at] == 0x5C ? 2 : 1 }
    at += 1
    return try JSONDecoder().decode([String].self, from: Data([0x5B] + bytes[start..<at] + [0x5D]))[0]
  }

  private mutating func value() throws -> TemplateValue {
    switch next() {
    case 0x22: return .string(try text())
    case 0x5B:
      at += 1
      var items: [TemplateValue] = []
      while next() != 0x5D { items.append(try value()) }
      at += 1
      return .array(items)
    case 0x7B:
      at += 1
      var members: [(key: String, value: TemplateValue)] = []
      while next() != 0x7D {
        let key = try text()
        members.append((key, try value()))
      }
      at += 1
      return .object(members)
    default:
      let start = at
      while at < bytes.count, ![44, 93, 125, 32, 10].contains(bytes[at]) { at += 1 }
      switch String(decoding: bytes[start..<at], as: UTF8.self) {
      case "null": return .null
      case "true": return .boolean(true)
      case "false": return .boolean(false)
      case let number: return Int(number).map { .integer($0) } ?? .number(Double(number) ?? .nan)
      }
    }
  }
}

extension TemplateValue {
  var members: [(key: String, value: TemplateValue)] {
    if case .object(let members) = self { members } else { [] }
  }
  var items: [TemplateValue] { if case .array(let items) = self { items } else { [] } }
  var text: String? { if case .string(let text) = self { text } else { nil } }
  func member(_ name: String) -> TemplateValue? { members.first { $0.key == name }?.value }
}

extension TemplateError {
  /// The class of jinja2's exception that this one stands for.
  var family: String {
    switch self {
    case .syntax, .unsupported: "syntax"
    case .undefined: "undefined"
    case .forbidden: "forbidden"
    case .raised(_, let message): "raised \(message)"
    case .invalidOperation, .limitReached, .reservedName: "invalid"
    }
  }
}

/// Renders one case; errors become their family's name.
func rendering(of template: String, _ context: TemplateValue) -> (
  text: String?, family: String?, detail: String
) {
  do {
    var extra: [String: TemplateValue] = [:]
    for (key, value) in context.members
    where !["messages", "tools", "documents", "add_generation_prompt"].contains(key) {
      extra[key] = value
    }
    var tools: [TemplateValue]?
    if case .array(let given)? = context.member("tools") { tools = given }
    var addsPrompt = false
    if case .boolean(true)? = context.member("add_generation_prompt") { addsPrompt = true }
    let text = try ChatTemplate(template).render(
      messages: context.member("messages")?.items ?? [], tools: tools, addGenerationPrompt: addsPrompt,
      date: TemplateDate(year: 2024, month: 7, day: 4, hour: 15, minute: 5, second: 9), extra: extra)
    return (text, nil, "")
  } catch {
    return (nil, error.family, error.description)
  }
}

@Suite struct TemplatesGoldenTests {
  /// The committed file, or one named for a check during development.
  static var files: [URL] {
    let beside = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    var files = [beside.appendingPathComponent("templates.json")]
    if let more = ProcessInfo.processInfo.environment["TEMPLATE_CASES"] {
      files.append(URL(fileURLWithPath: more))
    }
    return files
  }

  @Test(arguments: files)
  func rendersAsJinja(file: URL) throws {
    let golden = try OrderedJSON.parse(try Data(contentsOf: file))
    let contexts = golden.member("contexts") ?? .null
    let templates = golden.member("templates") ?? .null
    let cases = golden.member("cases")?.items ?? []
    #expect(cases.count > 100)
    var wrong = 0
    for one in cases {
      let source = one.items[0].text ?? ""
      let template = templates.member(source)?.text ?? source
      let context = one.items[1].text.flatMap { contexts.member($0) } ?? .object([])
      let result = rendering(of: template, context)
      let family = one.items.count > 3 ? one.items[3].text : nil
      let isSame =
        family == nil
        ? result.text.map { $0.unicodeScalars.elementsEqual((one.items[2].text ?? "").unicodeScalars) }
          ?? false
        : result.family == family || (family == "forbidden" && result.family == "undefined")
      if !isSame {
        wrong += 1
        let wanted = family ?? String(reflecting: one.items[2].text ?? "")
        let found = result.text.map { String(reflecting: $0) } ?? "\(result.family ?? "") (\(result.detail))"
        if wrong < 60 {
          Issue.record("\(source.prefix(300))\n  wanted \(wanted.prefix(700))\n  found  \(found.prefix(700))")
        }
      }
    }
    #expect(wrong == 0, "\(wrong) of \(cases.count)")
  }
}
