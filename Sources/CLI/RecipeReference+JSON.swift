internal import Formats

extension RecipeReference {
  /// A line of JSON for each key of a part, or for each form.
  static func lines(_ part: Part) throws -> String {
    switch part.content {
    case .keys(let keys): try keys.map { try line(Entry(part: part, key: $0)) }.joined()
    case .forms(let forms):
      try forms.map { form in
        Output.line([
          "key": JSONField(part.path(of: form.name)), "networks": try networks(part), "type": "name",
          "meaning": JSONField(form.meaning),
        ])
      }.joined()
    case .kinds: ""
    }
  }

  /// A line of JSON that says all of a key.
  static func line(_ entry: Entry) throws -> String {
    let values = entry.key.values
    var (isRequired, standard, words): (Bool, JSON?, String?) = (false, nil, nil)
    switch entry.key.standard {
    case .required: isRequired = true
    case .value(let value): standard = value
    case .words(let text): words = text
    }
    return Output.line([
      "key": JSONField(entry.path), "networks": try networks(entry.part), "type": JSONField(values.type),
      "values": JSONField(values.description),
      "choices": try values.choices.map { try JSONField(.array($0.map { .string($0) })) },
      "least": try values.least.map { try JSONField($0) }, "most": try values.most.map { try JSONField($0) },
      "above": try values.above.map { try JSONField($0) },
      "below": try values.below.map { try JSONField($0) },
      "required": JSONField(isRequired), "default": try standard.map { try JSONField($0) },
      "otherwise": words.map { JSONField($0) }, "meaning": JSONField(entry.key.meaning),
    ])
  }

  private static func networks(_ part: Part) throws -> JSONField? {
    part.networks.isEmpty ? nil : try JSONField(.array(part.networks.map { .string($0) }))
  }
}

extension SettingValues {
  /// What a program calls it.
  fileprivate var type: String {
    switch self {
    case .integer: "integer"
    case .number: "number"
    case .truth: "boolean"
    case .text, .choice: "string"
    case .words: "array"
    case .object, .oneOf: "object"
    case .named: "form"
    }
  }

  /// Names of which one stands there.
  fileprivate var choices: [String]? {
    switch self {
    case .choice(let names): names
    case .named(let forms): forms.map(\.name)
    default: nil
    }
  }

  /// The least that may stand there, where there is one.
  fileprivate var least: JSON? {
    switch self {
    case .integer(let range, _): .integer(range.lowerBound)
    case .number(.including(let least), _): .number(least)
    default: nil
    }
  }

  /// What any number there is above, where the number itself may not stand there.
  fileprivate var above: JSON? {
    if case .number(.excluding(let end), _) = self { .number(end) } else { nil }
  }

  /// What any number there is below, where the number itself may not stand there.
  fileprivate var below: JSON? {
    if case .number(_, .excluding(let end)) = self { .number(end) } else { nil }
  }

  /// The most that may stand there, where there is one.
  fileprivate var most: JSON? {
    switch self {
    case .integer(let range, _): .integer(range.upperBound)
    case .number(_, .including(let most)): .number(most)
    default: nil
    }
  }
}
