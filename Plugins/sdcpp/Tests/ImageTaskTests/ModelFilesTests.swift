import ImageTask
import PluginProtocol
import Testing

@Suite struct ModelFilesTests {
  private func sorted(_ files: [(String, String)]) throws -> [ModelRole: [String]] {
    try ModelRole.sorted(ModelReference(id: "m", files: files.map { ModelFile(role: $0.0, path: $0.1) }))
  }

  @Test func rolesAreTheStudiosAndTheLibrarys() throws {
    let found = try sorted([
      ("diffusion-model", "/d"), ("vae", "/v"), ("text-encoder", "/t"), ("text-encoder-vision", "/tv"), ("lora", "/a"),
      ("lora", "/b"),
    ])
    #expect(found[.diffusionModel] == ["/d"])
    #expect(found[.textEncoderVision] == ["/tv"])
    #expect(found[.lora] == ["/a", "/b"])
  }

  @Test func wrongRolesAreRefused() {
    #expect(refusal { try sorted([("vae", "/v")]) }?.message.contains("diffusion-model") == true)
    #expect(refusal { try sorted([("model", "/a"), ("model", "/b")]) }?.message.contains("more than one") == true)
    #expect(refusal { try sorted([("model", "/a"), ("wheel", "/b")]) }?.message.contains("wheel") == true)
    #expect(refusal { try sorted([]) }?.kind == .badInput)
  }

  @Test func aLoraIsCalledByItsFile() {
    #expect(ModelRole.loraName("/models/x/ink.v2.safetensors") == "ink.v2")
    #expect(ModelRole.loraName("ink") == "ink")
    #expect(ModelRole.loraName("/a/.hidden") == ".hidden")
  }

  @Test func aSafetensorsHeaderSaysHowLongTheFileIs() throws {
    let text =
      #"{"__metadata__":{"a":"b"},"x":{"dtype":"F16","shape":[2],"data_offsets":[4,8]},"#
      + #""y":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#
    let length = UInt64(text.utf8.count)
    let start = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + Array(text.utf8.prefix(4))
    #expect(SafetensorsHeader.length(start: start) == length)
    #expect(SafetensorsHeader.fileBytes(header: text.utf8, length: length) == 8 + length + 8)
    #expect(SafetensorsHeader.length(start: Array("GGUF\u{3}\0\0\0\0\0\0".utf8)) == nil)
    #expect(SafetensorsHeader.length(start: [UInt8](repeating: 255, count: 8) + Array("{".utf8)) == nil)
    for bad in ["{", "[]", #"{"x":{}}"#, #"{"x":{"data_offsets":[8,4]}}"#, #"{"x":{"data_offsets":[0,-1]}}"#] {
      #expect(SafetensorsHeader.fileBytes(header: bad.utf8, length: 9) == nil, "\(bad)")
    }
  }

  @Test func onlyFileURLsArePaths() throws {
    #expect(try FileURL.path("file:///tmp/a%20b%C3%BC.png", name: "task.x") == "/tmp/a bü.png")
    for bad in [
      "https://example.test/x.png", "data:image/png;base64,AA", "/tmp/x", "file://host/x", "file:///a%", "file:///a%0",
      "file:///a%zz", "file:///a%+1", "file:///a%00b", "file:///%ff",
    ] {
      let found = refusal { try FileURL.path(bad, name: "task.x") }
      #expect(found?.kind == .badInput, "\(bad)")
      #expect(found?.message.contains("task.x") == true)
    }
  }
}
