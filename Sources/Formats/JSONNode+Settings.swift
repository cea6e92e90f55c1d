extension JSONNode {
  /// - Throws: ``FormatError/wrongValue(file:key:expected:found:)`` for the first member whose key is none of these.
  public func requireKeys(_ known: [String]) throws(FormatError) {
    for member in try object().members where !known.contains(member.key) {
      let names = known.isEmpty ? "no settings" : "one of \(known.joined(separator: ", "))"
      throw .wrongValue(
        file: file, key: path.isEmpty ? member.key : "\(path).\(member.key)", expected: names,
        found: "an unknown key")
    }
  }

  /// - Throws: as ``requireKeys(_:)-([String])`` for the first member whose key is none of these.
  public func requireKeys(_ known: [SettingKey]) throws(FormatError) { try requireKeys(known.map(\.name)) }

  /// The name of one of these forms, with settings or alone; settings have no keys but the form's.
  public func named(_ forms: [SettingForm]) throws(FormatError) -> (name: String, settings: JSONNode?) {
    let (name, settings) = try named()
    guard let form = forms.first(where: { $0.name == name }) else {
      throw wrong("one of \(forms.map(\.name).joined(separator: ", "))")
    }
    try settings?.requireKeys(form.keys)
    return (name, settings)
  }

  /// A name, with settings or alone: `name` or `{name: {…}}`.
  public func named() throws(FormatError) -> (name: String, settings: JSONNode?) {
    if case .string(let name) = json { return (name, nil) }
    let object = try object()
    guard object.members.count == 1, let member = object.members.first else {
      throw wrong("a name, or an object of one")
    }
    return (member.key, try optional(member.key))
  }

  /// The place of a string among those that may stand here.
  public func choice(_ names: [String]) throws(FormatError) -> Int {
    guard let place = names.firstIndex(of: try string()) else {
      throw wrong("one of \(names.joined(separator: ", "))")
    }
    return place
  }

  /// A member within 0 ..< 1.
  public func share(_ key: String) throws(FormatError) -> Float? {
    guard let node = try optional(key) else { return nil }
    let value = try node.number()
    guard value >= 0, Float(value) < 1 else {
      throw node.wrong("a number from 0 to below 1, also in float32")
    }
    return Float(value)
  }
}

extension JSON {
  /// A number as a float32 has it.
  public static func float(_ value: Float) -> JSON { .number(Double(value)) }
}
