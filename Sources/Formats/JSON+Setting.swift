extension JSON {
  /// The same with another value at a path of keys; objects on the way are made where there are none.
  ///
  /// - Parameters:
  ///   - path: keys from the outermost object inwards, one or more.
  ///   - value: what stands there afterwards; `null` takes the key away.
  /// - Returns: `nil` where something on the way is neither an object nor missing.
  public func setting(_ path: some Collection<String>, to value: JSON) -> JSON? {
    guard let key = path.first else { return value }
    let members: [JSONObject.Member]
    switch self {
    case .object(let object): members = object.members
    case .null: members = []
    default: return nil
    }
    let place = members.firstIndex { $0.key == key }
    guard
      let inner = (place.map { members[$0].value } ?? .null).setting(path.dropFirst(), to: value)
    else { return nil }
    var result = members
    if let place {
      if inner.isNull { result.remove(at: place) } else { result[place].value = inner }
    } else if !inner.isNull {
      result.append(JSONObject.Member(key: key, value: inner))
    }
    return JSONObject(result).map { .object($0) }
  }
}
