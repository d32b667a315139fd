// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "stoker",
  products: [
    .library(name: "PluginProtocol", targets: ["PluginProtocol"])
  ],
  targets: [
    .target(name: "PluginProtocol")
  ]
)
