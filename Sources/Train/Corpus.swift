internal import Formats
internal import Memory

/// Text as tokens in a file, to train language models on: what `godwit corpus` writes.
///
/// A safetensors file with tensors `train` and `test` of uint8, int16 or int32 numbers; its header holds the size of the
/// vocabulary and the tokenizer. Numbers stay in the file until a step needs them.
public struct Corpus: Sendable {
  /// Where it lies.
  public let file: String
  /// Different tokens.
  public let vocabularySize: Int
  /// `bytes`, or the contents of a `tokenizer.json`.
  public let tokenizer: String
  /// What is trained on.
  public let train: TokenRun
  /// What networks are judged by.
  public let test: TokenRun

  /// Opens a file.
  ///
  /// - Throws: ``Formats/FormatError``; ``TrainError/data(what:why:)`` for a file that is no corpus.
  public init(path: String) throws {
    let tensors = try Safetensors(path: path)
    guard let size = tensors.metadata["godwit.corpus.vocabulary"].flatMap(Int.init),
      (1..<Int(Int32.max)).contains(size),
      let tokenizer = tensors.metadata["godwit.tokenizer"], tensors.contains("train"),
      tensors.contains("test")
    else {
      throw TrainError.data(what: path, why: "it is no corpus. Make one of text with `godwit corpus`")
    }
    file = path
    vocabularySize = size
    self.tokenizer = tokenizer
    train = try TokenRun(tensors.tensor("train"), below: size, file: path)
    test = try TokenRun(tensors.tensor("test"), below: size, file: path)
  }

  /// Writes a file that appears when it is complete.
  ///
  /// - Parameters:
  ///   - train: tokens below `vocabularySize`, as are those of `test`.
  ///   - tokenizer: `bytes`, or the contents of a `tokenizer.json`.
  /// - Throws: ``Formats/FormatError/unwritable(file:reason:)``, an error of memory.
  public static func write(
    train: [Int32], test: [Int32], vocabularySize: Int, tokenizer: String, to path: String
  ) throws {
    let type: ElementType = vocabularySize <= 256 ? .uint8 : vocabularySize <= 1 << 15 ? .int16 : .int32
    func tensor(_ tokens: [Int32]) throws -> Tensor {
      let result = try Tensor(zeros: type, [tokens.count])
      switch type {
      case .uint8:
        result.withMutableElements(as: UInt8.self) { for i in tokens.indices { $0[i] = UInt8(tokens[i]) } }
      case .int16:
        result.withMutableElements(as: Int16.self) { for i in tokens.indices { $0[i] = Int16(tokens[i]) } }
      default:
        result.withMutableElements(as: Int32.self) { for i in tokens.indices { $0[i] = tokens[i] } }
      }
      return result
    }
    try SafetensorsWriter.write(
      [("train", tensor(train)), ("test", tensor(test))],
      metadata: ["godwit.corpus.vocabulary": "\(vocabularySize)", "godwit.tokenizer": tokenizer], to: path)
  }
}

/// Tokens that lie in a file.
public struct TokenRun: Sendable {
  /// How many there are.
  public let count: Int
  private let tensor: Tensor
  private let limit: Int
  private let file: String

  init(_ tensor: Tensor, below limit: Int, file: String) throws {
    guard tensor.shape.count == 1, [.uint8, .int16, .int32].contains(tensor.type) else {
      throw TrainError.data(
        what: file,
        why: "tokens are \(tensor.type.rawValue) \(tensor.shape), not a row of uint8, int16 or int32 numbers")
    }
    (count, self.tensor, self.limit, self.file) = (tensor.shape[0], tensor, limit, file)
  }

  /// Some tokens in order.
  ///
  /// - Throws: ``TrainError/data(what:why:)`` for a number that is no token.
  subscript(range: Range<Int>) -> [Int32] {
    get throws {
      let part = tensor.sliced(axis: 0, range)
      let tokens =
        switch tensor.type {
        case .uint8: part.withElements(as: UInt8.self) { s in s.indices.map { Int32(s[$0]) } }
        case .int16: part.withElements(as: Int16.self) { s in s.indices.map { Int32(s[$0]) } }
        default: part.withElements(as: Int32.self) { s in s.indices.map { s[$0] } }
        }
      if let place = tokens.firstIndex(where: { $0 < 0 || Int($0) >= limit }) {
        throw TrainError.data(
          what: file,
          why:
            "number \(range.lowerBound + place) is \(tokens[place]), tokens are below \(limit). Make it anew")
      }
      return tokens
    }
  }
}
