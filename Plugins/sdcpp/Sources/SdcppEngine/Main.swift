import PluginProtocol

@main
struct Main {
  static func main() async {
    await EngineMain.run(SdcppEngine())
  }
}
