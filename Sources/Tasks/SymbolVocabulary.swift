/// The tokens of the recall tasks: ".", "=>" and numbers from "0" on.
///
/// A token's id is its rank among all of them, compared byte by byte as text: "." is 0, "0" is 1, "1" is 2, "10" is 3
/// where there is one, and "=>" is the last.
public struct SymbolVocabulary: Sendable, Equatable {
  /// How many tokens there are, "." and "=>" too.
  public let size: Int

  /// A vocabulary of `size` tokens.
  ///
  /// - Throws: ``TaskError/parameter(task:name:value:rule:)`` when there would be fewer than `numbers` numbers.
  init(size: Int, numbers: Int, task: String) throws(TaskError) {
    try TaskError.require(
      "the vocabulary size", size, in: numbers + 2...1 << 20, of: task,
      because: "\".\", \"=>\" and no fewer numbers than \(numbers)")
    self.size = size
  }

  /// The id of ".", which says that there is nothing.
  public var nothing: Int32 { 0 }
  /// The id of "=>", after which something is asked.
  public var prompt: Int32 { Int32(size - 1) }
  /// The ids of the numbers.
  public var numbers: Range<Int32> { 1..<Int32(size - 1) }

  /// The text of every token, by id.
  public var names: [String] { ["."] + (0..<size - 2).map(String.init).sorted() + ["=>"] }
}
