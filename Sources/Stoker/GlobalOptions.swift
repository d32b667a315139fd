import ArgumentParser
import Glibc
import Host

/// What every command takes.
struct GlobalOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The worker's home: configuration, data, models, socket and plugins in one directory.",
      discussion: "Without it STOKER_HOME, else the XDG directories.", valueName: "dir"), completion: .directory)
  var home: String?

  @Flag(help: "Print JSON, for programs.")
  var json = false

  @Flag(name: .shortAndLong, help: "Print results and errors only: no progress, no summary.")
  var quiet = false

  /// Where this worker keeps what, and its configuration.
  func located(plugins: [String] = []) throws -> Located {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    let directory = getcwd(&buffer, buffer.count).map { String(cString: $0) } ?? "/"
    let executable = realpath("/proc/self/exe", nil)
    defer { free(executable) }
    let environment = Environment.all()
    let layout = try HomeLayout.find(
      HomeLayout.Surroundings(
        home: home, plugins: plugins, environment: environment, workingDirectory: directory,
        executable: executable.map { String(cString: $0) } ?? CommandLine.arguments[0]))
    return Located(bare: layout, environment: environment)
  }

  /// The running worker of this home.
  ///
  /// Not inlined: Swift 6.3.1 crashes in "splitting coroutine" when an optimised build inlines this chain of typed throws
  /// into an asynchronous command.
  @inline(never)
  func worker() throws -> any WorkerConnection {
    SocketConnection(path: try located().bare.checkedSocketPath())
  }

  /// What the terminal is like, and where output goes.
  var console: Console { Console.standard() }
}

/// A home that was found.
struct Located: Sendable {
  /// The layout before the configuration file was read.
  let bare: HomeLayout
  let environment: [String: String]

  /// Reads the configuration file and applies it. An absent file is an empty one.
  func configured() throws -> (layout: HomeLayout, loaded: HostConfiguration.Loaded) {
    let loaded = try HostConfiguration.load(bare.configFile)
    return (bare.applying(loaded.configuration, userHome: environment["HOME"]), loaded)
  }
}

/// The environment that the program was started with.
enum Environment {
  static func all() -> [String: String] {
    var variables: [String: String] = [:]
    var next = environ
    while let entry = next.pointee {
      let text = String(cString: entry)
      if let equals = text.firstIndex(of: "="), variables[String(text[..<equals])] == nil {
        variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
      }
      next += 1
    }
    return variables
  }

  static func value(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
