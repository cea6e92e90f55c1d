internal import Formats
internal import Tensors

/// Square patches of pictures, each of which is a position, as a Vision Transformer takes them.
///
/// With attention and dense layers a ``SequenceClassifier`` of them is ViT; with `monarch_mixer` and block-diagonal layers it is M2-ViT.
/// Positions go row by row, the numbers of one likewise, for each pixel its channels one after the other.
///
/// Dosovitskiy et al., 2020, arXiv:2010.11929; Fu et al., 2023, arXiv:2310.12109.
public struct PicturePatches: Sendable, Hashable {
  /// Pixels of a patch's side.
  public let side: Int
  /// Pixels of a picture's row.
  public let row: Int
  /// Pixels of a patch.
  public var pixels: Int { side * side }

  /// - Precondition: the side divides the row, and both are positive.
  public init(side: Int, row: Int) {
    precondition(side > 0 && row > 0 && row % side == 0, "patches of \(side) in rows of \(row)")
    (self.side, self.row) = (side, row)
  }

  /// Whether so many pixels are whole patches.
  func suits(_ pixels: Int) -> Bool { pixels > 0 && pixels % (row * side) == 0 }

  /// Numbers of patches, `[batch, pixels, channels]` → `[batch, patches, side² · channels]`.
  ///
  /// - Precondition: pictures are whole patches.
  func callAsFunction(_ x: Variable) throws -> Variable {
    let (batch, pixels, channels) = (x.shape[0], x.shape[1], x.shape[2])
    precondition(suits(pixels), "pictures of \(pixels) pixels, patches of \(side) in rows of \(row)")
    let (down, across) = (pixels / row / side, row / side)
    return try x.reshaped([batch, down, side, across, side * channels]).permuted([0, 1, 3, 2, 4])
      .reshaped([batch, down * across, self.pixels * channels])
  }
}

extension PicturePatches {
  private static let sides = 1...4096
  private static let rows = 1...1 << 20

  /// Keys of the object that gives them.
  static let keys = [
    SettingKey(
      "patch", .integer(sides), otherwise: "a pixel a position",
      "Pixels of the side of square patches, each of which is a position; where the data are pictures."),
    SettingKey(
      "picture_row", .integer(rows), otherwise: "the root of the data's pixels",
      "Pixels of a picture's row, where `patch` is stated."),
  ]

  /// Those of an object; `nil` where it states none.
  ///
  /// - Parameters:
  ///   - node: an object with keys of ``keys`` and others.
  ///   - pixels: of the data's pictures, where they are known.
  ///   - isPictures: whether the data are numbers.
  init?(_ node: JSONNode, pixels: Int?, isPictures: Bool) throws(FormatError) {
    let stated = try node.optional("picture_row")
    guard let patch = try node.optional("patch") else {
      if let stated { throw stated.wrong("no such key, since there is no patch") }
      return nil
    }
    guard isPictures else { throw patch.wrong("no such key, since the data are tokens") }
    let side = try patch.integer(in: Self.sides)
    let row: Int
    if let stated {
      row = try stated.integer(in: Self.rows)
    } else {
      let root = Int(Double(pixels ?? 0).squareRoot().rounded())
      // Where pictures are no squares it has to be said how they lie.
      row = root > 0 && root * root == pixels ? root : try node.required("picture_row").integer(in: Self.rows)
    }
    let columns = pixels.map { $0 / row } ?? side
    if let pixels, let stated, pixels % row != 0 {
      throw stated.wrong("a divisor of the data's \(pixels) pixels")
    }
    guard row % side == 0, columns % side == 0 else {
      throw patch.wrong("a divisor of \(row)\(pixels == nil || columns == row ? "" : " and of \(columns)")")
    }
    self.init(side: side, row: row)
  }
}
