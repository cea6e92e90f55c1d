/// What Godwit knows by name.
public enum Catalog {
  /// Architectures of GGUF files that are run.
  public static let architectures = ["llama", "mistral", "qwen2"]

  /// File in the cache folder of each model that `make setup` can fetch.
  public static let files = ["smollm2": "SmolLM2-135M-Instruct.Q4_1.gguf"]

  /// Names of the models, for help texts.
  public static var names: String { files.keys.sorted().joined(separator: ", ") }
}
