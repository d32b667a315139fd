import PluginProtocol

/// How the view moves over a still image.
package enum Motion: String, CaseIterable, Sendable {
  case zoomIn = "zoom-in"
  case zoomOut = "zoom-out"
  case panLeft = "pan-left"
  case panRight = "pan-right"
  case panUp = "pan-up"
  case panDown = "pan-down"

  /// The greatest magnification, at one end of a zoom and all through a pan.
  private static let zoom = 1.25

  /// Reads `motion`; nil when the task does not choose.
  package static func chosen(_ fields: FieldReader) throws -> Motion? {
    guard let name = try fields.string("motion") else { return nil }
    guard let motion = Motion(rawValue: name) else {
      let names = allCases.map(\.rawValue).joined(separator: ", ")
      throw EngineError(.badInput, "\(fields.path).motion must be one of \(names), not \"\(name.prefix(32))\"")
    }
    return motion
  }

  /// Expressions of ffmpeg's `zoompan` for `frames` frames: magnification and the view's left and top edge.
  ///
  /// - Parameter focus: the point that a zoom keeps in place, 0 to 1 across and down; a pan keeps one of the two.
  func expressions(frames: Int, focus: (x: Double, y: Double)) -> (z: String, x: String, y: String) {
    let progress = "on/\(max(1, frames - 1))"
    let gain = decimal(Self.zoom - 1)
    let (freeX, freeY) = ("(iw-iw/zoom)", "(ih-ih/zoom)")
    let (stillX, stillY) = ("\(freeX)*\(decimal(focus.x))", "\(freeY)*\(decimal(focus.y))")
    switch self {
    case .zoomIn:
      return ("1+\(gain)*\(progress)", stillX, stillY)
    case .zoomOut:
      return ("1+\(gain)*(1-\(progress))", stillX, stillY)
    case .panLeft: return (decimal(Self.zoom), "\(freeX)*(1-\(progress))", stillY)
    case .panRight: return (decimal(Self.zoom), "\(freeX)*\(progress)", stillY)
    case .panUp: return (decimal(Self.zoom), stillX, "\(freeY)*(1-\(progress))")
    case .panDown: return (decimal(Self.zoom), stillX, "\(freeY)*\(progress)")
    }
  }
}

/// Numbers that follow from a seed alone: SplitMix64 (Steele, Lea and Flood, 2014).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
