import Foundation
import PluginProtocol
import Testing
import WireTestSupport

private let hasPython = Tool.exists("python3")
private let hasFFprobe = Tool.exists("ffprobe") && Tool.exists("ffmpeg")

@Suite("Synthetic: sound and pictures", .timeLimit(.minutes(2)))
struct SyntheticMediaTests {
  @Test(
    "a WAV of one second whose pitch follows from the text", .enabled(if: hasPython, "python3 is not installed"))
  func tone() async throws {
    // Counts the rises through zero: whole periods in a second.
    let script = """
      import struct, sys, wave
      with wave.open(sys.argv[1]) as w:
        n = w.getnframes()
        s = struct.unpack("<%dh" % n, w.readframes(n))
        rises = sum(1 for a, b in zip(s, s[1:]) if a < 0 <= b)
        print(w.getframerate(), w.getnchannels(), w.getsampwidth(), n, rises, max(s) > 15000)
      """
    try await SyntheticBench.use { bench in
      var pitches: Set<Int> = []
      for text in ["hello", "hullo", ""] {
        let outcome = try await bench.run("audio_tts", ["text": .string(text)])
        #expect(outcome.result.output["ext"] == "wav" && outcome.result.output["sampleRate"] == 22_050)
        #expect(outcome.result.artifacts.first?.contentType == "audio/wav")
        let words = try await Tool.run(["python3", "-c", script, outcome.path]).stdout.split { $0.isWhitespace }
        try #require(words.count == 6)
        #expect(words[..<4] == ["22050", "1", "2", "22050"] && words[5] == "True")
        let digest = try await Tool.run(["sh", "-c", "printf '%s' \"$0\" | sha256sum", text]).stdout
        let expected = 220 + (Int(digest.prefix(4), radix: 16) ?? 0) % 660
        #expect(abs((Int(words[4]) ?? 0) - expected) <= 1)
        pitches.insert(expected)
      }
      #expect(pitches.count == 3)
    }
  }

  /// Width, height and the raw RGB pixels of all frames, as ffmpeg reads a PNG or still WEBP.
  private func decoded(_ path: String) async throws -> (size: String, rgb: [UInt8]) {
    let probe = try await Tool.run([
      "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", path,
    ])
    #expect(probe.exit == .status(0), "\(probe.stderr)")
    let raw = "\(path).rgb"
    let output = try await Tool.run([
      "ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", raw,
    ])
    #expect(output.exit == .status(0), "\(output.stderr)")
    return (
      probe.stdout.trimmingCharacters(in: .whitespacesAndNewlines), [UInt8](try Data(contentsOf: URL(filePath: raw)))
    )
  }

  @Test(
    "PNG and WEBP hold the same pixels, always 512 by 512",
    .enabled(if: hasFFprobe, "ffmpeg and ffprobe are not installed"))
  func image() async throws {
    try await SyntheticBench.use { bench in
      let webp = try await bench.run("image", ["prompt": "a koi", "width": 1024])
      let png = try await bench.run("image", ["prompt": "a koi", "width": 1024, "ext": "png"])
      #expect(webp.result.output == ["ext": "webp", "width": 512, "height": 512])
      #expect(png.result.output == ["ext": "png", "width": 512, "height": 512])
      #expect(png.result.artifacts.first?.contentType == "image/png")
      let (webpSize, webpPixels) = try await decoded(webp.path)
      let (pngSize, pngPixels) = try await decoded(png.path)
      #expect(webpSize == "webp,512,512" && pngSize == "png,512,512")
      #expect(webpPixels.count == 512 * 512 * 3 && webpPixels == pngPixels)
      #expect(Set(stride(from: 0, to: pngPixels.count, by: 3).map { pngPixels[$0...($0 + 2)] }).count > 1)
    }
  }

  @Test("a format that cannot be made is refused", arguments: ["image", "audio_tts", "video"])
  func otherFormats(_ kind: String) async throws {
    try await SyntheticBench.use { bench in
      for ext in ["jpg", "PNG", "../x", ""] {
        let error = try await bench.failure(kind, ["prompt": "x", "text": "x", "ext": .string(ext)])
        #expect(error.failureClass == .badInput && error.message.hasPrefix("task.ext must be "), "\(error)")
      }
      let webp = try await bench.run("image", ["prompt": "x", "ext": "webp", "steps": 0])
      #expect(Array(webp.bytes.prefix(4)) == Array("RIFF".utf8) && Array(webp.bytes[8..<12]) == Array("WEBP".utf8))
    }
  }

