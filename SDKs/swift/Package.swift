// swift-tools-version: 6.2
import PackageDescription

// The kit for engines in Swift, without the rest of Stoker: no dependencies, nothing to fetch.
let package = Package(
  name: "stoker-kit",
  products: [.library(name: "PluginProtocol", targets: ["PluginProtocol"])],
  targets: [.target(name: "PluginProtocol")],
  swiftLanguageModes: [.v6]
)

for target in package.targets {
  target.swiftSettings = [.enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility")]
}
