/// The type of file that a job gives.
public enum PictureFormat: String, Sendable {
  case png, jpg, webp, bmp

  /// PNG, JPEG and BMP by their names; WEBP for everything else, and for every video, where it is animated.
  public init(named ext: String?, isVideo: Bool) {
    switch isVideo ? "webp" : ext?.lowercased() {
    case "png": self = .png
    case "jpg", "jpeg": self = .jpg
    case "bmp": self = .bmp
    default: self = .webp
    }
  }

  /// The ending of its files.
  public var ext: String { rawValue }

  public var contentType: String {
    switch self {
    case .png: "image/png"
    case .jpg: "image/jpeg"
    case .webp: "image/webp"
    case .bmp: "image/bmp"
    }
  }
}
