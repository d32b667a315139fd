import PluginProtocol

@main
struct FFmpegMain {
  static func main() async {
    await EngineMain.run(FFmpegEngine())
  }
}
