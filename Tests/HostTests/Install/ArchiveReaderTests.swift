import Foundation
import Testing

@testable import Host

@Suite struct ArchiveReaderTests {
  private static let text = Array("name: x\n".utf8)

  private func good() -> TarWriter {
    var tar = TarWriter()
    tar.add("demo/", type: "5", mode: "0000755")
    tar.add("demo/plugin.yaml", contents: ArchiveReaderTests.text)
    tar.add("demo/engine", contents: [UInt8](repeating: 7, count: 1500), mode: "0000755")
    tar.add("demo/lib/a.so", contents: [])
    tar.add("demo/lib/b.so", type: "2", target: "a.so")
    return tar
  }

  private func problem(_ bytes: [UInt8], limits: ArchiveLimits = ArchiveLimits()) -> String {
    do {
      _ = try ReadArchive(bytes, limits: limits)
      return "it was read"
    } catch { return "\(error)" }
  }
  private func problem(_ build: (inout TarWriter) -> Void) -> String {
    var tar = TarWriter()
    build(&tar)
    return problem(tar.archive)
  }

  @Test(arguments: [1, 7, 511, 512, 513, .max]) func readsWhatIsThereInAnyPieces(pieces: Int) throws {
    for bytes in [good().archive, TarWriter.gzip(good().archive)] {
      let read = try ReadArchive(bytes, pieces: pieces)
      #expect(read.directories == ["demo", "demo/lib"])
      #expect(read.files["demo/plugin.yaml"] == ArchiveReaderTests.text)
      #expect(read.files["demo/engine"] == [UInt8](repeating: 7, count: 1500) && read.files["demo/lib/a.so"] == [])
      #expect(read.executables == ["demo/engine"] && read.links == ["demo/lib/b.so": "a.so"])
    }
  }

  @Test func longNamesComeFromPaxGNUAndPrefix() throws {
    let long = (0..<20).map { "directory-\($0)" }.joined(separator: "/")
    var tar = TarWriter()
    tar.pax([("mtime", "1.5"), ("path", long + "/pax"), ("SCHILY.xattr.user.x", "y")])
    tar.add("short", contents: [1])
    tar.add("././@LongLink", type: "L", contents: Array((long + "/gnu\u{0}").utf8))
    tar.add("short", contents: [2])
    tar.add("tail") { header in
      for (index, byte) in Array("pre/fix".utf8).enumerated() { header[345 + index] = byte }
    }
    tar.pax([("comment", "a commit")], type: "g")
    tar.add("plain")
    let read = try ReadArchive(tar.archive)
    #expect(Set(read.files.keys) == [long + "/pax", long + "/gnu", "pre/fix/tail", "plain"])
    #expect(read.files[long + "/gnu"] == [2])
  }

