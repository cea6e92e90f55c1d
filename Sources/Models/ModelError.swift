/// Why a model cannot be used.
public enum ModelError: Error, Equatable {
  case unknownArchitecture(name: String, known: [String])
  case invalid(key: String, value: String, allowed: String)
  case misshapen(tensor: String, found: [Int], expected: [Int])
  case missing(tensor: String, expected: [Int])
  case unused(tensor: String, count: Int, file: String)
  case unsupportedType(tensor: String, type: String)
  case unsupported(feature: String)
  case mixedArithmetic(layer: String)
  case unknownLayout(file: String, names: [String])
  case unstated(setting: String, file: String, advice: String)
  case otherNumbers(tensor: String, file: String, expected: String)
  /// A number that float32 does not have: NaN, an infinity, or one beyond its range.
  case notFinite(tensor: String, index: Int, value: Double)
  /// Something that was said of a network and that nothing in it depends on.
  case pointless(setting: String, value: String, why: String)
  /// A parameter beyond the host's memory, all before it included.
  case tooLarge(tensor: String, shape: [Int], memory: Int)
}

extension ModelError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unknownArchitecture(let name, let known):
      "architecture \(name) is not known. Known are: \(known.joined(separator: ", "))."
    case .invalid(let key, let value, let allowed): "\(key) is \(value); allowed is \(allowed)."
    case .misshapen(let tensor, let found, let expected):
      "tensor \(tensor) has shape \(found), the configuration asks for \(expected)."
    case .missing(let tensor, let expected):
      "there is no tensor \(tensor); the configuration asks for one of shape \(expected)."
    case .unused(let tensor, let count, let file):
      "\(file): \(count) tensors such as \(tensor) have no place in this architecture: it would run a different "
        + "network. Use a model of a known architecture."
    case .unsupportedType(let tensor, let type):
      "tensor \(tensor) is of type \(type), which no kernel reads. Convert the model to Q8_0 or Q4_K."
    case .unsupported(let feature): "\(feature) is not supported."
    case .mixedArithmetic(let layer):
      "the weights of \(layer) mix block-quantised and plain types. Run it with --exact."
    case .unknownLayout(let file, let names):
      "\(file): tensors such as \(names.joined(separator: ", ")) belong to no published layout that is known: H3, Hyena, "
        + "HyenaDNA and other language models of the same repositories."
    case .unstated(let setting, let file, let advice):
      "\(file) does not say \(setting), and its tensors do not tell. \(advice)"
    case .tooLarge(let tensor, let shape, let memory):
      "with \(tensor), \(shape) numbers of 4 bytes, the network's parameters take more than half of this machine's \(memory >> 20) MiB. "
        + "Make the network narrower or its longest sequence shorter."
    case .otherNumbers(let tensor, let file, let expected):
      "\(file): the numbers of \(tensor) are not \(expected): it would run a different network."
    case .notFinite(let tensor, let index, let value):
      "number \(index) of tensor \(tensor) is \(value), which is no number of float32: all that a network computes with it "
        + "would be none either. Take a file from before training went wrong."
    case .pointless(let setting, let value, let why):
      "\(setting)\(value.isEmpty ? "" : " \(value)") changes nothing: \(why). Leave it out."
    }
  }
}
