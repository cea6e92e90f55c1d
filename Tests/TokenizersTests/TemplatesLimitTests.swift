import Testing
import Tokenizers

/// What a rendering throws, if it throws.
private func failure(
  _ source: String, _ adjust: (inout TemplateLimits) -> Void = { _ in }, extra: [String: TemplateValue] = [:]
) -> TemplateError? {
  var limits = TemplateLimits()
  adjust(&limits)
  do {
    _ = try ChatTemplate(source, limits: limits).render(
      messages: [], addGenerationPrompt: false, extra: extra)
    return nil
  } catch {
    return error
  }
}

private func isLimit(_ error: TemplateError?, _ name: String) -> Bool {
  if case .limitReached(_, let limit, _)? = error { return limit == name }
  return false
}

@Suite struct TemplatesLimitTests {
  @Test func endsLongLoopsQuickly() {
    let clock = ContinuousClock()
    let time = clock.measure {
      #expect(isLimit(failure("{% for i in range(10**9) %}{% endfor %}"), "numbers in one range"))
      let nested = "{% for i in range(99999) %}{% for j in range(99999) %}{{ j }}{% endfor %}{% endfor %}"
      #expect(isLimit(failure(nested), "steps"))
      let doubling =
        "{% set n = namespace(s='ab') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}"
      #expect(isLimit(failure(doubling), "bytes of text"))
      #expect(isLimit(failure("{{ 'a' * 10 ** 12 }}"), "bytes of text"))
      #expect(isLimit(failure("{{ ([0] * 10 ** 9)|length }}"), "steps"))
      #expect(isLimit(failure("{{ '%999999999d' % 1 }}"), "bytes of text"))
      #expect(failure("{{ '' * 10 ** 15 }}{{ [] * 10 ** 15 }}") == nil)
      let shared =
        "{% set n = namespace(v=[1]) %}{% for i in range(90) %}{% set n.v = [n.v, n.v] %}{% endfor %}"
      for use in [
        "n.v == [n.v[0], n.v[1]]", "n.v in [n.v]", "n.v", "n.v|tojson", "[n.v, n.v]|sort", "n.v is eq n.v",
      ] {
        #expect(isLimit(failure("\(shared){{ \(use) }}"), "steps"))
      }
      #expect(failure("{{ ('a' * 10 ** 6 ~ 'b') in 'a' * 10 ** 7 }}") == nil)
      #expect(failure("{{ ('a' * 10 ** 7).find('a' * 10 ** 6 ~ 'b') }}") == nil)
    }
    #expect(time < .seconds(30))
  }

  @Test func refusesDepth() {
    let brackets = String(repeating: "(", count: 5000) + "1" + String(repeating: ")", count: 5000)
    #expect(isLimit(failure("{{ \(brackets) }}"), "levels of nesting"))
    #expect(isLimit(failure("{{ x\(String(repeating: ".a", count: 5000)) }}"), "levels of nesting"))
    #expect(isLimit(failure("{{ x\(String(repeating: "|e", count: 5000)) }}"), "levels of nesting"))
    #expect(isLimit(failure("{{ \(String(repeating: "not ", count: 5000)) 1 }}"), "levels of nesting"))
    #expect(isLimit(failure(String(repeating: "{% if 1 %}", count: 5000)), "levels of nesting"))
    #expect(failure("{{ 1\(String(repeating: " + 1", count: 5000)) }}") == nil)
    #expect(isLimit(failure("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), "levels of evaluation"))
    let nest = "{% set n = namespace(v=[]) %}{% for i in range(9999) %}{% set n.v = [n.v] %}{% endfor %}"
    #expect(isLimit(failure(nest), "levels of lists in lists"))
    #expect(
      isLimit(failure("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"), "levels of evaluation"))
  }

  @Test func refusesSizes() {
    #expect(isLimit(failure("abcdef", { $0.templateBytes = 5 }), "bytes of template"))
    #expect(isLimit(failure("abcdef", { $0.outputBytes = 5 }), "bytes of text"))
    #expect(isLimit(failure("{{ 1 }}{{ 2 }}", { $0.steps = 3 }), "steps"))
  }

  @Test(arguments: [
    "range(0, 9223372036854775807, 9223372036854775806)", "'abc'[1::9223372036854775807]",
    "'abc'[::-9223372036854775807 - 1]", "range(9)[::9223372036854775807]",
    "'abc'|truncate(-9223372036854775807)",
    "'abc'|batch(9223372036854775807)|list", "'a'.center(9223372036854775807)", "-9223372036854775807 - 2",
    "(-9223372036854775807 - 1) // -1", "(-9223372036854775807 - 1)|abs", "'a'|indent(9223372036854775807)",
    "[[1]]|tojson(indent=9223372036854775807)", "'abc'[9223372036854775807]",
    "'abc'.find('a', -9223372036854775807)",
    "[1]|slice(9223372036854775807)|list", "'%9223372036854775807d' % 1", "1e308 * 10", "(1e308 * 10)|int",
    "range(-9223372036854775807, 9223372036854775807)", "2 ** 64", "range(9223372036854775807, 0, -1)",
  ])
  func survivesExtremeNumbers(expression: String) {
    _ = failure("{{ \(expression) }}")
  }

  @Test func keepsReservedNames() {
    #expect(failure("x", extra: ["messages": []]) == .reservedName("messages"))
    #expect(failure("x", extra: ["raise_exception": 1]) == .reservedName("raise_exception"))
    #expect(failure("{{ bos_token }}", extra: ["bos_token": "<s>"]) == nil)
  }

  @Test(arguments: [
    "include 'a'", "import 'a' as b", "from 'a' import b", "extends 'a'", "block b", "autoescape true",
  ])
  func refusesOtherTemplates(tag: String) {
    let place = TemplatePlace(line: 2, column: 1)
    let word = tag.split(separator: " ")[0]
    #expect(failure("a\n{% \(tag) %}") == .unsupported(at: place, construct: "'{% \(word) %}'"))
  }

  @Test func namesThePlaceAndTheRemedy() {
    #expect(
      failure("a\n  {{ 'x' + 1 }}")?.description
        == "template line 2, column 6: '+' does not apply to str and int. Check the messages' fields, or correct the template."
    )
    #expect(
      failure("{{ x.y }}")?.description
        == "template line 1, column 5: 'x' is undefined, so it has no 'y'. Pass the variable, or test it with `is defined` first."
    )
    #expect(
      failure("{{ raise_exception('no') }}")?.description
        == "template line 1, column 19: the template refuses this conversation: no")
    #expect(
      failure("{{ [].append(1) }}")?.description
        == "template line 1, column 13: 'append' would change a list. Templates may read their inputs only; use another template."
    )
  }

  @Test func rendersTurnsInTime() throws {
    let source = """
      {% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}
      """
    let clock = ContinuousClock()
    var template = try ChatTemplate(source)
    let parse = try clock.measure { template = try ChatTemplate(String(repeating: source, count: 20)) }
    let turns = (0..<10).map {
      ChatMessage(role: $0 % 2 == 0 ? "user" : "assistant", content: String(repeating: "word ", count: 60))
    }
    var best = Duration.seconds(9)
    template = try ChatTemplate(source)
    for _ in 0..<20 { best = min(best, try clock.measure { _ = try template.render(turns) }) }
    print("templates: parse of 20 loops \(parse), render of 10 turns \(best)")
    #expect(best < .milliseconds(20))
  }
}
