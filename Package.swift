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

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(
    name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies, swiftSettings: testing)
}

let package = Package(
  name: "godwit",
  products: [
    .library(name: "Godwit", targets: ["Memory"]),
  ],
  dependencies: [
  ],
  targets: [
    library("Memory"),
    tests("Memory", ["TestSupport"]),
    library("Tiles", ["Memory"]),
    .target(name: "CMicrokernels"),
    library("TilesCPU", ["Tiles", "CMicrokernels"]),
    library("Kernels", ["Tiles"]),
    library("Formats", ["Memory"]),
    library("Models", ["Kernels", "Formats"]),
    library("Engine", ["Models"]),
    .target(name: "TestSupport", dependencies: ["Tiles", "Memory"], path: "Tests/TestSupport"),
    .testTarget(
      name: "ModelsTests", dependencies: ["Models", "Engine", "Formats", "Memory", "TilesCPU"],
      exclude: ["Golden"], swiftSettings: testing),
    tests("TilesCPU", ["Kernels", "Tiles", "Memory", "TestSupport"]),
  ]
)
