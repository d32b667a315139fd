import Foundation
import PluginProtocol
import Testing

@testable import Host

struct InputRulesTests {
  // MARK: Slots

  @Test func slotsAreTheMembersOfTheTaskItself() throws {
    let task: JSONValue = [
      "prompt": "x", "inputUrl": "a", "imageUrls": ["b", "c"], "maskUrl": nil, "deep": ["otherUrl": "d"], "url": "e",
      "Urls": [],
    ]
    let slots = try InputSlot.all(in: task, limit: 64)
    #expect(slots.map(\.name) == ["imageUrls-1", "imageUrls-2", "inputUrl"])
    #expect(slots.map(\.field) == ["task.imageUrls[0]", "task.imageUrls[1]", "task.inputUrl"])
    let replaced = InputSlot.replace(slots.map { ($0, "new:" + $0.url) }, in: task)
    #expect(replaced["imageUrls"] == ["new:b", "new:c"] && replaced["inputUrl"] == "new:a" && replaced["url"] == "e")
  }

  @Test(
    arguments: [
      (#"{"inputUrl":7}"#, "task.inputUrl must be a URL"), (#"{"inputUrl":""}"#, "task.inputUrl is empty"),
      (#"{"inputUrl":["a"]}"#, "task.inputUrl must be a URL"), (#"{"aUrls":"x"}"#, "task.aUrls must be a list"),
      (#"{"aUrls":["x",null]}"#, "task.aUrls[1] must be a URL"), (#"{"../aUrl":"x"}"#, "task.../aUrl names an input"),
      (#"{"a-1Url":"x"}"#, "task.a-1Url names an input"), (#"{"aUrls":["1","2","3"]}"#, "task.aUrls has 3 URLs"),
      (#"{"aUrl":"1","bUrl":"2","cUrl":"3"}"#, "the task names 3 inputs"),
    ])
  func badSlots(_ task: String, _ message: String) throws {
    let error = #expect(throws: InputFailure.self) { try InputSlot.all(in: try JSONValue(parsing: task), limit: 2) }
    #expect(error?.failure == .badInput && error?.message.hasPrefix(message) == true, "\(error?.message ?? "")")
  }

  @Test("what stands in a URL never stands in an error")
  func secrets() throws {
    for url in [
      "ftp://u:SECRET@h/", "SECRET", "https://u:SECRET@/", "http://u:SECRET@example.com/?q=SECRET", "data:SECRET",
    ] {
      let error = #expect(throws: InputFailure.self) {
        _ = try InputSource(InputSlot(member: "inputUrl", index: nil, url: url), from: .local)
      }
      #expect(
        error?.message.contains("SECRET") == false && error?.message.hasPrefix("task.inputUrl ") == true, "\(url)")
    }
  }

  @Test("paths and uploads are for this machine's users", arguments: ["file:///etc/passwd", "upload:abc", "FILE:///x"])
  func origins(_ url: String) throws {
    let slot = InputSlot(member: "inputUrl", index: nil, url: url)
    let error = #expect(throws: InputFailure.self) { _ = try InputSource(slot, from: .coordinator("studio")) }
    #expect(error?.failure == .badInput && error?.message.hasPrefix("task.inputUrl ") == true)
    _ = try InputSource(slot, from: .local)
  }

  // MARK: data:

  @Test(
    arguments: [
      ("data:,hello", "hello"), ("data:,a%20b%2C", "a b,"), ("data:text/plain;charset=utf-8,%C3%A9", "é"),
      ("DATA:;BASE64,aGVsbG8=", "hello"), ("data:audio/wav;base64,aGVsbG8", "hello"), ("data:;base64,", ""),
      ("data:;base64,aGVsbG8%3D", "hello"), ("data:base64,aGk", "aGk"),
    ])
  func dataURLs(_ url: String, _ content: String) throws {
    #expect(try DataURL(url).bytes == Array(content.utf8))
  }

  @Test(
    arguments: [
      "data:hello", "data:,%2", "data:,%zz", "data:;base64,a", "data:;base64,aGV=sbG8", "data:;base64,aG Vs",
      "data:;base64,aGVsbG9=", "data:;base64,====", "data:;base64,aGk=x",
    ])
  func brokenDataURLs(_ url: String) { #expect(throws: DataURL.Malformed.self) { try DataURL(url) } }

  @Test func base64AgreesWithFoundation() {
    for count in 0..<200 {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255) }
      let text = Data(bytes).base64EncodedString()
      #expect(Base64.encode(bytes) == text && Base64.decode(Array(text.utf8)) == bytes)
    }
  }

  // MARK: Addresses

  @Test(
    arguments: [
      "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254",
      "172.16.0.1",
      "172.31.255.255", "192.168.1.1", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1",
      "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "fc00::1", "fd12::1", "fe80::1", "ff02::1",
      "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001:db8::1", "2001::1",
      "2002:7f00:1::",
      "2002:a00:1::", "100::1", "::127.0.0.1", "fec0::1", "3fff::1", "4000::1",
    ])
  func privateAddresses(_ text: String) throws { #expect(try isPublic(text) == false) }

  @Test(
    arguments: [
      "1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "192.167.1.1", "169.253.1.1",
      "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2001:4860::8888",
      "2002:808:808::",
    ])
  func publicAddresses(_ text: String) throws { #expect(try isPublic(text)) }

  private func isPublic(_ text: String) throws -> Bool {
    if text.contains(":") {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      try #require(inet_pton(AF_INET6, text, &address.sin6_addr) == 1)
      return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          PublicAddress.isPublic($0, length: MemoryLayout<sockaddr_in6>.size)
        }
      }
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    try #require(inet_pton(AF_INET, text, &address.sin_addr) == 1)
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        PublicAddress.isPublic($0, length: MemoryLayout<sockaddr_in>.size)
      }
    }
  }

  @Test func otherFamiliesAndShortAddressesAreNotPublic() {
    var address = sockaddr()
    address.sa_family = sa_family_t(AF_UNIX)
    #expect(!PublicAddress.isPublic(&address, length: MemoryLayout<sockaddr>.size))
    address.sa_family = sa_family_t(AF_INET)
    #expect(!PublicAddress.isPublic(&address, length: 4))
  }

  @Test(
    arguments: [
      ([:], nil), (["https_proxy": "p"], "p"), (["HTTPS_PROXY": "q", "https_proxy": ""], "q"),
      (["ALL_PROXY": "r"], "r"),
      (["http_proxy": "p", "HTTP_PROXY": "p"], nil), (["https_proxy": "p", "all_proxy": "r"], "p"),
      (["all_proxy": "p", "no_proxy": "*"], nil), (["all_proxy": "p", "NO_PROXY": "a.b, Example.com"], nil),
      (["all_proxy": "p", "no_proxy": ".example.com."], nil),
      (["all_proxy": "p", "no_proxy": "files.example.com"], nil),
      (["all_proxy": "p", "no_proxy": "les.example.com"], "p"), (["all_proxy": "p", "no_proxy": "com.,x"], nil),
      (["all_proxy": "p", "no_proxy": ". ,,"], "p"), (["all_proxy": "p", "no_proxy": "a.files.example.com"], "p"),
    ] as [([String: String], String?)])
  func proxies(_ environment: [String: String], _ proxy: String?) {
    #expect(InputProxy.choose(for: "files.example.com", environment) == proxy)
  }

  @Test func aHostInBracketsNeedsNoProxyByItsAddress() {
    #expect(InputProxy.choose(for: "[::1]", ["all_proxy": "p", "no_proxy": "::1"]) == nil)
  }

  // MARK: Types

  @Test(
    arguments: [
      ("RIFF\u{1}\u{1}\u{1}\u{1}WAVEfmt ", "wav"), ("RIFF\u{1}\u{1}\u{1}\u{1}WEBPVP8 ", "webp"), ("GIF89a", "gif"),
      ("OggS", "ogg"), ("fLaC", "flac"), ("ID3\u{3}", "mp3"), ("\0\0\0\u{18}ftypM4A ", "m4a"),
      ("\0\0\0\u{18}ftypisom", "mp4"), ("\0\0\0\u{18}ftypqt  ", "mov"), ("BMW is a car, not a bitmap, is it", "bin"),
      ("", "bin"), ("RIFF", "bin"), ("hello", "bin"),
    ])
  func kindsByText(_ head: String, _ ending: String) { #expect(MediaKind(head: Array(head.utf8)).ending == ending) }

  @Test(
    arguments: [
      ([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], "png"), ([0xFF, 0xD8, 0xFF, 0xE0], "jpg"),
      ([0xFF, 0xFB, 0x90, 0x64], "mp3"), ([0xFF, 0xF3, 0x40, 0xC0], "mp3"), ([0xFF, 0xF1, 0x50, 0x80], "bin"),
      ([0xFF, 0xFF, 0xFF, 0xFF], "bin"),
      ([0x1A, 0x45, 0xDF, 0xA3, 0x42, 0x82, 0x84] + Array("webm".utf8), "webm"),
      ([0x1A, 0x45, 0xDF, 0xA3, 0x42, 0x82, 0x88] + Array("matroska".utf8), "mkv"),
      ([0x42, 0x4D, 0x36, 0, 0, 0, 0, 0, 0, 0, 0x36] + [UInt8](repeating: 0, count: 30), "bmp"),
    ] as [([UInt8], String)])
  func kindsByBytes(_ head: [UInt8], _ ending: String) { #expect(MediaKind(head: head).ending == ending) }
}
