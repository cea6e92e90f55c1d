internal import Formats
internal import Kernels
internal import Tensors

/// What mixes the channels of a position.
public enum FeedForwardKind: Sendable, Hashable {
  /// Two linear layers with GELU between them.
  case dense
  /// Block-diagonal, as in Monarch Mixer; how many blocks, and whether gated, or with GELU between them as in M2-ViT.
  case blockDiagonal(blocks: Int, isGated: Bool = true)
  /// Two Monarch matrices with GELU between them; blocks of each factor.
  case monarch(blocks: Int)
}

extension FeedForwardKind {
  /// What recipes may say.
  static let forms = [
    SettingForm("dense", "Two linear layers with GELU between them."),
    SettingForm(
      "block_diagonal", "Block-diagonal, as in Monarch Mixer.",
      keys: [
        SettingKey(
          "blocks", .count, default: 4,
          "Blocks of each matrix; they divide `width` and `feed_forward`, and have to be stated where four do not."
        ),
        SettingKey(
          "gated", .truth, default: true,
          "Whether a half of what the first makes multiplies the other, as in M2-BERT; GELU alone is between them otherwise, as in M2-ViT."
        ),
      ]),
    SettingForm(
      "monarch", "Two Monarch matrices with GELU between them.",
      keys: [
        SettingKey(
          "blocks", .count, default: 4,
          "Blocks of each factor; they divide `width` and `feed_forward`, and their square the smaller of the two."
        )
      ]),
  ]

  /// - Parameters:
  ///   - node: one of ``forms``.
  ///   - width: of a position.
  ///   - inner: between the layers.
  init(_ node: JSONNode, width: Int, inner: Int) throws(FormatError) {
    let (name, settings) = try node.named(Self.forms)
    switch name {
    case "dense": self = .dense
    case "block_diagonal", "monarch":
      let blocks = try settings?.blocks(dividing: width, inner) ?? 4
      guard width % blocks == 0, inner % blocks == 0 else {
        throw node.wrong("blocks that divide the width, \(width), and feed_forward, \(inner)")
      }
      let smaller = min(width, inner)
      guard name == "block_diagonal" || smaller % (blocks * blocks) == 0 else {
        throw node.wrong("blocks whose square divides \(smaller)")
      }
      guard name == "block_diagonal" else {
        self = .monarch(blocks: blocks)
        return
      }
      self = .blockDiagonal(blocks: blocks, isGated: try settings?.optional("gated")?.bool() ?? true)
    default: preconditionFailure("feed-forward layers \(name) are described, not read")
    }
  }

  var json: JSON {
    switch self {
    case .dense: "dense"
    case .blockDiagonal(let blocks, let isGated):
      ["block_diagonal": ["blocks": .integer(blocks), "gated": .bool(isGated)]]
    case .monarch(let blocks): ["monarch": ["blocks": .integer(blocks)]]
    }
  }

  /// The layers, under `fc1` and `fc2`, or `gated_layers` and `wo`.
  ///
  /// - Parameter deviation: of the second dense layer's weights when they are drawn.
  func make(_ scope: ParameterScope, width: Int, inner: Int, deviation: Float) throws -> FeedForward {
    switch self {
    case .dense:
      .dense(
        up: try AffineLayer(scope.scope("fc1"), inputs: width, outputs: inner),
        down: try AffineLayer(scope.scope("fc2"), inputs: inner, outputs: width, deviation: deviation))
    case .blockDiagonal(let blocks, isGated: true):
      .gated(try GatedBlockLayer(scope, width: width, inner: inner, blocks: blocks))
    case .blockDiagonal(let blocks, isGated: false):
      .blocks(
        up: try BlockDiagonalLayer(scope.scope("fc1"), inputs: width, outputs: inner, blocks: blocks),
        down: try BlockDiagonalLayer(scope.scope("fc2"), inputs: inner, outputs: width, blocks: blocks))
    case .monarch(let blocks):
      .monarch(
        up: try MonarchLayer(scope.scope("fc1"), inputs: width, outputs: inner, blocks: blocks),
        down: try MonarchLayer(scope.scope("fc2"), inputs: inner, outputs: width, blocks: blocks))
    }
  }
}

/// Layers that mix the channels of a position.
enum FeedForward {
  /// ``FeedForwardKind/dense``.
  case dense(up: AffineLayer, down: AffineLayer)
  /// ``FeedForwardKind/blockDiagonal(blocks:isGated:)``, gated.
  case gated(GatedBlockLayer)
  /// The same with GELU between them.
  case blocks(up: BlockDiagonalLayer, down: BlockDiagonalLayer)
  /// ``FeedForwardKind/monarch(blocks:)``.
  case monarch(up: MonarchLayer, down: MonarchLayer)

  /// `[…, D]` → `[…, D]`.
  func callAsFunction(_ x: Variable) throws -> Variable {
    switch self {
    case .dense(let up, let down): try down(up(x, activation: .geluTanh))
    case .gated(let layer): try layer(x)
    case .blocks(let up, let down): try down(up(x).activated(.geluTanh))
    case .monarch(let up, let down): try down(up(x).activated(.geluTanh))
    }
  }
}
