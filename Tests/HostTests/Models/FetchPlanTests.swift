import Testing

@testable import Host

struct FetchPlanTests {
  private static func wheel(_ package: String, _ member: String) -> ModelFileSource {
    .pypi(package: package, version: "1", member: member)
  }

  /// A model.bin of two wheels, and a vocabulary of the first one.
  private let file = CatalogueFile(
    role: "model",
    source: .convert(
      .ctranslate2Whisper,
      from: [
        ModelPiece(
          filename: "model.bin",
          source: .parts([
            ModelPiece(source: wheel("a", "m.part1"), bytes: 100), ModelPiece(source: wheel("b", "m.part2"), bytes: 60),
          ]), bytes: 160),
        ModelPiece(filename: "vocabulary.txt", source: wheel("a", "vocabulary.txt"), bytes: 10),
      ]), filename: "out.bin", bytes: 150)

  private func labels(_ steps: [FetchPlan.Step]) -> [String] { steps.map(\.makes.label) }

  @Test func piecesComeBeforeWhatIsMadeOfThem() {
    let plan = FetchPlan(file)
    #expect(labels(plan.steps) == ["m.part1", "m.part2", "model.bin", "vocabulary.txt", "out.bin"])
    #expect(plan.steps.last?.makes.path == "out.bin")
    #expect(plan.steps.dropLast().allSatisfy { $0.makes.path.hasPrefix(".parts/") })
    #expect(Set(plan.steps.map(\.makes.path)).count == 5)
  }

  @Test func whatIsThereIsNotMadeAgain() {
    let plan = FetchPlan(file)
    func left(_ there: String...) -> [String] { labels(plan.steps { there.contains($0.label) }) }
    #expect(left() == labels(plan.steps))
    #expect(left("m.part1") == ["m.part2", "model.bin", "vocabulary.txt", "out.bin"])
    #expect(left("model.bin") == ["vocabulary.txt", "out.bin"])
    #expect(left("model.bin", "vocabulary.txt") == ["out.bin"])
    // The file itself was found missing or wrong before.
    #expect(left("out.bin") == labels(plan.steps))
  }

  @Test func aPieceThatOccursTwiceIsFetchedOnce() {
    let piece = ModelPiece(source: .url("https://example.com/x"), bytes: 5)
    let twice = FetchPlan(CatalogueFile(role: "m", source: .parts([piece, piece]), filename: "f"))
    #expect(labels(twice.steps { _ in false }) == ["x", "f"])
  }

  @Test func piecesAreKnownByWhereTheyComeFromAndWhatTheyMustBe() {
    func name(_ piece: ModelPiece) -> String? {
      FetchPlan(CatalogueFile(role: "m", source: .parts([piece]), filename: "f")).steps.first?.makes.path
    }
    let source = Self.wheel("a", "x")
    let names = [
      name(ModelPiece(source: source)), name(ModelPiece(source: Self.wheel("a", "y"))),
      name(ModelPiece(source: source, bytes: 1)),
      name(ModelPiece(source: source, sha256: String(repeating: "a", count: 64))),
      name(ModelPiece(source: .url("https://example.com/x"))),
    ]
    #expect(Set(names).count == names.count)
  }

  @Test func roomIsReckonedStepByStep() {
    func peak(_ file: CatalogueFile, there: [String] = []) -> Int64 {
      FetchPlan.peakBytes(
        of: FetchPlan(file).steps { there.contains($0.label) }, wheelBytes: FetchPlan.wheelBytes(of: [file]))
    }
    // Wheel a (110) stays for the vocabulary. Then: the part (100), wheel b while pip copies it (120) = 330; with both
    // parts joined: 110 + 160 + 160 = 430.
    #expect(peak(file) == 430)
    // The vocabulary's wheel twice while pip copies it is more than what comes after.
    #expect(peak(file, there: ["model.bin"]) == 220)
    #expect(peak(file, there: ["model.bin", "vocabulary.txt"]) == 150)
    let one = CatalogueFile(role: "m", source: Self.wheel("a", "x"), filename: "f", bytes: 100)
    #expect(peak(one) == 200)
    // A download looks after itself.
    #expect(peak(CatalogueFile(role: "m", source: .url("https://example.com/x"), filename: "f", bytes: 100)) == 0)
    let huge = ModelPiece(source: .url("https://example.com/x"), bytes: .max)
    let other = ModelPiece(source: .url("https://example.com/y"), bytes: .max)
    #expect(peak(CatalogueFile(role: "m", source: .parts([huge, other]), filename: "f", bytes: .max)) == .max)
  }
}
