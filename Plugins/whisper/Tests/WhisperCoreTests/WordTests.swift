import PluginProtocol
import Testing
import WhisperCore

@Suite("Words")
struct WordTests {
  private static func token(_ text: String, _ start: Double, _ end: Double, _ probability: Double = 1)
    -> WordAssembler.Token
  {
    WordAssembler.Token(bytes: Array(text.utf8), start: start, end: end, probability: probability)
  }

  private static func texts(_ tokens: [WordAssembler.Token], language: String = "en") -> [String] {
    WordAssembler.words(tokens, language: language, bounds: 0...10).map(\.text)
  }

  @Test("tokens join to words, marks to their neighbours")
  func joining() {
    let tokens = [" And", " so", ",", " Amer", "icans", " \"", "ask", "\"", " (", "not", ")", "."].enumerated().map {
      Self.token($1, Double($0) * 0.5, Double($0) * 0.5 + 0.5)
    }
    #expect(Self.texts(tokens) == ["And", "so,", "Americans", "\"ask\"", "(not)."])
    #expect(Self.texts([Self.token(" -", 0, 1)]) == ["-"])
    #expect(Self.texts([]).isEmpty)
    #expect(Self.texts([Self.token(" ", 0, 1), Self.token("", 0, 1)]).isEmpty)
  }

  @Test("characters that are cut apart come together again")
  func characters() {
    let word = Array(" naïve".utf8)
    let halves = [Array(word[..<4]), Array(word[4...])].map {
      WordAssembler.Token(bytes: $0, start: 0, end: 1, probability: 1)
    }
    #expect(WordAssembler.words(halves, language: "fr", bounds: 0...1).map(\.text) == ["naïve"])
    let sea = Array("海".utf8)
    let chinese = [Array("大".utf8), Array(sea[..<1]), Array(sea[1...]), Array("。".utf8)].map {
      WordAssembler.Token(bytes: $0, start: 0, end: 1, probability: 1)
    }
    #expect(WordAssembler.words(chinese, language: "zh", bounds: 0...1).map(\.text) == ["大", "海。"])
  }

  @Test("times rise and stay inside the segment")
  func times() {
    let words = WordAssembler.words(
      [Self.token(" a", -1, 3, 0.5), Self.token("b", 2, 4, 1), Self.token(" c", 1, 2), Self.token(" d", 9, 99)],
      language: "en", bounds: 1...8)
    #expect(words.map(\.start) == [1, 4, 8] && words.map(\.end) == [4, 4, 8])
    #expect(words[0].probability == 0.75)
  }

  @Test("the result is the whisper shape")
  func json() {
    let transcript = Transcript(
      language: "en", duration: 2.00049,
      segments: [
        TranscribedSegment(start: 0, end: 1, text: " Ask not"),
        TranscribedSegment(
          start: 1, end: 2, text: " what.",
          words: [TranscribedWord(start: 1, end: 2, text: "what.", probability: 0.123_456)]),
      ])
    #expect(
      transcript.json == [
        "text": "Ask not what.", "language": "en", "duration": 2.0,
        "segments": [
          ["start": 0.0, "end": 1.0, "text": "Ask not"],
          [
            "start": 1.0, "end": 2.0, "text": "what.",
            "words": [["start": 1.0, "end": 2.0, "text": "what.", "probability": 0.1235]],
          ],
        ],
      ])
    #expect(
      Transcript(
        language: "zh", duration: 1,
        segments: [
          TranscribedSegment(start: 0, end: 1, text: "大"), TranscribedSegment(start: 0, end: 1, text: "海"),
        ]
      ).text == "大海")
  }
}

@Suite("Speech map")
struct SpeechMapTests {
  @Test("leads back to the recording")
  func mapping() {
    var map = SpeechMap()
    #expect(map.original(of: 5, isStart: true) == 5)
    map.append(at: 0, original: 100, length: 50)
    map.append(at: 60, original: 500, length: 20)
    #expect(map.original(of: 0, isStart: true) == 100)
    #expect(map.original(of: 49, isStart: false) == 149)
    // In the silence between them.
    #expect(map.original(of: 55, isStart: false) == 150)
    #expect(map.original(of: 55, isStart: true) == 500)
    #expect(map.original(of: 60, isStart: true) == 500)
    #expect(map.original(of: 99, isStart: true) == 520)
  }
}
