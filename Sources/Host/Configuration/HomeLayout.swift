/// Where one worker keeps what: its home. All paths are absolute.
package struct HomeLayout: Sendable, Equatable {
  /// The one directory given by `--home` or `STOKER_HOME`; nil when the XDG directories are used.
  package var home: String?
  package var configFile: String
  /// The operator's own model entries; may be absent.
  package var modelsFile: String
  /// Where the log goes instead of standard error; nil unless the configuration says so.
  package var logFile: String?
  /// The job database and the jobs' directories.
  package var dataDirectory: String
  package var modelsDirectory: String
  /// Logs and whatever may be lost without losing work.
  package var stateDirectory: String
  package var cacheDirectory: String
  /// The socket and other things that end with the worker.
  package var runtimeDirectory: String
  /// In order of precedence.
  package var pluginDirectories: [PluginDirectory]
  /// The program that starts engines.
  package var launcher: String

  package var databaseFile: String { FilePath.join(dataDirectory, "jobs.sqlite") }
  package var jobsDirectory: String { FilePath.join(dataDirectory, "jobs") }
  package var socketPath: String { FilePath.join(runtimeDirectory, "stoker.sock") }
  /// The directory into which plugins are installed by hand.
  package var userPluginDirectory: String {
    pluginDirectories.first { $0.origin == .home }?.path ?? FilePath.join(dataDirectory, "plugins")
  }

  /// What the layout depends on, so that tests can choose it.
  package struct Surroundings: Sendable {
    /// `--home`.
    package var home: String?
    /// `--plugins`, in order.
    package var plugins: [String]
    package var environment: [String: String]
    package var workingDirectory: String
    /// The path of the running program, resolved.
    package var executable: String

    package init(
      home: String? = nil, plugins: [String] = [], environment: [String: String], workingDirectory: String,
      executable: String
    ) {
      self.home = home
      self.plugins = plugins
      self.environment = environment
      self.workingDirectory = workingDirectory
      self.executable = executable
    }
  }

  /// Finds the layout. Looks at which of a few directories exist, creates nothing.
  ///
  /// Home: `--home`, else `STOKER_HOME`, else the XDG directories (`~/.config/stoker`, `~/.local/share/stoker`,
  /// `~/.local/state/stoker`, `~/.cache/stoker`, `$XDG_RUNTIME_DIR/stoker`, or `run` in the state directory where there
  /// is no runtime directory). Plugins: every `--plugins`, then `<home>/plugins`, then the installed ones.
  /// - Throws: ``HomeError`` when there is no home to be found.
  package static func find(_ around: Surroundings) throws(HomeError) -> HomeLayout {
    let absolute = { (path: String) in FilePath.absolute(path, below: around.workingDirectory) }
    var layout: HomeLayout
    if let home = around.home ?? around.environment["STOKER_HOME"].flatMap({ $0.isEmpty ? nil : $0 }) {
      guard !home.isEmpty, !home.utf8.contains(0) else {
        throw HomeError(path: home, problem: "the home directory's name is empty; give --home DIR")
      }
      layout = single(absolute(home))
    } else {
      layout = try xdg(around.environment)
    }
    let prefix = FilePath.parent(FilePath.parent(around.executable))
    layout.pluginDirectories =
      around.plugins.map { PluginDirectory(path: absolute($0), origin: .commandLine) } + layout.pluginDirectories
      + [PluginDirectory(path: installedPlugins(prefix), origin: .installed)]
    layout.launcher = launcher(around, prefix)
    return layout
  }

  private static func single(_ home: String) -> HomeLayout {
    HomeLayout(
      home: home, configFile: FilePath.join(home, "config.yaml"), modelsFile: FilePath.join(home, "models.yaml"),
      dataDirectory: FilePath.join(home, "data"), modelsDirectory: FilePath.join(home, "models"),
      stateDirectory: FilePath.join(home, "state"),
      cacheDirectory: FilePath.join(home, "cache"), runtimeDirectory: FilePath.join(home, "run"),
      pluginDirectories: [PluginDirectory(path: FilePath.join(home, "plugins"), origin: .home)], launcher: "")
  }

  private static func xdg(_ environment: [String: String]) throws(HomeError) -> HomeLayout {
    // The XDG specification demands that values which are not absolute be ignored.
    let directory = { (name: String) in environment[name].flatMap { $0.hasPrefix("/") ? $0 : nil } }
    guard let user = directory("HOME") else {
      throw HomeError(path: "HOME", problem: "HOME is not set to an absolute path; set it, or give --home DIR")
    }
    let below = { (name: String, otherwise: String) in
      FilePath.join(directory(name) ?? FilePath.join(user, otherwise), "stoker")
    }
    let data = below("XDG_DATA_HOME", ".local/share")
    let state = below("XDG_STATE_HOME", ".local/state")
    let runtime = directory("XDG_RUNTIME_DIR").map { FilePath.join($0, "stoker") } ?? FilePath.join(state, "run")
    let config = below("XDG_CONFIG_HOME", ".config")
    return HomeLayout(
      home: nil, configFile: FilePath.join(config, "config.yaml"), modelsFile: FilePath.join(config, "models.yaml"),
      dataDirectory: data,
      modelsDirectory: FilePath.join(data, "models"), stateDirectory: state,
      cacheDirectory: below("XDG_CACHE_HOME", ".cache"), runtimeDirectory: runtime,
      pluginDirectories: [PluginDirectory(path: FilePath.join(data, "plugins"), origin: .home)], launcher: "")
  }

  private static func installedPlugins(_ prefix: String) -> String {
    let beside = FilePath.join(prefix, "plugins")
    return FilePath.kind(beside) == .directory ? beside : FilePath.join(prefix, "share/stoker/plugins")
  }

  /// `STOKER_LAUNCH`, else the installed one, else, in a build directory, the one beside the host's own program.
  private static func launcher(_ around: Surroundings, _ prefix: String) -> String {
    if let path = around.environment["STOKER_LAUNCH"], !path.isEmpty {
      return FilePath.absolute(path, below: around.workingDirectory)
    }
    let installed = FilePath.join(prefix, "libexec/stoker/launch")
    let beside = FilePath.join(FilePath.parent(around.executable), "launch")
    return FilePath.kind(installed) != .file && FilePath.kind(beside) == .file ? beside : installed
  }

  /// The layout with the paths that the configuration sets. Relative ones are below the configuration file's directory.
  /// - Parameter userHome: what `~/` stands for.
  package func applying(_ configuration: HostConfiguration, userHome: String?) -> HomeLayout {
    var layout = self
    let absolute = { (path: String) in
      if path.hasPrefix("~/"), let userHome { return FilePath.join(userHome, String(path.dropFirst(2))) }
      return FilePath.absolute(path, below: FilePath.parent(configFile))
    }
    if let directory = configuration.models.directory { layout.modelsDirectory = absolute(directory) }
    if let file = configuration.models.file { layout.modelsFile = absolute(file) }
    layout.logFile = configuration.log.file.map(absolute)
    let more = configuration.pluginDirectories.map { PluginDirectory(path: absolute($0), origin: .configuration) }
    let installed = layout.pluginDirectories.firstIndex { $0.origin == .installed } ?? layout.pluginDirectories.count
    layout.pluginDirectories.insert(contentsOf: more, at: installed)
    return layout
  }
}

/// Why a home cannot be used.
package struct HomeError: Error, Sendable, Equatable, CustomStringConvertible {
  package let path: String
  package let problem: String

  package var description: String { problem }
}
