import Formats
import Foundation
import Memory
import TestSupport
import Testing
import TilesCPU

@testable import Models
@testable import Tensors

/// M2-BERT's published layout, with the numbers of the reference models.
@Suite struct PublicMonarchMixerTests {
  private typealias State = PublicCheckpointTests.StateDictionary

  private static let filter = "bert.encoder.layer.1.attention.filter_fn"

  private func tensor(_ numbers: [Float], _ shape: [Int]) throws -> Tensor {
    let tensor = try Tensor(zeros: .float32, shape)
    tensor.withMutableElements(as: Float.self) { for index in numbers.indices { $0[index] = numbers[index] } }
    return tensor
  }

  /// The reference's parameters as files have them, with buffers and shared numbers.
  private func published(_ golden: GoldenCase, prefix: String) throws -> State {
    var state = try State(golden)
    let (slow, fast) = (log(0.01) / 1.5, log(0.01) / 0.3)
    for layer in 0..<2 where state.contains("bert.encoder.layer.\(layer).attention.filter_fn.bias") {
      for number in ["filter_fn", "filter_fn2"] {
        let filter = "bert.encoder.layer.\(layer).attention.\(number)"
        state = state.adding("\(filter).pos_emb.t", try tensor((0..<16).map { Float($0) / 15 }, [1, 16, 1]))
        let rates: [Float] = (0..<16).map { Float(slow + (fast - slow) * Double($0) / 15) }
        state = state.adding("\(filter).modulation.deltas", try tensor(rates, [1, 1, 16]))
        let frequency = try state.tensor("\(filter).implicit_filter.1.freq")
        for place in ["implicit_filter.3", "implicit_filter.5"]
          + [1, 3, 5].map({ "implicit_filter_rev.\($0)" })
        {
          state = state.adding("\(filter).\(place).freq", frequency)
        }
        state = state.adding("\(filter).flashfft.twiddle", try Tensor(zeros: .float32, [3]))
      }
    }
    if golden.file.contains("param.cls.predictions.decoder.bias") {
      state = state.adding(
        "cls.predictions.decoder.weight", try state.tensor("bert.embeddings.word_embeddings.weight"))
    }
    return state.renamed { prefix + $0 }.adding("optimizer.0", try Tensor(zeros: .float32, [2]))
  }

  @Test(arguments: ["", "state.model.model."]) func maskedModels(prefix: String) throws {
    let golden = try GoldenCase("m6-masked-lm")
    let found = try PublicMonarchMixer(published(golden, prefix: prefix))
    #expect(found.head == .masked && found.settings.layers == 2 && found.settings.filterWidth == 8)
    #expect(found.outside.contains("optimizer.0") && found.outside.count == 5)
    let device = Device(try CPUExecutor(threads: 2))
    let network = try found.maskedLanguageModel(on: device)
    try device.evaluating {
      try golden.expect(network.logits(golden.integers("in.ids"), batch: 2), "out.logits")
    }
    let path = Scratch.path("converted.safetensors")
    #expect(try found.save(on: device, to: path) == network.parameters.count)
    #expect(try PublicMonarchMixer(Safetensors(path: path)).settings == found.settings)
  }

  @Test(arguments: ["first", "mean"]) func classifiers(pool: String) throws {
    let golden = try GoldenCase("m7-classifier-\(pool)")
    let configuration = try JSON.parse(
      #"{"pool_all": \#(pool == "mean"), "hidden_size": 16}"#, file: "config")
    let state = try published(golden, prefix: "model.")
    let found = try PublicMonarchMixer(state, configuration: JSONNode(configuration, file: "config"))
    let classes = try #require(state.shape("model.classifier.weight"))[0]
    #expect(found.head == .pooled(classes: classes) && found.layout.hasPrefix("m2-bert pooled \(pool)"))
    let device = Device(try CPUExecutor(threads: 2))
    let network = try found.classifier(on: device)
    let ids = try golden.integers("in.ids")
    try device.evaluating {
      try golden.expect(network.logits(ids, batch: 2), "out.logits")
      // Networks for retrieval are the same without classes.
      let retrieval = state.without("model.classifier.weight").without("model.classifier.bias")
      let states = try PublicMonarchMixer(retrieval, configuration: JSONNode(configuration, file: "config"))
        .classifier(on: device)
      #expect(
        try device.numbers(states.pooled(ids, batch: 2).value)
          == device.numbers(network.pooled(ids, batch: 2).value))
    }
  }

