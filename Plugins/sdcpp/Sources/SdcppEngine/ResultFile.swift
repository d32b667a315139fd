import CImageFiles
import CStableDiffusion
import Glibc
import ImageTask
import PluginProtocol

/// Writes what was drawn into the job's work directory.
enum ResultFile {
  static func write(
    _ frames: ssd_frames, task: ImageTask, quality: Int, in directory: String
  ) throws -> ArtifactDeclaration {
    let type: image_file_type =
      switch task.format {
      case .png: IMAGE_FILE_PNG
      case .jpg: IMAGE_FILE_JPEG
      case .webp: IMAGE_FILE_WEBP
      case .bmp: IMAGE_FILE_BMP
      }
    let file = try ImageBuffer { buffer in
      let status =
        if let video = task.video {
          image_file_encode_animation(
            frames.pixels, frames.count, frames.width, frames.height, 1000 / video.framesPerSecond, Int32(quality),
            buffer)
        } else {
          image_file_encode(type, frames.pixels[0], frames.width, frames.height, Int32(quality), buffer)
        }
      guard status == IMAGE_FILE_OK else {
        throw EngineError(
          status == IMAGE_FILE_NO_MEMORY ? .resource : .engineFault,
          "The picture of \(frames.width) × \(frames.height) could not be written as \(task.format.ext).")
      }
    }
    let name = "\(task.video == nil ? "image" : "video").\(task.format.ext)"
    try withExtendedLifetime(file) { try write(file.bytes, to: "\(directory)/\(name)") }
    return ArtifactDeclaration(name: name, contentType: task.format.contentType, bytes: UInt64(file.bytes.count))
  }

  /// A new file; one that is there already, a link too, is an error.
  private static func write(_ bytes: UnsafeRawBufferPointer, to path: String) throws(EngineError) {
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw failure(path, errno) }
    var code: CInt = 0
    var rest = bytes[...]
    while !rest.isEmpty, code == 0 {
      let written = Glibc.write(file, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
      if written > 0 {
        rest = rest.dropFirst(written)
      } else if written == 0 || errno != EINTR {
        code = errno
      }
    }
    // Some file systems tell of a full disk only here.
    if close(file) != 0, code == 0 { code = errno }
    guard code == 0 else { throw failure(path, code) }
  }

  private static func failure(_ path: String, _ code: CInt) -> EngineError {
    let reason = String(cString: strerror(code))
    return EngineError(
      [ENOSPC, EDQUOT, EMFILE, ENFILE].contains(code) ? .resource : .engineFault,
      "The result cannot be written to the job's work directory: \(reason).", evidence: "\(path): \(reason)")
  }
}
