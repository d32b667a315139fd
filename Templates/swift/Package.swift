// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "__NAME__",
  // The kit as it was when the plugin was made: a copy, so that the plugin builds wherever it is.
  dependencies: [.package(name: "stoker-kit", path: "StokerKit")],
  targets: [
    .executableTarget(
      name: "engine", dependencies: [.product(name: "PluginProtocol", package: "stoker-kit")], path: "Sources")
  ],
  swiftLanguageModes: [.v6]
)
