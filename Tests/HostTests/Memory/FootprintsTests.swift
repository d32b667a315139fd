import Foundation
import Testing

@testable import Host

struct FootprintsTests {
  private let subject = Footprints.Subject(plugin: "llama@1", model: "m", fileBytes: 1 << 30, isOnDevice: false)

  @Test func estimatesComeFromFilesThenFromWhatWasSeen() {
    let footprints = Footprints(path: nil)
    let first = footprints.estimate(subject, declared: .estimate)
    #expect(first.machineBytes == (1 << 30) + (1 << 30) / 10 + (64 << 20) && first.deviceBytes == 0)
    #expect(footprints.estimate(subject, declared: .bytes(5000)).machineBytes == 5000)
    footprints.learn(subject, Footprints.Footprint(machineBytes: 3000, deviceBytes: 0))
    #expect(footprints.estimate(subject, declared: .estimate).machineBytes == 3000)
    footprints.learn(subject, Footprints.Footprint(machineBytes: 4000, deviceBytes: 0))
    #expect(footprints.estimate(subject, declared: .estimate).machineBytes == 4000, "more counts at once")
    footprints.learn(subject, Footprints.Footprint(machineBytes: 2000, deviceBytes: 0))
    #expect(footprints.estimate(subject, declared: .estimate).machineBytes == 3000, "less counts by half")
    var onDevice = subject
    onDevice.isOnDevice = true
    #expect(footprints.estimate(onDevice, declared: .estimate).deviceBytes == first.machineBytes, "another subject")
  }

  @Test func theySurviveARestartAndDamageCostsNothing() async throws {
    let subject = subject
    try await withTemporaryDirectory { directory in
      let path = "\(directory)/footprints.json"
      defer { FileTree.remove(path) }
      let taken = Footprints.Footprint(machineBytes: 123, deviceBytes: 456)
      Footprints(path: path).learn(subject, taken)
      #expect(Footprints(path: path).estimate(subject, declared: .estimate) == taken)
      for bad in ["", "{", "[]", #"{"footprints":[{"plugin":"llama@1","model":"m","fileBytes":1,"machineBytes":-1}]}"#]
      {
        try bad.write(toFile: path, atomically: true, encoding: .utf8)
        #expect(!Footprints(path: path).isMeasured(subject))
      }
    }
  }
}
