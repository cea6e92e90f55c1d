import Formats
import Foundation
import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Models
@testable import Tensors

/// What is said of a published checkpoint beside its tensors: nothing is ignored that would change what the network computes.
@Suite struct PublicSettingsTests {
  private typealias State = PublicCheckpointTests.StateDictionary

  private func node(_ text: String) throws -> JSONNode {
    JSONNode(try JSON.parse(text, file: "c"), file: "c")
  }

  /// Why a layout is not read with these settings; empty where it is.
  private func refusal(
    _ name: String, _ text: String = "{}", _ change: (inout PublicHints) -> Void = { _ in }
  ) throws -> String {
    var hints = PublicHints(ofGolden: name)
    change(&hints)
    let (state, settings) = (try State(GoldenCase("r10-lm-\(name)")), try node(text))
    return message { _ = try PublicCheckpoint(state, configuration: settings, hints: hints) }
  }

  @Test(arguments: [
    ("hyena", #"{"layer": {"activation": "gelu"}}"#, "layer.activation"),
    ("hyena", #"{"layer": {"outer_mixing": true}}"#, "layer.outer_mixing"),
    ("hyena", #"{"layer": {"bidirectional": true}}"#, "layer.bidirectional"),
    ("hyena", #"{"layer": {"post_order_ffn": true}}"#, "layer.post_order_ffn"),
    ("hyena", #"{"layer": {"bias": false}}"#, "layer.bias"),
    ("hyena", #"{"layer": {"fast_decay_pct": 0.5}}"#, "layer.fast_decay_pct"),
    ("hyena", #"{"layer": {"_name_": "h3"}}"#, "layer._name_"),
    ("hyena", #"{"max_position_embeddings": 32}"#, "max_position_embeddings is 32 in c; allowed is 0"),
    ("hyena", #"{"attn_layer_idx": [1]}"#, ""),
    ("hybrid", #"{"attn_layer_idx": [0]}"#, "attn_layer_idx is [0] in c; allowed is [1]"),
    ("hybrid", #"{"attn_cfg": {"causal": false}}"#, "attn_cfg.causal"),
    ("h3", #"{"layer": {"d_state": 64}}"#, "d_state is 64 in c; allowed is 16"),
    ("h3", #"{"layer": {"head_dim": 2}}"#, "head_dim is 2 in c; allowed is 1"),
    ("h3", #"{"layer": {"mode": "nplr"}}"#, "layer.mode"),
    ("h3", #"{"layer": {"disc": "zoh"}}"#, "layer.disc"),
    ("s4d", #"{"layer": {"bidirectional": true}}"#, "layer.bidirectional"),
    ("s4d", #"{"layer": {"postact": "glu"}}"#, "layer.postact"),
    ("attention", #"{"attn_cfg": {"rotary_emb_dim": 8}}"#, "attn_cfg.rotary_emb_dim"),
    ("attention", #"{"attn_cfg": {"softmax_scale": 3.0}}"#, "attn_cfg.softmax_scale"),
    ("attention", #"{"attn_cfg": {"causal": false}}"#, "attn_cfg.causal"),
    ("attention", #"{"attn_cfg": {"num_heads_kv": 1}}"#, "attn_cfg.num_heads_kv"),
    ("attention", #"{"attn_cfg": {"window_size": [16, 0]}}"#, "attn_cfg.window_size"),
    ("attention", #"{"max_position_embeddings": 48}"#, "max_position_embeddings is 48 in c; allowed is 24"),
  ])
  func settingsThatChangeTheResultAreRefused(name: String, text: String, words: String) throws {
    let found = try refusal(name, text)
    #expect(words.isEmpty ? found.isEmpty : found.contains(words), "\(found)")
  }

  /// What published configurations say, in any of the words for it.
  @Test(arguments: [
    (
      "hyena",
      #"""
      {"_name_": "lm", "d_model": 16, "n_layer": 2, "resid_dropout": 0.0, "embed_dropout": 0.1, "fused_mlp": false,
       "fused_dropout_add_ln": true, "residual_in_fp32": true, "pad_vocab_size_multiple": 8, "checkpoint_mixer": false,
       "attn_layer_idx": null, "attn_cfg": null, "max_position_embeddings": 0,
       "layer": {"_name_": "hyena", "emb_dim": 5, "filter_order": 16, "local_order": 3, "l_max": 32, "modulate": true, "w": 10,
         "lr": 6e-4, "wd": 0.0, "lr_pos_emb": 0.0, "order": 2, "num_heads": 1, "inner_factor": 1, "num_blocks": 1,
         "fused_bias_fc": false, "outer_mixing": false, "dropout": 0.0, "filter_dropout": 0.0,
         "filter_cls": "hyena-filter", "post_order_ffn": false, "jit_filter": false, "short_filter_order": 3,
         "activation": "id", "return_state": false, "bias": true, "normalized": false, "num_inner_mlps": 2}}
      """#
    ),
    (
      "hyena",
      #"{"layer": {"activation": null, "fast_decay_pct": 0.3, "slow_decay_pct": 1.5, "target": 1e-2}}"#
    ),
    ("hyena", #"{"layer": {"activation": "identity"}}"#),
    (
      "hybrid",
      #"""
      {"d_model": 16, "attn_layer_idx": [1], "layer": {"_name_": "h3", "d_state": 16, "head_dim": 1, "mode": "diag",
       "measure": "diag-lin", "lr": 0.001, "use_fast_fftconv": true}, "pad_vocab_size_multiple": 8,
       "attn_cfg": {"num_heads": 2, "use_flash_attn": true, "fused_bias_fc": true, "dropout": 0.1, "causal": true,
         "rotary_emb_dim": 0, "softmax_scale": null, "num_heads_kv": null}}
      """#
    ),
    ("s4d", #"{"layer": {"_name_": "s4d", "d_state": 64, "transposed": false, "dropout": 0.2}}"#),
    (
      "attention",
      #"""
      {"layer": null, "attn_layer_idx": [0, 1], "max_position_embeddings": 24,
       "attn_cfg": {"num_heads": 2, "num_heads_kv": 2, "softmax_scale": 0.35355339, "window_size": [-1, -1]}}
      """#
    ),
    ("attention", #"{"layer": {"_name_": "h3", "d_state": 64}}"#),
  ])
  func settingsThatSayWhatIsDoneAreAccepted(name: String, text: String) throws {
    #expect(try refusal(name, text).isEmpty)
  }

  @Test func hintsThatNothingDependsOnAreRefused() throws {
    let none = "no layer of state has attention. Leave it out"
    for name in ["h3", "s4d", "hyena"] {
      #expect(try refusal(name) { $0.heads = 7 }.contains("--heads 7 changes nothing: \(none)"))
    }
    for name in ["h3", "hybrid", "s4d", "attention"] {
      #expect(
        try refusal(name) { $0.hasWindow = true }.contains("--window changes nothing: state has no filters"))
      #expect(try refusal(name) { $0.hasWindow = false }.contains("--no-window changes nothing"))
      #expect(try refusal(name) { $0.windowShift = 0.3 }.contains("--window-shift 0.3 changes nothing"))
    }
    let unmodulated = try refusal("hyena", #"{"layer": {"modulate": false}}"#) {
      ($0.hasWindow, $0.windowShift) = (nil, 0.05)
    }
    #expect(unmodulated.contains("--window-shift 0.05 changes nothing: the filters of state have no window"))
    #expect(
      try refusal("hyena", #"{"layer": {"modulate": false, "shift": 0}}"#) {
        ($0.hasWindow, $0.windowShift) = (nil, nil)
      }.isEmpty)
    for longest in [10, 1_000_000] {
      let found = try refusal("attention") { $0.longest = longest }
      #expect(found.contains("longest is \(longest); allowed is 24, as the embeddings of positions have it"))
    }
    #expect(try refusal("attention") { $0.longest = 24 }.isEmpty)
    #expect(try refusal("hyena") { $0.longest = 33 }.contains("allowed is 32, as the filters have it"))
  }

  /// Numbers of a tensor with one that float32 does not have.
  @Test(arguments: [(Double.nan, "nan"), (.infinity, "inf"), (-1e300, "-1e+300")])
  func numbersThatAreNoneAreRefused(number: Double, text: String) throws {
    let name = "backbone.layers.0.mlp.fc1.weight"
    let state = try State(GoldenCase("r10-lm-hyena"))
    let (shape, numbers) = (try #require(state.shape(name)), try state.tensor(name).floats(name))
    let wide = try Tensor(zeros: .float64, shape)
    wide.withMutableElements(as: Double.self) { span in
      for index in span.indices { span[index] = index == 5 ? number : Double(numbers[index]) }
    }
    var changed = [wide]
    if abs(number) != 1e300 {
      let narrow = try Tensor(zeros: .float32, shape)
      narrow.withMutableElements(as: Float.self) { span in
        for index in span.indices { span[index] = index == 5 ? Float(number) : numbers[index] }
      }
      changed.append(narrow)
    }
    var hints = PublicHints()
    (hints.hasWindow, hints.windowShift) = (true, 0)
    for tensor in changed {
      let found = try PublicCheckpoint(state.adding(name, tensor), hints: hints)
      let words = message { _ = try found.network(on: Device(CPUExecutor(threads: 1))) }
      #expect(words.contains("number 5 of tensor \(name) is \(text)"), "\(words)")
    }
  }

  /// A network that a checkpoint cannot describe is not written: nothing could read it.
  @Test func whatCannotBeReadAgainIsNotWritten() throws {
    let device = Device(try CPUExecutor(threads: 1))
    let mixers: [(SequenceSettings.Mixer, String)] = [
      (.s4d(states: 5000), "mixer.s4d.states"),
      (
        .hyena(order: 2, filterWidth: 4, features: 2001, frequency: 10, hasWindow: false),
        "mixer.hyena.features"
      ),
    ]
    for (mixer, key) in mixers {
      let settings = SequenceSettings(
        vocabularySize: 8, width: 4, layers: 1, feedForward: 4, mixer: mixer, longest: 8)
      let network = try SequenceNetwork(settings, ParameterSet(.drawn(seed: 3), on: device))
      var state = try State(GoldenCase("r10-lm-h3"))
      state.entries = network.parameters.parameters.map { ($0.name, $0.variable.value) }
      var hints = PublicHints()
      if case .hyena = mixer { hints.hasWindow = false } else { hints.longest = 8 }
      let found = try PublicCheckpoint(state, hints: hints)
      let path = Scratch.path("unreadable.safetensors")
      let words = message { try found.save(found.network(on: device), to: path) }
      #expect(words.contains("state, as a checkpoint of Godwit") && words.contains(key), "\(words)")
      #expect(!FileManager.default.fileExists(atPath: path))
    }
  }
}
