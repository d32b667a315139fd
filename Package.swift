// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "stoker",
  products: [
    .library(name: "PluginProtocol", targets: ["PluginProtocol"]),
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
    .systemLibrary(name: "CLibCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .target(name: "CCurlShim", dependencies: ["CLibCurl"]),

    // The program that starts an engine and stays as its monitor.
    .executableTarget(name: "launch", path: "Sources/Launch", cSettings: [.unsafeFlags(["-O2"])]),

    .target(
      name: "Host",
      dependencies: [
        "PluginProtocol", "CLinux", "CArtifact", "CLibYAML", "CLibCurl", "CCurlShim",
        .product(name: "Crypto", package: "swift-crypto"), .product(name: "GRDB", package: "GRDB.swift"),
      ]),
    // Benchmarks.
    .executableTarget(name: "noop-engine", path: "Benchmarks/NoopEngine", cSettings: [.unsafeFlags(["-O2"])]),
    .executableTarget(name: "pipe-echo", path: "Benchmarks/PipeEcho", cSettings: [.unsafeFlags(["-O2"])]),
    .executableTarget(name: "stoker-bench", dependencies: ["Host", "PluginProtocol"], path: "Benchmarks/Host"),
  ]
)
