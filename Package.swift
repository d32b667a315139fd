// swift-tools-version: 6.2
import PackageDescription

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "stoker",
  products: [
    .library(name: "PluginProtocol", targets: ["PluginProtocol"]),
    .executable(name: "stoker", targets: ["stoker"]),
    .executable(name: "launch", targets: ["launch"]),
    .executable(name: "synthetic-engine", targets: ["synthetic-engine"]),
    .executable(name: "ffmpeg-engine", targets: ["ffmpeg-engine"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
  ],
  targets: [
    // The wire contract, for the host and for engine authors. Depends on nothing.
    .target(name: "PluginProtocol"),

    // C: system calls that Swift cannot make, and libraries of the system.
    .target(name: "CLinux"),
    .target(name: "CArtifact"),
    .systemLibrary(name: "CLibYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    // Headers only: CCurlShim loads the library when it is first used.
    .systemLibrary(name: "CLibCurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .target(name: "CCurlShim", dependencies: ["CLibCurl"]),
    .target(
      name: "CImageCodecs",
      linkerSettings: [.linkedLibrary("webp"), .linkedLibrary("webpmux"), .linkedLibrary("png")]),

    // The program that starts an engine and stays as its monitor: C alone, so that it starts fast and stays small.
    .executableTarget(
      name: "launch", path: "Sources/Launch", cSettings: [.unsafeFlags(["-O2"])],
      linkerSettings: [.unsafeFlags(["-static-executable", "-nostartfiles"])]),

    // The worker and its command line.
    .target(
      name: "Host",
      dependencies: [
        "PluginProtocol", "CLinux", "CArtifact", "CLibYAML", "CLibCurl", "CCurlShim", "CZlib", crypto,
        .product(name: "GRDB", package: "GRDB.swift"),
      ]),
    .executableTarget(
      name: "stoker", dependencies: ["Host", "PluginProtocol", crypto, argumentParser], path: "Sources/Stoker"),

    // Engines without a native engine library. The others are packages of their own below Plugins/.
    .executableTarget(
      name: "synthetic-engine", dependencies: ["PluginProtocol", "CImageCodecs", crypto],
      path: "Plugins/synthetic/Sources/SyntheticEngine"),

    .target(name: "CMediaChild", path: "Plugins/ffmpeg/Sources/CMediaChild"),
    .target(name: "FFmpegTasks", dependencies: ["PluginProtocol"], path: "Plugins/ffmpeg/Sources/FFmpegTasks"),
    .executableTarget(
      name: "ffmpeg-engine", dependencies: ["PluginProtocol", "CMediaChild", "FFmpegTasks"],
      path: "Plugins/ffmpeg/Sources/FFmpegEngine"),

    // Benchmarks.
    .executableTarget(name: "noop-engine", path: "Benchmarks/NoopEngine", cSettings: [.unsafeFlags(["-O2"])]),
    .executableTarget(name: "pipe-echo", path: "Benchmarks/PipeEcho", cSettings: [.unsafeFlags(["-O2"])]),
    .executableTarget(name: "stoker-bench", dependencies: ["Host", "PluginProtocol"], path: "Benchmarks/Host"),

    // Tests, and the programs that they start.
    .target(name: "WireTestSupport", dependencies: ["PluginProtocol", "CLinux"], path: "Tests/WireTestSupport"),
    .executableTarget(name: "kit-probe", dependencies: ["PluginProtocol"], path: "Tests/Fixtures/KitProbe"),
    .executableTarget(
      name: "store-crash-helper", dependencies: ["Host", "PluginProtocol"], path: "Tests/Fixtures/StoreCrashHelper"),
    .executableTarget(name: "desk-engine", dependencies: ["PluginProtocol"], path: "Tests/Fixtures/DeskEngine"),
    .executableTarget(name: "chaos-engine", path: "Tests/Fixtures/ChaosEngine"),
    .executableTarget(
      name: "worker-helper", dependencies: ["Host", "PluginProtocol"], path: "Tests/Fixtures/WorkerHelper"),
    .executableTarget(name: "HostStandIn", dependencies: ["Host"], path: "Tests/HostTests/Process/HostStandIn"),
    .testTarget(name: "PluginProtocolTests", dependencies: ["PluginProtocol", "WireTestSupport", "kit-probe"]),
    .testTarget(name: "SyntheticTests", dependencies: ["PluginProtocol", "WireTestSupport", "synthetic-engine"]),
    .testTarget(
      name: "FFmpegTests", dependencies: ["PluginProtocol", "FFmpegTasks"], path: "Plugins/ffmpeg/Tests/FFmpegTests"),
    .testTarget(
      name: "StokerTests", dependencies: ["Host", "PluginProtocol", "stoker", crypto, argumentParser]),
    .testTarget(
      name: "HostTests",
      dependencies: [
        "Host", "PluginProtocol", "CLinux", "CZlib", "launch", "HostStandIn", "store-crash-helper", "desk-engine",
      ],
      exclude: ["Process/HostStandIn", "Models/fault-server.py"]),
    .testTarget(
      name: "FaultTests",
      dependencies: ["Host", "PluginProtocol", "CLinux", "launch", "chaos-engine", "worker-helper"]),
  ]
)

for target in package.targets where target.type != .system {
  var settings = target.swiftSettings ?? []
  settings += [
    .treatAllWarnings(as: .error), .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
  ]
  target.swiftSettings = settings
}
