internal import Formats

/// Where the parameters of a network lie in a published checkpoint, under the names by which networks ask for them.
///
/// Published files differ in what they put before the names, in what wrappers were about the layers, and, for the first
/// H3, in the names themselves and in which norm belongs to which layer.
struct PublicNames {
  /// A tensor of the file, or some of its rows.
  struct Place {
    var name: String
    var rows: Range<Int>?
  }

  /// What all names begin with that belong to the network, such as `state_dict.model.`.
  let prefix: String
  /// By the network's name.
  private(set) var places: [String: Place] = [:]
  /// Names without the prefix: optimizers' tensors, heads of other tasks.
  private(set) var outside: [String] = []

  private static let embedding = "backbone.embeddings.word_embeddings.weight"
  private static let oldNorm = "s4seq.encoder.layers.0.norm1.weight"

  /// - Throws: ``ModelError/unknownLayout(file:names:)``.
  init(_ file: any NamedTensors) throws {
    let names = file.names
    let ends = [Self.embedding, Self.oldNorm]
    let prefixes = Set(
      names.compactMap { name in
        ends.first { name == $0 || name.hasSuffix("." + $0) }.map { String(name.dropLast($0.count)) }
      })
    guard let prefix = prefixes.first else {
      throw ModelError.unknownLayout(file: file.file, names: Array(names.prefix(3)))
    }
    guard prefixes.count == 1 else {
      throw ModelError.invalid(
        key: "the number of networks in \(file.file)", value: prefixes.sorted().joined(separator: ", "),
        allowed: "one; save the state dict of one alone")
    }
    self.prefix = prefix
    for name in names {
      guard name.hasPrefix(prefix) else {
        outside.append(name)
        continue
      }
      let own = Self.current(String(name.dropFirst(prefix.count)))
      guard places.updateValue(Place(name: name), forKey: own) == nil else {
        throw FormatError.duplicate(file: file.file, item: "parameter", name: own)
      }
    }
  }

  /// Whether there is a tensor for a network's name.
  func contains(_ name: String) -> Bool { places[name] != nil }

  /// Numbers of layers, from the names.
  var layers: [Int] {
    let start = "backbone.layers."
    let numbers = places.keys.compactMap { name in
      name.hasPrefix(start) ? Int(name.dropFirst(start.count).prefix { $0 != "." }) : nil
    }
    return Set(numbers).sorted()
  }

  /// The name that today's files use.
  private static func current(_ name: String) -> String {
    let beginnings = [
      ("s4seq.encoder.norm", "backbone.ln_0"), ("s4seq.encoder.", "backbone."),
      ("backbone.norm", "backbone.ln_0"),
      ("embedding.", "backbone.embeddings.word_embeddings."),
    ]
    var name = name
    if let (old, new) = beginnings.first(where: { name.hasPrefix($0.0) }) {
      name = new + name.dropFirst(old.count)
    }
    // What saves memory in training wraps mixers and feed-forward layers.
    var parts = name.split(separator: ".", omittingEmptySubsequences: false)
    if parts.count > 5, parts[0] == "backbone", parts[1] == "layers", parts[4] == "layer",
      ["mixer", "mlp"].contains(parts[3])
    {
      parts.remove(at: 4)
    }
    return parts.joined(separator: ".")
  }

  /// Gives each norm to the layer that follows it, where the file has it at the layer before.
  ///
  /// The first H3 normalised behind each sum instead of before each layer, which is the same with names moved by one.
  mutating func moveNorms(layers: Int) {
    for part in ["weight", "bias"] {
      // With both names nothing is known: the first is then left over, and an error.
      guard places["backbone.ln_f.\(part)"] == nil,
        let first = places.removeValue(forKey: "backbone.ln_0.\(part)")
      else { continue }
      func norm(_ layer: Int, _ number: Int) -> String { "backbone.layers.\(layer).norm\(number).\(part)" }
      let old = places
      for layer in 0..<layers {
        places[norm(layer, 1)] = layer == 0 ? first : old[norm(layer - 1, 2)]
        places[norm(layer, 2)] = old[norm(layer, 1)]
      }
      places["backbone.ln_f.\(part)"] = old[norm(layers - 1, 2)]
    }
  }

  /// Cuts a joint projection of queries, keys and values, and renames the output's, as H3 is trained today.
  mutating func separateProjections(layer: Int, width: Int) {
    let mixer = "backbone.layers.\(layer).mixer"
    for part in ["weight", "bias"] {
      if let all = places.removeValue(forKey: "\(mixer).Wqkv.\(part)") {
        for (number, name) in ["q_proj", "k_proj", "v_proj"].enumerated() {
          places["\(mixer).\(name).\(part)"] = Place(
            name: all.name, rows: number * width..<(number + 1) * width)
        }
      }
      if let output = places.removeValue(forKey: "\(mixer).out_proj.\(part)") {
        places["\(mixer).output_linear.\(part)"] = output
      }
    }
  }

  /// Takes the place of a name away.
  mutating func take(_ name: String) -> Place? { places.removeValue(forKey: name) }
}
