internal import Tiles

extension PointwiseFunction {
  /// Gradients with respect to some inputs of a sum, given its gradients with respect to the outputs.
  ///
  /// - Parameters:
  ///   - inputs: those whose gradients are wanted.
  ///   - outputs: those whose gradients are given; the sum does not depend on the others.
  /// - Returns: a function of the original inputs and then the given gradients, and for each wanted input the number of the
  ///   function's output that is its gradient, `nil` where that is 0. What the forward pass computed is computed again.
  public func gradient(
    of inputs: [Int], given outputs: [Int]
  ) -> (function: PointwiseFunction, outputs: [Int?]) {
    let graph = PointwiseGraph()
    var values: [Term] = []
    for node in nodes {
      guard case .apply(let function, let operands) = node else {
        values.append(graph.term(node))
        continue
      }
      values.append(graph.term(.apply(function, operands.map { values[$0].node })))
    }
    var adjoints = [Term?](repeating: nil, count: nodes.count)
    func add(_ term: Term, to node: Int) {
      if term.constantValue == 0 { return }
      adjoints[node] = adjoints[node].map { $0 + term } ?? term
    }
    for (place, output) in outputs.enumerated() {
      add(graph.term(.input(self.inputs + place)), to: self.outputs[output])
    }
    for number in nodes.indices.reversed() {
      guard case .apply(let function, let operands) = nodes[number], let g = adjoints[number] else {
        continue
      }
      let terms = function.adjoints(g, value: values[number], operands: operands.map { values[$0] })
      for (operand, term) in zip(operands, terms) { if let term { add(term, to: operand) } }
    }
    var results: [Int] = []
    let places = inputs.map { input -> Int? in
      guard let node = nodes.firstIndex(of: .input(input)), let term = adjoints[node] else { return nil }
      results.append(term.node)
      return results.count - 1
    }
    let function = PointwiseFunction(
      inputs: self.inputs + outputs.count, nodes: graph.nodes, outputs: results)
    return (function.pruned(), places)
  }

  /// Without nodes that no output needs; inputs keep their numbers.
  private func pruned() -> PointwiseFunction {
    var isNeeded = [Bool](repeating: false, count: nodes.count)
    for output in outputs { isNeeded[output] = true }
    for number in nodes.indices.reversed() where isNeeded[number] {
      if case .apply(_, let operands) = nodes[number] { for operand in operands { isNeeded[operand] = true } }
    }
    var renumbered = [Int](repeating: 0, count: nodes.count)
    var kept: [Node] = []
    for number in nodes.indices where isNeeded[number] {
      renumbered[number] = kept.count
      if case .apply(let function, let operands) = nodes[number] {
        kept.append(.apply(function, operands.map { renumbered[$0] }))
      } else {
        kept.append(nodes[number])
      }
    }
    return PointwiseFunction(inputs: inputs, nodes: kept, outputs: outputs.map { renumbered[$0] })
  }
}

extension MapFunction {
  /// What each operand's gradient is, given that of the result; `nil` where it is 0.
  fileprivate func adjoints(_ g: Term, value y: Term, operands: [Term]) -> [Term?] {
    let a = operands[0]
    let b = operands.count > 1 ? operands[1] : a
    let zero = g.constant(0)
    switch self {
    case .add: return [g, g]
    case .subtract: return [g, -g]
    case .multiply: return [g * b, g * a]
    case .divide: return [g / b, -(g * y / b)]
    case .min: return [b.atLeast(a, then: g, else: zero), b.atLeast(a, then: zero, else: g)]
    case .max: return [a.atLeast(b, then: g, else: zero), a.atLeast(b, then: zero, else: g)]
    case .fma: return [g * b, g * a, g]
    case .selectGreaterEqual:
      return [nil, nil, a.atLeast(b, then: g, else: zero), a.atLeast(b, then: zero, else: g)]
    case .negate: return [-g]
    case .abs: return [a.atLeast(zero, then: g, else: -g)]
    case .sqrt: return [g * 0.5 / y]
    case .rsqrt: return [g * -0.5 * y * y * y]
    case .reciprocal: return [-(g * y * y)]
    case .exp: return [g * y]
    case .exp2: return [g * y * 0.6931471805599453]
    case .log: return [g / a]
    case .tanh: return [g * (1 - y * y)]
    case .erf: return [g * (-(a * a)).exp * 1.1283791670955126]
    case .sigmoid: return [g * y * (1 - y)]
    case .sin: return [g * a.cos]
    case .cos: return [-(g * a.sin)]
    case .atan2:
      let square = a * a + b * b
      return [g * b / square, -(g * a / square)]
    }
  }
}
