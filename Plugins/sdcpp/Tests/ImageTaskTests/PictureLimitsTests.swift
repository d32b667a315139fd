import ImageTask
import PluginProtocol
import Testing

@Suite struct PictureLimitsTests {
  @Test func drawingTakesMoreMemoryThanTheMeasuredAutoencoder() {
    // What the library reported for its scratch memory: 11 MiB at 64 × 64.
    #expect((11...12).contains(PictureLimits.drawingBytes(width: 64, height: 64, frames: 1) >> 20))
    #expect((44...46).contains(PictureLimits.drawingBytes(width: 128, height: 128, frames: 1) >> 20))
  }

  @Test func aDrawingThatDoesNotFitIsRefusedWithBothNumbers() throws {
    let large = try task(["width": 4096, "height": 4096])
    let found = refusal { try PictureLimits.check(drawing: large, available: 8 << 30) }
    #expect(found?.kind == .resource)
    #expect(found?.message.contains("8192 MiB") == true)
    #expect(refusal { try PictureLimits.check(drawing: large, available: nil) } == nil)
    let small = try task(["width": 64, "height": 64])
    #expect(refusal { try PictureLimits.check(drawing: small, available: 1 << 30) } == nil)
  }

  @Test func picturesFromOutsideAreJudgedByTheirHeader() {
    #expect(refusal { try PictureLimits.check(reading: "x", width: 60_000, height: 60_000) }?.kind == .badInput)
    #expect(refusal { try PictureLimits.check(reading: "x", width: 16_384, height: 1) }?.kind == .badInput)
    #expect(refusal { try PictureLimits.check(reading: "x", width: .max, height: 1) }?.kind == .badInput)
    #expect(refusal { try PictureLimits.check(reading: "x", width: 8064, height: 6048) } == nil)
  }

  @Test(arguments: [
    ("SD 1.x Tiny UNet", 64, false), ("SDXL", 64, false), ("SD 1.x Instruct-Pix2Pix", 64, true), ("Flux", 8, true),
    ("Qwen Image", 8, true), ("Z-Image", 8, true), ("Wan 2.x", 16, false), ("Wan 2.2 TI2V", 32, false),
    ("Flux.2 klein", 16, true), ("SD3.x", 8, false),
  ])
  func kindsOfModelsDiffer(architecture: String, multiple: Int, readsReference: Bool) {
    #expect(PictureLimits.multiple(architecture: architecture) == multiple)
    #expect(PictureLimits.readsReference(architecture: architecture) == readsReference)
  }

  @Test func sidesAreRoundedUp() {
    #expect(PictureLimits.aligned(1, to: 64) == 64)
    #expect(PictureLimits.aligned(512, to: 64) == 512)
    #expect(PictureLimits.aligned(1000, to: 64) == 1024)
  }
}