  @Test func nothingLeadsOut() {
    #expect(problem { $0.add("/etc/passwd") }.contains("absolute path"))
    #expect(problem { $0.add("a/../../b") }.contains("climbs"))
    // A combining mark behind a slash: one character to Swift, a slash to the kernel.
    #expect(problem { $0.add("/\u{301}etc") }.contains("absolute path"))
    #expect(problem { $0.add("../\u{301}x") }.contains("climbs"))
    #expect(problem { $0.add("a/\u{301}/../../../x") }.contains("climbs"))
    #expect(problem { $0.add("x", type: "2", target: "/\u{301}etc") }.contains("absolute path"))
    #expect(problem { $0.add("x", type: "2", target: "../\u{301}y") }.contains("leads out"))
    #expect(problem { $0.add("..") }.contains("climbs"))
    #expect(
      problem {
        $0.pax([("path", "../x")]); $0.add("x")
      }.contains("climbs"))
    #expect(problem { $0.add("l", type: "2", target: "/etc") }.contains("absolute path"))
    #expect(problem { $0.add("l", type: "2", target: "../x") }.contains("leads out"))
    #expect(
      problem {
        $0.add("d/", type: "5"); $0.add("d/l", type: "2", target: "../..")
      }.contains("leads out"))
    // Through another link: by the text alone it would stay inside.
    let detour = problem { tar in
      tar.add("d/e/", type: "5")
      tar.add("d/up", type: "2", target: "..")
      tar.add("evil", type: "2", target: "d/up/../x")
    }
    #expect(detour.contains("'evil' is a link that leads out"))
    #expect(
      problem {
        $0.add("l", type: "2", target: "m"); $0.add("m", type: "2", target: "l")
      }.contains("circle"))
    #expect(problem { $0.add("l", type: "2", target: "nowhere") }.contains("not in the archive"))
    // Writing through a link, in either order.
    #expect(
      problem {
        $0.add("l", type: "2", target: "."); $0.add("l/x")
      }.contains("'l' is a link"))
    #expect(
      problem {
        $0.add("l/x"); $0.add("l", type: "2", target: ".")
      }.contains("comes twice"))
  }

  @Test func onlyPlainThings() {
    for (type, word) in [
      ("1", "hard link"), ("3", "device"), ("4", "device"), ("6", "named pipe"), ("S", "sparse"), ("V", "kind"),
    ] {
      #expect(problem { $0.add("x", type: Character(type), target: "y") }.contains(word))
    }
    #expect(problem { $0.add("x", mode: "0004755") }.contains("runs as"))
    #expect(problem { $0.add("x", mode: "0002755") }.contains("runs as"))
    #expect(
      problem {
        $0.pax([("GNU.sparse.major", "1")]); $0.add("x")
      }.contains("sparse"))
    #expect(problem { $0.add("x\u{1B}[2J") }.contains("control characters"))
    #expect(problem { $0.add([0x78, 0xFF, 0xFE]) }.contains("not UTF-8"))
  }

  @Test func oneNameOneThing() {
    #expect(
      problem {
        $0.add("x"); $0.add("x")
      }.contains("comes twice"))
    #expect(
      problem {
        $0.add("x"); $0.add("./x")
      }.contains("comes twice"))
    #expect(
      problem {
        $0.add("x"); $0.add("X")
      }.contains("case only"))
    #expect(
      problem {
        $0.add("Lib/a"); $0.add("lib/b")
      }.contains("case only"))
    #expect(
      problem {
        $0.add("x"); $0.add("x/y")
      }.contains("lies beneath"))
    #expect(
      problem {
        $0.pax([("path", "a")]); $0.add("@", type: "L", contents: [98, 0]); $0.add("c")
      }.contains("two ways"))
    #expect(
      problem {
        $0.pax([("path", "a")], type: "g"); $0.add("c")
      }.contains("global"))
    #expect(
      problem {
        $0.pax([("path", "a"), ("path", "b")]); $0.add("c")
      }.contains("twice"))
  }

  @Test func damageIsSeen() {
    let tar = good().archive
    #expect(problem([]) == "the file is empty")
    #expect(problem(Array("#!/bin/sh\n".utf8)).contains("no archive"))
    #expect(problem(Array(tar.dropLast(1024))).contains("too early"))
    #expect(problem(Array(tar.prefix(1300))).contains("too early"))
    #expect(problem(tar + [1]).contains("after the end"))
    #expect(problem(TarWriter.gzip(tar).dropLast(9)).contains("too early"))
    #expect(problem(TarWriter.gzip(tar) + TarWriter.gzip(tar)).contains("after the end"))
    var spoiled = TarWriter.gzip(tar)
    spoiled[spoiled.count / 2] ^= 0x55
    #expect(problem(spoiled).contains("gzip stream is damaged") || problem(spoiled).contains("checksum"))
    #expect(problem { $0.add("x", size: "99999999999") }.contains("not a number"))
    #expect(problem { $0.add("x") { $0[124] = 0xFF } }.contains("out of range"))
    #expect(
      problem {
        $0.pax([("size", "9999999999999999")]); $0.add("x")
      }.contains("not one number"))
    #expect(
      problem {
        $0.add("x", type: "x", contents: Array("999 path=a\n".utf8)); $0.add("y")
      }.contains("records"))
    for (magic, name) in [
      ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "xz"), ([0x28, 0xB5, 0x2F, 0xFD], "zstd"), ([0x50, 0x4B, 3, 4], "zip"),
    ] {
      #expect(
        problem(magic.map(UInt8.init) + [UInt8](repeating: 0, count: 600)).hasPrefix("\(name) archives are not read"))
    }
  }

  private func problem(_ bytes: ArraySlice<UInt8>) -> String { problem(Array(bytes)) }

  @Test func bombsEnd() throws {
    var limits = ArchiveLimits()
    (limits.ratioGrace, limits.unpackedBytes) = (1 << 20, 64 << 20)
    var bomb = TarWriter()
    bomb.add("zeros", contents: [UInt8](repeating: 0, count: 8 << 20))
    let packed = TarWriter.gzip(bomb.archive)
    #expect(packed.count < 16 << 10)
    #expect(problem(packed, limits: limits).contains("as bombs do"))
    limits.unpackedBytes = 1 << 20
    #expect(problem(packed, limits: limits).hasSuffix("more than 1MiB"))
    #expect(problem(bomb.archive, limits: limits).contains("more than 1MiB"))
    limits.archiveBytes = 100
    #expect(problem(bomb.archive, limits: limits).contains("the archive has more than"))
    var many = TarWriter()
    for number in 0..<30 { many.add("f\(number)") }
    limits = ArchiveLimits()
    limits.entries = 20
    #expect(problem(many.archive, limits: limits).contains("more than 20 entries"))
    let deep = String(repeating: "d/", count: 40) + "x"
    #expect(problem { $0.add(deep) }.contains("deeper than 32"))
    let long = String(repeating: "n", count: 300)
    #expect(
      problem {
        $0.pax([("path", long)]); $0.add("x")
      }.contains("more than 255 bytes"))
    #expect(
      problem {
        $0.add("@", type: "L", contents: [UInt8](repeating: 97, count: 100_000)); $0.add("x")
      }.contains("extended header"))
    // A claim of half a terabyte costs nothing.
    let claim = problem { tar in
      tar.add("x", size: "") { header in
        header[124] = 0x80
        header[131] = 0x7F
      }
    }
    #expect(claim.hasSuffix("has more than 4GiB"))
  }
}
