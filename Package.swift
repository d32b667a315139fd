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
    .target(name: "PluginProtocol"),
    .target(name: "CLinux"),
    .target(name: "CArtifact"),
    .systemLibrary(name: "CLibYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CLibCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .target(name: "CCurlShim", dependencies: ["CLibCurl"]),
    .executableTarget(name: "launch", path: "Sources/Launch", cSettings: [.unsafeFlags(["-O2"])]),
    .target(
      name: "Host",
      dependencies: [
        "PluginProtocol", "CLinux", "CArtifact", "CLibYAML", "CLibCurl", "CCurlShim",
        .product(name: "Crypto", package: "swift-crypto"), .product(name: "GRDB", package: "GRDB.swift"),
      ]),
  ]
)