  @Test("where the host has put its copy of an input does not show in the picture")
  func inputPlaces() async throws {
    try await SyntheticBench.use { bench in
      var pictures: [[UInt8]] = []
      for (place, url) in [("/work/a", "0"), ("/work/b", "0"), ("/work/b", "1")] {
        let work = bench.directory.path + "/\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: false)
        let entry = JobInput(
          name: "i", contentType: "image/png", bytes: 1, urlSHA256: String(repeating: url, count: 64))
        let parameters = JobRunParameters(
          jobID: work, kind: "image", model: ModelReference(id: "synthetic"),
          task: ["prompt": "x", "initImageUrl": .string("file://" + place)], inputs: ["initImageUrl": [entry]],
          workDirectory: work)
        _ = try await bench.host.call(Method.jobRun, parameters.json)
        pictures.append([UInt8](try Data(contentsOf: URL(filePath: work + "/image.webp"))))
      }
      #expect(pictures[0] == pictures[1] && pictures[1] != pictures[2])
    }
  }

  @Test("an animated WEBP", .enabled(if: hasPython, "python3 is not installed"))
  func video() async throws {
    // The container by the book: a VP8X chunk with the animation flag, ANIM, and the ANMF chunks with their times.
    let script = """
      import struct, sys
      data = open(sys.argv[1], "rb").read()
      assert data[:4] == b"RIFF" and data[8:12] == b"WEBP" and struct.unpack("<I", data[4:8])[0] == len(data) - 8
      at, names, times = 12, [], []
      while at < len(data):
        name, size = data[at:at + 4].decode(), struct.unpack("<I", data[at + 4:at + 8])[0]
        body = data[at + 8:at + 8 + size]
        names.append(name)
        if name == "VP8X":
          assert body[0] & 2
          width = 1 + int.from_bytes(body[4:7], "little"); height = 1 + int.from_bytes(body[7:10], "little")
        if name == "ANMF":
          times.append(int.from_bytes(body[12:15], "little"))
        at += 8 + size + (size & 1)
      print(width, height, names[:2], len(times), sum(times))
      """
    try await SyntheticBench.use { bench in
      let video = try await bench.run("video", ["prompt": "waves", "ext": "mp4", "seconds": 4])
      #expect(video.result.output["ext"] == "webp" && video.result.output["duration"] == 4.0)
      #expect(video.result.artifacts.first?.contentType == "image/webp")
      let output = try await Tool.run(["python3", "-c", script, video.path])
      #expect(output.stdout == "256 256 ['VP8X', 'ANIM'] 8 4000\n", "\(output.stderr)")
    }
  }

  @Test(
    "the same task gives the same bytes, in another process too; another task gives others",
    arguments: [
      ("audio_tts", "text", nil), ("image", "prompt", "webp"), ("image", "prompt", "png"), ("video", "prompt", "mp4"),
    ] as [(String, String, String?)])
  func deterministic(_ kind: String, _ field: String, _ ext: String?) async throws {
    func bytes(_ bench: SyntheticBench, _ text: String, _ more: [String: JSONValue] = [:]) async throws -> [UInt8] {
      var task: [String: JSONValue] = [field: .string(text), "ext": JSONValue(ext)]
      task.merge(more) { _, new in new }
      return try await bench.run(kind, .object(task)).bytes
    }
    var first: [UInt8] = []
    try await SyntheticBench.use { bench in
      first = try await bytes(bench, "a fox")
      #expect(try await bytes(bench, "a fox", ["kind": .string(kind), "negativePrompt": nil]) == first)
      #expect(try await bytes(bench, "a fox", ["delaySeconds": 0.02]) == first)
      #expect(try await bytes(bench, "a box") != first)
      if kind != "audio_tts" { #expect(try await bytes(bench, "a fox", ["seed": 7]) != first) }
    }
    try await SyntheticBench.use { bench in
      let again = try await bytes(bench, "a fox")
      #expect(again == first)
    }
  }

  @Test("a file that is in the way is not overwritten, a missing directory is said")
  func workDirectory() async throws {
    try await SyntheticBench.use { bench in
      let blocked = "\(bench.directory.path)/blocked"
      try FileManager.default.createDirectory(atPath: blocked, withIntermediateDirectories: false)
      try FileManager.default.createSymbolicLink(
        atPath: "\(blocked)/speech.wav", withDestinationPath: "\(bench.directory.path)/elsewhere")
      for (id, directory) in [("a", blocked), ("b", "\(bench.directory.path)/missing")] {
        let job = bench.host.run("audio_tts", ["text": "x"], model: "synthetic", id: id, directory: directory)
        let error = try await bench.host.failure(of: job)
        #expect(error.failureClass == .engineFault && error.message.contains("work directory"))
      }
      #expect(!FileManager.default.fileExists(atPath: "\(bench.directory.path)/elsewhere"))
    }
  }
}
