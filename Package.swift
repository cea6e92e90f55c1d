// swift-tools-version: 6.2
import PackageDescription

/// Flags of every Swift target. `unsafeFlags` is absent on purpose: SwiftPM refuses a dependency that has it.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

/// Tests hand memory to the code under test, so they are not held to strict memory safety.
let testing: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableExperimentalFeature("Lifetimes"),
]

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies, exclude: exclude,
    swiftSettings: testing)
}

let package = Package(
  name: "godwit",
  products: [
    .library(
      name: "Godwit",
      targets: [
        "Engine", "Models", "Tokenizers", "Formats", "TilesCPU", "TilesCUDA", "Tensors", "Kernels", "Tiles",
        "Fourier", "Memory",
      ]),
    .executable(name: "godwit", targets: ["CLI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    library("Memory"),
    library("Fourier"),
    library("Tasks", ["Memory"]),
    library("Tiles", ["Memory", "Fourier"]),
    .target(name: "CMicrokernels"),
    library("TilesCPU", ["Tiles", "Fourier", "CMicrokernels"]),
    .target(name: "CCUDA"),
    library("TilesCUDA", ["Tiles", "CCUDA"]),
    library("Kernels", ["Tiles", "Fourier"]),
    library("Tensors", ["Kernels", "Fourier"]),
    library("Formats", ["Memory"]),
    library("Charts", ["Formats"]),
    library("Tokenizers", ["Formats"]),
    library("Models", ["Kernels", "Tensors", "Formats"]),
    library("Train", ["Models", "Tasks"]),
    library("Engine", ["Models"]),
    .executableTarget(
      name: "CLI",
      dependencies: [
        "Engine", "Train", "Tokenizers", "TilesCPU", "TilesCUDA", "Kernels", "Fourier", "Charts",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Yams", package: "Yams"),
      ], swiftSettings: strict, plugins: ["CommitStamp"]),
    .plugin(name: "CommitStamp", capability: .buildTool()),
    .target(name: "TestSupport", dependencies: ["Tiles", "Memory"], path: "Tests/TestSupport"),
    tests("Memory", ["TestSupport"]),
    tests("Fourier", ["TestSupport"]),
    tests("Tasks", ["Memory", "TestSupport"]),
    tests("Formats", ["Memory", "TestSupport"], exclude: ["PyTorch"]),
    tests("Charts", []),
    tests("CMicrokernels", ["TestSupport"], exclude: ["quants.txt"]),
    tests("TilesCUDA", ["Kernels", "Tiles", "Memory", "TestSupport"]),
    tests("TilesCPU", ["Kernels", "Fourier", "Tiles", "Memory", "TestSupport"]),
    tests("Tensors", ["Kernels", "Fourier", "Tiles", "Memory", "TilesCPU", "TestSupport"]),
    tests("Tokenizers", ["Formats", "Memory", "TestSupport"], exclude: ["templates.json", "Golden"]),
    tests(
      "Models", ["Engine", "Tensors", "Tiles", "Formats", "Memory", "TestSupport", "TilesCPU"],
      exclude: ["Golden"]),
    tests("Train", ["Models", "Tensors", "Formats", "Memory", "TilesCPU", "TestSupport"]),
    tests(
      "CLI",
      [
        "Engine", "Train", "Tokenizers", "Formats", "TestSupport",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    tests(
      "Engine", ["Models", "Tensors", "Kernels", "Memory", "Tiles", "TilesCPU", "TilesCUDA", "TestSupport"]),
  ]
)
