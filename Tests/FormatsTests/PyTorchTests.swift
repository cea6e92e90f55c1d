import Formats
import Foundation
import Memory
import TestSupport
import Testing

/// Files of torch.save itself; see PyTorch/NOTE.md and Scripts/golden/pytorch.py.
@Suite struct PyTorchTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/PyTorch"

  private func open(_ name: String, _ foreign: PyTorchFile.ForeignObjects = .refused) throws -> PyTorchFile {
    try PyTorchFile(path: "\(Self.folder)/\(name).pt", foreign: foreign)
  }

  private func numbers(_ file: PyTorchFile, _ name: String) throws -> [Double] {
    values(try file.tensor(name))
  }

  @Test func types() throws {
    let file = try open("types")
    #expect(file.tensors.count == 13 && file.settings == [:] && file.foreign.isEmpty)
    for info in file.tensors {
      #expect(info.shape == [2, 3] && info.strides == [3, 1] && info.isDense)
      #expect(info.byteCount == 6 * info.type.byteCount)
      guard let type = info.type.elementType else {
        #expect(message { _ = try file.tensor(info.name) }.contains("is of type \(info.name)"))
        continue
      }
      let tensor = try file.tensor(info.name)
      #expect(tensor.type == type)
      func integers<T: FixedWidthInteger & BitwiseCopyable>(_: T.Type) -> [Double] {
        tensor.withElements(as: T.self) { span in span.indices.map { Double(span[$0]) } }
      }
      let found: [Double] =
        switch type {
        case .int64: integers(Int64.self)
        case .int32: integers(Int32.self)
        case .int16: integers(Int16.self)
        case .int8: integers(Int8.self)
        case .uint8, .boolean: integers(UInt8.self)
        case .float64: tensor.withElements(as: Double.self) { span in span.indices.map { span[$0] } }
        default: values(tensor)
        }
      #expect(found == (type == .boolean ? [1, 1, 1, 1, 1, 1] : [1, 2, 3, 4, 5, 6]), "\(info.name)")
    }
    #expect(
      file.tensors.filter { $0.type.elementType == nil }.map(\.name) == [
        "uint16", "complex64", "float8_e4m3fn",
      ])
  }

  @Test func views() throws {
    let file = try open("views")
    let all = (0..<24).map(Double.init)
    let base = try file.tensor("base")
    #expect(try numbers(file, "base") == all && base.shape == [4, 6])
    // Dense ones are not copied: all lie in the mapped file, one behind the other.
    for (name, offset) in [("row", 12), ("scalar", 23), ("tail", 20)] {
      let tensor = try file.tensor(name)
      #expect(tensor.storage === base.storage && tensor.byteOffset == base.byteOffset + 4 * offset)
    }
    #expect(try numbers(file, "row") == Array(all[12..<18]))
    #expect(try numbers(file, "tail") == [20, 21, 22, 23])
    #expect(try numbers(file, "scalar") == [23] && file.tensor("scalar").shape == [])
    #expect(try file.tensor("empty").shape == [4, 0])
    let transposed = try file.tensor("transposed")
    #expect(transposed.shape == [6, 4] && transposed.isDense && transposed.storage !== base.storage)
    var columns: [Double] = []
    for column in 0..<6 { for row in 0..<4 { columns.append(Double(6 * row + column)) } }
    #expect(values(transposed) == columns)
    #expect(try numbers(file, "part") == [7, 9, 11, 13, 15, 17] && file.tensor("part").shape == [2, 3])
    var cube: [Double] = []
    for c in 0..<4 {
      for a in 0..<2 { for b in 0..<3 { cube.append(Double(12 * a + 4 * b + c)) } }
    }
    #expect(try numbers(file, "cube") == cube)
    #expect(try numbers(file, "repeated") == [7, 7, 7, 7, 7, 7])
    #expect(
      try file.tensor("bytes").withElements(as: UInt8.self) { span in span.indices.map { span[$0] } }
        == [0, 3, 1, 4, 2, 5])
  }

  @Test func tiedWeights() throws {
    let file = try open("tied")
    #expect(file.names == ["places", "embedding.weight", "norm.weight", "norm.bias", "head.weight"])
    let (a, b) = (try file.tensor("embedding.weight"), try file.tensor("head.weight"))
    #expect(a.storage === b.storage && a.byteOffset == b.byteOffset && values(a) == [1, 2, 3, 4, 5, 6])
    #expect(file.contains("places") && file.shape("norm.bias") == [2] && file.shape("none") == nil)
    #expect(message { _ = try file.tensor("none") }.contains("there is no tensor \"none\""))
  }

  @Test func parametersAndLists() throws {
    let file = try open("parameters")
    #expect(file.names == ["p", "frozen", "list.0", "list.1"])
    #expect(try numbers(file, "p") == [1, 1] && numbers(file, "list.1") == [2])
    #expect(try open("tensor").names == ["tensor"])
    let many = try open("many")
    #expect(many.tensors.count == 100)
    for layer in 0..<100 {
      #expect(try numbers(many, "layers.\(layer).weight") == [Double(layer), Double(layer)])
    }
  }

  @Test(arguments: ["lightning", "protocol3", "protocol4", "protocol5"])
  func nestedDictionaries(name: String) throws {
    let file = try open(name)
    #expect(
      file.names == [
        "state_dict.model.weight", "state_dict.model.bias", "optimizer_states.0.state.0.step",
        "optimizer_states.0.state.0.exp_avg", "hyper_parameters.mixed.0",
      ])
    #expect(try numbers(file, "optimizer_states.0.state.0.step") == [5])
    let settings: JSON = [
      "epoch": 3, "global_step": 1_099_511_627_776, "pytorch-lightning_version": "2.0.1",
      "optimizer_states": [["param_groups": [["lr": 0.001, "betas": [0.9, 0.999], "params": [0]]]]],
      "hyper_parameters": [
        "d_model": 128, "name": "é", "nothing": nil, "on": true, "off": false, "negative": -7, "small": -300,
        "layer": ["l_max": 1026, "w": 10.0], "list": [1, [2, 3], [:]], "type": "torch.bfloat16",
        "size": [2, 3], "mixed": [nil, "x"],
      ],
    ]
    #expect(file.settings == settings)
  }

  /// T-20: nothing runs, and the message says what was asked for.
  @Test func whatRunsCodeIsRefused() throws {
    #expect(message { _ = try open("evil") }.contains("its pickle asks for posix.system of Python"))
    let file = try open("evil", .skipped)
    #expect(file.names == ["weight"] && file.foreign == ["posix.system"])
    #expect(!FileManager.default.fileExists(atPath: "/tmp/godwit-pickle-was-run"))
  }

  @Test func foreignObjectsAreLeftOutOnRequest() throws {
    #expect(message { _ = try open("foreign") }.contains("asks for __main__.Settings of Python"))
    let file = try open("foreign", .skipped)
    #expect(file.foreign == ["__main__.Settings", "argparse.Namespace"])
    let plain = try open("lightning")
    #expect(file.names == plain.names && file.settings == plain.settings)
  }

  @Test func otherKindsOfFile() throws {
    #expect(message { _ = try open("legacy") }.contains("before version 1.6"))
    #expect(message { _ = try open("script") }.contains("TorchScript"))
    #expect(message { _ = try open("conjugate") }.contains("conjugate"))
    #expect(message { _ = try open("none") }.contains("No such file"))
    for bytes in [[UInt8]("GGUF".utf8), [1], [0x50, 0x4B]] {
      #expect(
        message { _ = try PyTorchFile(try storage(bytes), name: "f") }.contains(
          "not PyTorch: it starts with bytes"))
    }
  }

  static let files = [
    "types", "views", "tied", "parameters", "lightning", "protocol4", "tensor", "foreign", "evil",
    "conjugate",
    "legacy", "script",
  ]

  /// Whatever a byte is changed to, and wherever the file ends: a value or a typed error, in little memory.
  @Test(arguments: files) func everyByteMayBeWrong(name: String) async {
    // In a process of its own, whose memory no other test uses.
    await #expect(processExitsWith: .success) { [name] in try PyTorchTests.readWithWrongBytes(name) }
  }

  private static func readWithWrongBytes(_ name: String) throws {
    let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: "\(Self.folder)/\(name).pt")))
    let before = residentBytes()
    var opened = 0
    func read(_ bytes: [UInt8]) throws {
      let storage = try storage(bytes)
      for foreign in [PyTorchFile.ForeignObjects.refused, .skipped] {
        do {
          let file = try PyTorchFile(storage, name: "f", foreign: foreign)
          opened += 1
          _ = try? file.settings.serialized()
          for name in file.names {
            guard let tensor = try? file.tensor(name) else { continue }
            tensor.withElements(as: UInt8.self) { span in
              if span.count > 0 { #expect(Int(span[0]) + Int(span[span.count - 1]) >= 0) }
            }
          }
        } catch {}
      }
    }
    for place in bytes.indices {
      for change in [UInt8(0xFF), 0x01, 0x80, 0x20] {
        var changed = bytes
        changed[place] ^= change
        try read(changed)
      }
      try read(Array(bytes[..<place]))
    }
    #expect(opened > 0 || name == "legacy" || name == "script" || name == "conjugate")
    #expect(peakResidentBytes() - before < 64 << 20)
  }
}
