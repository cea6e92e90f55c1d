/// A JSON value that knows where it stands, so that every complaint names the file and the path to the field.
///
/// For reading settings field by field:
/// `config.json: num_hidden_layers: expected an integer from 1 to 10000, found "x"`.
public struct JSONNode: Sendable {
  /// The value itself.
  public let json: JSON
  /// What error messages call the file.
  public let file: String
  /// Keys and indices from the root, such as `rope_scaling.factor` or `layers[3]`; empty at the root.
  public let path: String

  /// The root of a document.
  public init(_ json: JSON, file: String) { self.init(json, file: file, path: "") }

  private init(_ json: JSON, file: String, path: String) {
    self.json = json
    self.file = file
    self.path = path
  }

  /// The member `key`; `nil` when it is missing or `null`.
  ///
  /// - Throws: ``FormatError/wrongValue(file:key:expected:found:)`` if this is no object.
  public func optional(_ key: String) throws(FormatError) -> JSONNode? {
    guard let value = try object()[key], !value.isNull else { return nil }
    return JSONNode(value, file: file, path: extended(key))
  }

  /// The member `key`.
  ///
  /// - Throws: ``FormatError/missingKey(file:key:)`` when it is missing or `null`, and as ``optional(_:)``.
  public func required(_ key: String) throws(FormatError) -> JSONNode {
    guard let node = try optional(key) else { throw .missingKey(file: file, key: extended(key)) }
    return node
  }

  /// The members of an object.
  public func object() throws(FormatError) -> JSONObject {
    guard case .object(let object) = json else { throw wrong("an object") }
    return object
  }

  /// The elements of an array.
  public func elements() throws(FormatError) -> [JSONNode] {
    guard case .array(let values) = json else { throw wrong("an array") }
    return values.enumerated().map { JSONNode($0.element, file: file, path: "\(path)[\($0.offset)]") }
  }

  /// A string.
  public func string() throws(FormatError) -> String {
    guard case .string(let value) = json else { throw wrong("a string") }
    return value
  }

  /// `true` or `false`.
  public func bool() throws(FormatError) -> Bool {
    guard case .bool(let value) = json else { throw wrong("true or false") }
    return value
  }

  /// An integer in `range`, written without fraction or exponent.
  public func integer(in range: ClosedRange<Int> = Int.min...Int.max) throws(FormatError) -> Int {
    guard case .integer(let value) = json, range.contains(value) else {
      let bounds = range == Int.min...Int.max ? "" : " from \(range.lowerBound) to \(range.upperBound)"
      throw wrong("an integer\(bounds)")
    }
    return value
  }

  /// An integer of at least 1 and at most 2³¹ − 1: a count, an extent.
  public func positiveInteger() throws(FormatError) -> Int {
    guard case .integer(let value) = json, value > 0, value <= Int(Int32.max) else {
      throw wrong("a positive integer")
    }
    return value
  }

  /// A number; JSON has only finite ones.
  public func number() throws(FormatError) -> Double {
    guard let value = json.number else { throw wrong("a number") }
    return value
  }

  /// A number above zero.
  public func positiveNumber() throws(FormatError) -> Double {
    guard let value = json.number, value > 0 else { throw wrong("a positive number") }
    return value
  }

  /// The error that says what should stand here.
  public func wrong(_ expected: String) -> FormatError {
    .wrongValue(
      file: file, key: path.isEmpty ? "the top level" : path, expected: expected, found: json.summary)
  }

  private func extended(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
}
