public import Tiles

/// A function of the numbers at one place of some arrays, as a graph that kernels are recorded from and that knows its
/// derivatives.
///
/// Written as an ordinary closure over ``Term``s; equal subexpressions are one node.
public struct PointwiseFunction: Sendable, Hashable {
  /// How a value comes about; operands are numbers of earlier nodes.
  enum Node: Sendable, Hashable {
    case input(Int)
    case constant(Float)
    /// A random number within 0 ..< 1 of each place's own.
    case random
    case apply(MapFunction, [Int])
  }

  /// How many arrays it reads.
  public let inputs: Int
  let nodes: [Node]
  /// Nodes that are its results.
  let outputs: [Int]

  /// How many arrays it gives.
  public var outputCount: Int { outputs.count }

  /// Whether it draws random numbers.
  public var isRandom: Bool { nodes.contains(.random) }

  /// Records `body`, given a term for each input.
  public init(inputs: Int, _ body: ([Term]) -> [Term]) {
    let graph = PointwiseGraph()
    let terms = (0..<inputs).map { graph.term(.input($0)) }
    let results = body(terms)
    self.init(inputs: inputs, nodes: graph.nodes, outputs: results.map(\.node))
  }

  init(inputs: Int, nodes: [Node], outputs: [Int]) {
    self.inputs = inputs
    self.nodes = nodes
    self.outputs = outputs
  }

  /// Inputs that an output depends on.
  func dependencies(of output: Int) -> Set<Int> {
    var found: Set<Int> = []
    var seen: Set<Int> = []
    var pending = [outputs[output]]
    while let node = pending.popLast() {
      guard seen.insert(node).inserted else { continue }
      switch nodes[node] {
      case .input(let number): found.insert(number)
      case .apply(_, let operands): pending += operands
      case .constant, .random: break
      }
    }
    return found
  }

  /// The input that an output is, unchanged; `nil` where something is computed.
  public func passedThrough(_ output: Int) -> Int? {
    if case .input(let number) = nodes[outputs[output]] { number } else { nil }
  }
}

/// Nodes of a function that is being written.
final class PointwiseGraph {
  private(set) var nodes: [PointwiseFunction.Node] = []
  private var known: [PointwiseFunction.Node: Int] = [:]

  func term(_ node: PointwiseFunction.Node) -> Term {
    if let number = known[node] { return Term(graph: self, node: number) }
    nodes.append(node)
    known[node] = nodes.count - 1
    return Term(graph: self, node: nodes.count - 1)
  }

  func constant(_ value: Float) -> Term { term(.constant(value)) }

  /// The function of the terms, without what is plainly superfluous.
  func apply(_ function: MapFunction, _ operands: [Term]) -> Term {
    if operands.count == 2 {
      switch (function, operands[0].constantValue, operands[1].constantValue) {
      case (.add, 0, _), (.multiply, 1, _): return operands[1]
      case (.add, _, 0), (.multiply, _, 1), (.subtract, _, 0), (.divide, _, 1): return operands[0]
      case (.multiply, 0, _), (.multiply, _, 0), (.divide, 0, _): return constant(0)
      default: break
      }
    }
    return term(.apply(function, operands.map(\.node)))
  }
}

/// A number at one place while a ``PointwiseFunction`` is written.
public struct Term {
  let graph: PointwiseGraph
  let node: Int

  /// The number, where it is a constant.
  var constantValue: Float? {
    if case .constant(let value) = graph.nodes[node] { value } else { nil }
  }

  /// A tile function of this term and others.
  public func applying(_ function: MapFunction, _ others: Term...) -> Term {
    graph.apply(function, [self] + others)
  }

  /// A constant beside this term.
  public func constant(_ value: Float) -> Term { graph.constant(value) }

  /// A random number within 0 ..< 1; one for each place, however often it is asked for.
  public func random() -> Term { graph.term(.random) }

  /// The term where `self` ≥ `bound`, otherwise the other.
  public func atLeast(_ bound: Term, then: Term, else other: Term) -> Term {
    graph.apply(.selectGreaterEqual, [self, bound, then, other])
  }

  /// The larger of two.
  public func max(_ other: Term) -> Term { applying(.max, other) }
  /// The angle of the point whose ordinate this is, −π…π.
  public func angle(abscissa x: Term) -> Term { applying(.atan2, x) }

  /// Sum.
  public static func + (a: Term, b: Term) -> Term { a.applying(.add, b) }
  /// Difference.
  public static func - (a: Term, b: Term) -> Term { a.applying(.subtract, b) }
  /// Product.
  public static func * (a: Term, b: Term) -> Term { a.applying(.multiply, b) }
  /// Quotient.
  public static func / (a: Term, b: Term) -> Term { a.applying(.divide, b) }
  /// Negative.
  public static prefix func - (a: Term) -> Term { a.applying(.negate) }
  /// Sum with a constant.
  public static func + (a: Term, b: Float) -> Term { a + a.constant(b) }
  /// Sum with a constant.
  public static func + (a: Float, b: Term) -> Term { b.constant(a) + b }
  /// Difference with a constant.
  public static func - (a: Term, b: Float) -> Term { a - a.constant(b) }
  /// Difference from a constant.
  public static func - (a: Float, b: Term) -> Term { b.constant(a) - b }
  /// Product with a constant.
  public static func * (a: Term, b: Float) -> Term { a * a.constant(b) }
  /// Product with a constant.
  public static func * (a: Float, b: Term) -> Term { b.constant(a) * b }
  /// Quotient by a constant.
  public static func / (a: Term, b: Float) -> Term { a / a.constant(b) }

  /// e to the power of it.
  public var exp: Term { applying(.exp) }
  /// Natural logarithm.
  public var log: Term { applying(.log) }
  /// Hyperbolic tangent.
  public var tanh: Term { applying(.tanh) }
  /// 1 / (1 + exp(−x)).
  public var sigmoid: Term { applying(.sigmoid) }
  /// Sine of an angle in radians.
  public var sin: Term { applying(.sin) }
  /// Cosine of an angle in radians.
  public var cos: Term { applying(.cos) }
  /// Sine of the product with another, whose rounding is not lost: sin(p) + (a · b − p) · cos(p) with p the rounded product.
  ///
  /// Angles of many turns have rounding errors that networks of sines multiply from layer to layer.
  public func sineOfProduct(_ other: Term) -> Term {
    let product = self * other
    return product.sin + applying(.fma, other, -product) * product.cos
  }
  /// Size without sign.
  public var magnitude: Term { applying(.abs) }
  /// Square root.
  public var squareRoot: Term { applying(.sqrt) }
  /// Square.
  public var squared: Term { self * self }
}

extension Activation {
  /// The activation of a term.
  public func apply(to x: Term) -> Term {
    switch self {
    case .silu: x * x.sigmoid
    case .relu: x.applying(.max, x.constant(0))
    case .gelu: x * 0.5 * (1 + (x * Float(0.5).squareRoot()).applying(.erf))
    case .geluTanh: x * 0.5 * (1 + ((x + 0.044715 * x * x * x) * 0.7978845608028654).tanh)
    }
  }
}
