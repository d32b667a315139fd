import PluginProtocol

@main
struct SyntheticMain {
  static func main() async {
    await EngineMain.run(SyntheticEngine(clock: ContinuousClock()))
  }
}
