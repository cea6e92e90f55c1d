internal import Formats
internal import Memory
internal import Tasks

/// Labelled pictures, or other rows of numbers of one length, from a file of JSON lines.
///
/// Each line is `{"values": [0, 12, …], "label": 3}`: a picture's numbers row by row, for each pixel its channels one after the other.
/// Networks get them moved and scaled so that the file's least number is −1 and its largest 1.
public struct Pictures: Sendable {
  /// Most numbers in all: 4 GiB of them.
  private static let mostNumbers = 1 << 30
  /// Labels are below.
  private static let mostClasses = 1 << 16

  /// Where they lie.
  public let file: String
  /// Numbers of a pixel.
  public let channels: Int
  /// Different labels there may be: one more than the largest.
  public let classes: Int
  /// Pictures.
  public var count: Int { labels.count }
  /// Pixels of a picture.
  public var length: Int { width / channels }
  private let width: Int
  let values: [Float]
  let labels: [Int32]

  /// Reads a file.
  ///
  /// - Parameter channels: numbers of a pixel.
  /// - Throws: ``Formats/FormatError`` naming the line; ``TrainError/data(what:why:)`` for a file without pictures or with too many;
  ///   what the system says of the file.
  public init(path: String, channels: Int) throws {
    let file = try MappedFile(path: path)
    var (values, labels, width) = ([Float](), [Int32](), 0)
    let bytes = try Tensor(file, type: .uint8, shape: [file.byteCount])
    try bytes.withElements(as: UInt8.self) { span in
      try JSONLines.forEach(in: span, file: path) { picture in
        try picture.requireKeys(["values", "label"])
        let list = try picture.required("values")
        let numbers = try list.elements().map { Float(try $0.number()) }
        guard !numbers.isEmpty, numbers.count % channels == 0 else {
          throw list.wrong("numbers for whole pixels of \(channels)")
        }
        guard width == 0 || numbers.count == width else {
          throw list.wrong("as many numbers as the first picture has, \(width)")
        }
        guard numbers.allSatisfy(\.isFinite) else { throw list.wrong("numbers that float32 holds") }
        width = numbers.count
        guard values.count + width <= Self.mostNumbers else {
          throw TrainError.data(what: path, why: "it has more than \(Self.mostNumbers) numbers. Split it")
        }
        values += numbers
        labels.append(Int32(try picture.required("label").integer(in: 0...Self.mostClasses - 1)))
      }
    }
    guard let largest = labels.max(), let low = values.min(), let high = values.max() else {
      throw TrainError.data(
        what: path, why: #"it has no pictures. Each line is {"values": [numbers], "label": number}"#)
    }
    let (middle, half) = ((Double(low) + Double(high)) / 2, (Double(high) - Double(low)) / 2)
    // A file of one number only has nothing to scale.
    let scale = half > 0 ? 1 / half : 0
    self.values = values.map { Float((Double($0) - middle) * scale) }
    (self.file, self.labels, self.width) = (path, labels, width)
    self.channels = channels
    classes = max(2, Int(largest) + 1)
  }

  /// Pictures to train on and others to be judged by, drawn by the seed.
  ///
  /// - Throws: ``TrainError/data(what:why:)`` for more than there are.
  func examples(train: Int, test: Int, seed: UInt64) throws -> (train: LabelledPixels, test: LabelledPixels) {
    let (wanted, overflow) = train.addingReportingOverflow(test)
    guard !overflow, wanted <= count else {
      throw TrainError.data(
        what: file,
        why: "it has \(count) pictures; \(train) are known or to train on, and \(test) more are asked for")
    }
    var generator = SeededNumbers(seed: seed)
    let order = Array(0..<count).shuffled(using: &generator)
    func part(_ range: Range<Int>) -> LabelledPixels {
      LabelledPixels(
        width: width, labels: order[range].map { labels[$0] },
        pixels: order[range].flatMap { values[$0 * width..<($0 + 1) * width] })
    }
    return (part(0..<train), part(train..<wanted))
  }
}
