internal import ArgumentParser
internal import Kernels
internal import Memory
internal import Tiles
internal import TilesCUDA

/// Measures plans for shapes and keeps the best in the cache folder.
struct KernelsTuneCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tune", abstract: "Find plans for products by timing them on a GPU.",
    discussion: """
        godwit kernels tune 16x4096x14336
        godwit kernels tune --weight q4_0 8x4096x14336 8x14336x4096
      Shapes are rows x outputs x inputs. What is found is read by every later run on the same device, driver and compiler,
      for all shapes of the same bucket; `--forget` deletes it.
      """)

  @Argument(help: "Shapes, as MxNxK.")
  var shapes: [String] = []

  @Option(help: "Tune layers with weights of this type; without it plain products of bfloat16.")
  var weight: String?

  @Option(help: "Most candidates that are timed for a shape.")
  var candidates = 24

  @Option(help: "Seconds after which no further candidate is begun.")
  var seconds = 20.0

  @Flag(help: "Forget all plans of this machine first.")
  var forget = false

  @OptionGroup var machine: DeviceOptions

  func validate() throws {
    guard (1...1000).contains(candidates), seconds > 0, seconds.isFinite else {
      throw ValidationError("--candidates must be 1 to 1000 and --seconds above 0.")
    }
    guard forget || !shapes.isEmpty else { throw ValidationError("Name at least one shape, as MxNxK.") }
    _ = try shapes.map(Self.sizes)
    _ = try weightType()
  }

  func run() throws {
    let executor = try machine.gpu()
    if forget {
      let empty = TunedPlans(machine: executor.machine)
      executor.use(empty)
      try PlanFile(folder: Files.planFolder).store(empty)
    }
    let tuner = GPUTuner(
      executor, bounds: Autotuner(candidateLimit: candidates, secondLimit: seconds))
    for (m, n, k) in try shapes.map(Self.sizes) {
      if let type = try weightType() {
        let limit = Linear.Shape.rowLimits.first { m <= $0 }
        try tuner.linear(type, rowLimit: limit, inputs: k, outputs: n)
      } else {
        try tuner.gemm(m: m, n: n, k: k, sets: 3)
      }
    }
  }

  private func weightType() throws -> ElementType? {
    guard let weight else { return nil }
    let known = [ElementType.bfloat16] + Linear.packedTypes.sorted { $0.rawValue < $1.rawValue }
    guard let type = known.first(where: { $0.rawValue == weight }) else {
      throw ValidationError("--weight \(weight) is none of \(known.map(\.rawValue).joined(separator: ", ")).")
    }
    return type
  }

  private static func sizes(_ text: String) throws -> (Int, Int, Int) {
    let sizes = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    guard sizes.count == 3, sizes.allSatisfy({ (1...1 << 20).contains($0) }) else {
      throw ValidationError("\(text) is no shape. Write rows, outputs and inputs as 16x4096x14336.")
    }
    guard sizes[2] % 256 == 0 else {
      throw ValidationError("\(text): the inner side must be a multiple of 256.")
    }
    return (sizes[0], sizes[1], sizes[2])
  }
}
