import PluginProtocol
import Testing

@testable import FFmpegTasks

@Suite struct InputTests {
  @Test(arguments: [
    ("file:///a/b.png", "/a/b.png"), ("FILE://localhost/a%20b", "/a b"), ("file:///%E8%AA%9E%25", "/語%"),
    ("file:///-i%20x%27", "/-i x'"),
  ])
  func fileURLsAreDecoded(url: String, path: String) throws {
    #expect(try FileURL.path(url, name: "x") == path)
  }

  @Test(arguments: [
    "", "a.png", "/a.png", "http://a/b", "file:a", "file://host/a", "file:///a%00", "file:///a%4", "file:///%zz",
    "file:///a?b", "file:///a#b", "file:///%ff", "concat:a|b", "data:,x",
  ])
  func otherURLsAreRefused(url: String) {
    let error = #expect(throws: EngineError.self) { try FileURL.path(url, name: "task.inputUrl") }
    #expect(error?.failure == .badInput)
    #expect(error?.message.contains("task.inputUrl") == true)
  }

  @Test func formatsAreToldByTheirFirstBytes() {
    func format(_ text: String) -> MediaFormat? { MediaFormat(prefix: Array(text.utf8)) }
    #expect(format("RIFF\u{0}\u{0}\u{0}\u{0}WAVEfmt ") == .wav)
    #expect(format("RIFF\u{0}\u{0}\u{0}\u{0}WEBPVP8 ") == .webp)
    #expect(format("RIFF\u{0}\u{0}\u{0}\u{0}JUNK") == nil)
    #expect(format("\u{0}\u{0}\u{0}\u{20}ftypisom") == .mov)
    #expect(format("OggS") == .ogg)
    #expect(MediaFormat(prefix: [0xFF, 0xF1, 0x50]) == .aac)
    #expect(MediaFormat(prefix: [0xFF, 0xFB, 0x90]) == .mp3)
    for text in ["#EXTM3U", "ffconcat version 1.0", "<svg", "<?xml", "[playlist]", "file 'x'", "v=0", "", "G", "RIFF"] {
      #expect(format(text) == nil, "\(text)")
    }
  }

  private func size(_ format: MediaFormat, _ bytes: [UInt8]) throws -> PixelSize {
    try ImageHeader.size(format) { offset, count in
      guard let start = Int(exactly: offset), start < bytes.count else { return [] }
      return Array(bytes[start...].prefix(count))
    }
  }

  @Test func sizesAreReadFromHeaders() throws {
    let png: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 13, 10, 26, 10, 0, 0, 0, 13] + Array("IHDR".utf8)
    #expect(try size(.png, png + [0, 0, 0xEA, 0x60, 0, 0, 1, 0]) == PixelSize(60_000, 256))
    #expect(try size(.gif, Array("GIF89a".utf8) + [0x40, 1, 0xF0, 0]) == PixelSize(320, 240))
    // Fill bytes, a profile of 300 bytes, a table that is no frame, then the frame.
    let profile: [UInt8] = [0xFF, 0xFF, 0xE2, 1, 0x2E] + Array(repeating: 0xFF, count: 300)
    let table: [UInt8] = [0xFF, 0xC4, 0, 4, 0xFF, 0xC0]
    let frame: [UInt8] = [0xFF, 0xC2, 0, 17, 8, 0, 240, 1, 64, 3]
    #expect(try size(.jpeg, [0xFF, 0xD8] + profile + table + frame) == PixelSize(320, 240))
    let extended = Array("RIFF....WEBPVP8X....".utf8) + [0, 0, 0, 0, 0x3F, 1, 0, 0xEF, 0, 0]
    #expect(try size(.webp, extended) == PixelSize(320, 240))
    let lossless = Array("RIFF....WEBPVP8L....".utf8) + [0x2F, 0x3F, 0xC1, 0x3B, 0, 0, 0, 0, 0, 0]
    #expect(try size(.webp, lossless) == PixelSize(320, 240))
  }

  @Test func damagedHeadersAreRefused() {
    let endless: [UInt8] = [0xFF, 0xD8] + Array(repeatElement([0xFF, 0xE0, 0, 2] as [UInt8], count: 4000).joined())
    let animated = Array("RIFF....WEBPVP8X....".utf8) + [2, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    let cases: [(MediaFormat, [UInt8])] = [
      (.png, []), (.png, Array(repeating: 0, count: 24)), (.gif, Array("GIF89a".utf8) + [0, 0, 0, 0]),
      (.jpeg, [0xFF, 0xD8, 0xFF, 0xE0, 0, 0, 0, 0, 0]), (.jpeg, [0xFF, 0xD8, 0xFF, 0xC0]), (.jpeg, endless),
      (.webp, animated), (.webp, Array("RIFF....WEBPVP8 ....".utf8)), (.wav, []),
    ]
    for (format, bytes) in cases {
      let error = #expect(throws: EngineError.self) { try size(format, bytes) }
      #expect(error?.failure == .badInput)
    }
  }

  @Test func probesSkipCoversAndTurnPictures() throws {
    let json = try JSONValue(
      parsing: Array(
        """
        {"streams": [
          {"index": 0, "codec_type": "video", "width": 9, "height": 9, "disposition": {"attached_pic": 1}},
          {"index": 1, "codec_type": "audio"},
          {"index": 2, "codec_type": "video", "width": 720, "height": 576, "sample_aspect_ratio": "16:15",
           "avg_frame_rate": "0/0", "r_frame_rate": "25/1", "side_data_list": [{"rotation": -90}]},
          {"index": 3, "codec_type": "audio"}], "format": {"duration": "2.5"}}
        """.utf8))
    let probe = try Probe(json)
    #expect(probe.audio == 1)
    #expect(probe.seconds == 2.5)
    let video = try #require(probe.video)
    #expect(video.index == 2)
    #expect(video.stored == PixelSize(720, 576))
    #expect(video.size == PixelSize(576, 768))
    #expect(video.rate == FrameRate(25))
    let bare = try Probe(["streams": [], "format": ["duration": "N/A"]])
    #expect(bare.video == nil && bare.audio == nil && bare.seconds == nil)
  }
}
