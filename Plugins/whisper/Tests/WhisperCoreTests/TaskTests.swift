import PluginProtocol
import Testing
import WhisperCore

@Suite("Transcription tasks")
struct TaskTests {
  private static func task(_ members: [String: JSONValue]) throws -> TranscriptionTask {
    let all: [String: JSONValue] = ["inputUrl": "file:///a.wav"]
    return try TranscriptionTask(FieldReader(.object(all.merging(members) { _, new in new }), path: "task"))
  }

  private static func problem(_ members: [String: JSONValue]) -> String {
    do {
      _ = try task(members)
      return "nothing"
    } catch {
      return "\(error)"
    }
  }

  @Test("defaults and all members")
  func members() throws {
    let plain = try Self.task([:])
    #expect(plain.inputPath == "/a.wav")
    #expect(plain.language == nil && plain.prompt == nil && !plain.translate && !plain.vad)
    #expect(plain.timestamps == .segment)
    let full = try Self.task([
      "language": "PT-br", "translate": true, "prompt": "a\0b", "vad": true, "timestamps": "word",
    ])
    #expect(full.languageNames == ["pt-br", "pt"])
    #expect(full.prompt == "a b")
    #expect(full.translate && full.vad && full.timestamps == .word)
    #expect(try Self.task(["language": "auto"]).languageNames.isEmpty)
    #expect(try Self.task(["language": "Haitian Creole"]).languageNames == ["haitian creole"])
  }

  @Test("wrong members are named")
  func wrong() {
    #expect(Self.problem(["inputUrl": .null]).contains("task.inputUrl"))
    #expect(Self.problem(["timestamps": "letter"]).contains("letter"))
    #expect(Self.problem(["prompt": .string(String(repeating: "x", count: 5000))]).contains("5000"))
    #expect(Self.problem(["vad": "yes"]).contains("task.vad"))
  }

  @Test(
    "file URLs are paths",
    arguments: [
      ("file:///a/b.wav", "/a/b.wav"), ("file:/a", "/a"), ("FILE://localhost/a%20b%C3%BC", "/a bü"),
      ("file:///%25", "/%"),
    ])
  func paths(url: String, path: String) throws {
    #expect(try InputPath.parse(url, member: "x") == path)
  }

  @Test(
    "other URLs are refused",
    arguments: [
      "https://a/b.wav", "data:audio/wav;base64,AA", "/a.wav", "file:a", "file://b/a", "file:///%0", "file:///%zz",
      "file:///a%00", "file:///%ff", "",
    ])
  func refused(url: String) {
    let error = #expect(throws: EngineError.self) { try InputPath.parse(url, member: "task.inputUrl") }
    #expect(error?.failure == .badInput)
    #expect(error?.message.contains("task.inputUrl") == true)
  }
}

@Suite("ffmpeg")
struct FFmpegCommandTests {
  @Test("its arguments name one file and no other protocol")
  func arguments() {
    let arguments = FFmpegCommand.arguments(path: "/w/-i |concat:x.mp3", sampleRate: 16_000, seconds: 60)
    #expect(arguments.contains("file:/w/-i |concat:x.mp3"))
    #expect(arguments.firstIndex(of: "-protocol_whitelist").map { arguments[$0 + 1] } == "file")
    let formats = arguments.firstIndex(of: "-format_whitelist").map { arguments[$0 + 1].split(separator: ",") } ?? []
    #expect(formats.contains("mp3") && !formats.contains("hls") && !formats.contains("concat"))
  }

  @Test("its log tells length and cause")
  func log() {
    let log = "Input #0, mp3, from 'file:/w/a.mp3':\n  Duration: 01:02:03.50, start: 0.0, bitrate: 64 kb/s\n"
    #expect(FFmpegCommand.duration(in: log) == 3723.5)
    #expect(FFmpegCommand.duration(in: "  Duration: N/A, start: 0\n") == nil)
    #expect(FFmpegCommand.duration(in: "nothing") == nil)
    #expect(FFmpegCommand.duration(in: "  Duration: 00:00:01") == nil, "the rest of the line is still to come")
    let broken = FFmpegCommand.failure(
      status: 1, signal: 0, log: "file:/w/a.mp3: Invalid data found\n", path: "/w/a.mp3", seconds: 0)
    #expect(broken.failure == .badInput && broken.message.hasSuffix("input: Invalid data found"))
    let mute = FFmpegCommand.failure(
      status: 1, signal: 0, log: "Stream map '0:a:0' matches no streams.\n", path: "/w", seconds: 0)
    #expect(mute.failure == .badInput && mute.message.contains("no sound"))
    #expect(FFmpegCommand.failure(status: nil, signal: 9, log: "", path: "/w", seconds: 1).failure == .resource)
    #expect(FFmpegCommand.failure(status: nil, signal: 11, log: "", path: "/w", seconds: 1).failure == .engineFault)
  }

  @Test("a tag of the recording is not its length, and neither is a length that cannot be")
  func forgedLength() {
    let real = "  Duration: 00:00:01.04, start: 0.025057, bitrate: 66 kb/s\n"
    for tag in ["    Duration: 09:00:00, x: y\n", "      Duration: 1e30:00:00, x: y\n", "Duration: 09:00:00, x\n"] {
      #expect(FFmpegCommand.duration(in: "  Metadata:\n" + tag) == nil, "\(tag)")
      #expect(FFmpegCommand.duration(in: "  Metadata:\n" + tag + real) == 1.04, "\(tag)")
    }
    for total in ["1e30:00:00", "nan:00:00", "inf:00:00", "-1:00:00", "277778:00:00"] {
      let line = "  Duration: \(total), start: 0\n"
      #expect(FFmpegCommand.duration(in: line) == nil, "\(line)")
      #expect(FFmpegCommand.duration(in: line + real) == 1.04, "\(line)")
    }
  }
}
