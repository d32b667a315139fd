// swift-tools-version: 6.2
import PackageDescription

// The native library that Tools/engines/sdcpp.sh builds or points to.
let engine = "\(Context.packageDirectory)/../../.engines/sdcpp"

let package = Package(
  name: "sdcpp",
  products: [.executable(name: "sdcpp-engine", targets: ["sdcpp-engine"])],
  dependencies: [.package(name: "stoker", path: "../..")],
  targets: [
    .target(
      name: "CStableDiffusion",
      cxxSettings: [
        // ggml's headers must be read as the library was built.
        .unsafeFlags(["-I\(engine)/include", "-DGGML_MAX_NAME=128", "-Wno-unused-command-line-argument"])
      ],
      linkerSettings: [
        .unsafeFlags([
          "-L\(engine)/lib", "-Xlinker", "-rpath", "-Xlinker", "$ORIGIN/lib",
          // Builds in place run against the library where it was built.
          "-Xlinker", "-rpath-link", "-Xlinker", "\(engine)/lib",
        ]),
        .linkedLibrary("stable-diffusion"),
      ]),
    .target(
      name: "CImageFiles",
      cSettings: [.unsafeFlags(["-I\(engine)/include/stb"])],
      linkerSettings: [.linkedLibrary("png"), .linkedLibrary("webp"), .linkedLibrary("webpmux")]),
    .target(
      name: "ImageTask",
      dependencies: [.product(name: "PluginProtocol", package: "stoker")]),
    .executableTarget(
      name: "sdcpp-engine",
      dependencies: [
        "CStableDiffusion", "CImageFiles", "ImageTask", .product(name: "PluginProtocol", package: "stoker"),
      ],
      path: "Sources/SdcppEngine"),
    .testTarget(name: "ImageTaskTests", dependencies: ["ImageTask"]),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx17
)

for target in package.targets where !target.name.hasPrefix("C") {
  target.swiftSettings = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
  ]
}