  @Test func whatDoesNotFitIsSaid() throws {
    let golden = try GoldenCase("m6-masked-lm")
    let state = try published(golden, prefix: "")
    func found(_ state: State, _ configuration: String? = nil) -> String {
      message {
        let node = try configuration.map { JSONNode(try JSON.parse($0, file: "config"), file: "config") }
        _ = try PublicMonarchMixer(state, configuration: node).maskedLanguageModel(on: cores())
      }
    }
    #expect(found(state).isEmpty)
    let other = try Tensor(zeros: .float32, [1, 8])
    #expect(found(state.adding("\(Self.filter).implicit_filter_rev.3.freq", other)).contains("3.freq"))
    #expect(found(state.adding("\(Self.filter).pos_emb.t", other)).contains("pos_emb.t"))
    #expect(found(state.adding("cls.unknown", other)).contains("cls.unknown"))
    let positions = "bert.embeddings.position_ids"
    let (sixteen, more) = (try Tensor(zeros: .int64, [1, 16]), try Tensor(zeros: .int64, [1, 17]))
    #expect(found(state.adding(positions, sixteen)).isEmpty)
    #expect(found(state.adding(positions, more)).contains(positions))
    #expect(found(state.adding("cls.predictions.decoder.weight", other)).contains("decoder.weight"))
    #expect(found(state.without("bert.encoder.layer.1.mlp.wo.bias")).contains("wo.bias"))
    #expect(found(state, #"{"hidden_size": 17}"#).contains("hidden_size"))
    for part in ["filter_fn2.bias", "filter_fn.implicit_filter_rev.0.weight"] {
      #expect(found(state.without("bert.encoder.layer.0.attention.\(part)")).contains("not supported"))
    }
    for (settings, words) in [
      (#"{"layer_norm_eps": 0.1}"#, "layer_norm_eps = 0.1"), (#"{"hidden_act": "relu"}"#, "hidden_act"),
      (#"{"vocab_size": 7}"#, "vocab_size is 7 in config; allowed is 24"),
      (#"{"vocab_size": 25}"#, "vocab_size is 25"),
      (#"{"type_vocab_size": 9}"#, "type_vocab_size is 9 in config; allowed is 2"),
      (#"{"hyena_emb_dim": 7}"#, "hyena_emb_dim is 7"), (#"{"bidirectional": false}"#, "bidirectional"),
      (#"{"use_glu_mlp": false}"#, "use_glu_mlp"), (#"{"residual_long_conv": false}"#, "residual_long_conv"),
      (#"{"hyena_w_mod": 2}"#, "hyena_w_mod"), (#"{"pad_token_id": 1}"#, "pad_token_id"),
      (#"{"hyena_training_additions": true}"#, "hyena_training_additions"),
      (#"{"use_positional_encodings": false}"#, "use_positional_encodings"),
    ] { #expect(found(state, settings).contains(words), "\(settings)") }
    // What files say, with the vocabulary before it is padded or after, is no hindrance.
    let whole = try #require(golden.file.metadata["config"])
    for settings in [whole, #"{"vocab_size": 18, "layer_norm_eps": 1e-12, "type_vocab_size": 2}"#] {
      #expect(found(state, settings).isEmpty, "\(found(state, settings))")
    }
    let embedding = "bert.embeddings.word_embeddings.weight"
    #expect(!found(state.without(embedding)).isEmpty && !found(state.adding(embedding, other)).isEmpty)
  }

  /// Any number of kinds of segments is kept.
  @Test func segmentsAreKept() throws {
    let golden = try GoldenCase("m6-masked-lm")
    let segments = "bert.embeddings.token_type_embeddings.weight"
    let four = try tensor((0..<64).map { Float($0) / 64 }, [4, 16])
    let found = try PublicMonarchMixer(published(golden, prefix: "").adding(segments, four))
    #expect(found.settings.segments == 4)
    let path = Scratch.path("segments.safetensors")
    _ = try found.save(on: cores(), to: path)
    let json = try JSON.parse(
      try #require(Safetensors(path: path).metadata["godwit.model"]), file: path)
    #expect(try MonarchMixerSettings(JSONNode(json, file: path)) == found.settings)
  }

  private func cores() throws -> Device { Device(try CPUExecutor(threads: 2)) }
}
