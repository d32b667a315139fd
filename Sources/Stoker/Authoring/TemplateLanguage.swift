import ArgumentParser
import Host

/// The languages in which `stoker plugins new` makes a plugin: what each consists of.
enum TemplateLanguage: String, CaseIterable, ExpressibleByArgument {
  case python
  case swift
  case bash
  case c
  case node

  /// A file of a new plugin and where it comes from, below the shared directory's parts. A directory is taken whole.
  struct Part: Equatable {
    enum Origin: Equatable {
      /// Below `templates/`; its placeholders are filled in.
      case template(String)
      /// Below `sdks/`, copied as it is.
      case kit(String)
    }
    let origin: Origin
    let name: String
    var isExecutable = false
  }

  func parts(_ kind: JobKind) -> [Part] {
    let kind = kind.cliName
    switch self {
    case .python:
      return [
        Part(origin: .template("python/engine.\(kind).py"), name: "engine.py"),
        Part(origin: .kit("python/stoker_engine.py"), name: "stoker_engine.py"),
      ]
    case .swift:
      return [
        Part(origin: .template("swift/engine.\(kind).swift"), name: "Sources/Engine.swift"),
        Part(origin: .template("swift/Package.swift"), name: "Package.swift"),
        Part(origin: .template("swift/Makefile"), name: "Makefile"),
        Part(origin: .kit("swift"), name: "StokerKit"),
      ]
    case .bash:
      return [
        Part(origin: .template("bash/engine.\(kind).sh"), name: "engine.sh", isExecutable: true),
        Part(origin: .kit("bash/stoker_engine.sh"), name: "stoker_engine.sh"),
      ]
    case .c:
      return [
        Part(origin: .template("c/engine.\(kind).c"), name: "engine.c"),
        Part(origin: .template("c/Makefile"), name: "Makefile"),
        Part(origin: .kit("c/stoker_engine.h"), name: "stoker_engine.h"),
        Part(origin: .kit("c/stoker_json.h"), name: "stoker_json.h"),
      ]
    case .node:
      return [
        Part(origin: .template("node/engine.\(kind).mjs"), name: "engine.mjs"),
        Part(origin: .kit("node/stoker_engine.mjs"), name: "stoker_engine.mjs"),
      ]
    }
  }

  /// `command` of the manifest.
  var command: String {
    switch self {
    case .python: "[python3, engine.py]"
    case .bash: "[bash, engine.sh]"
    case .node: "[node, engine.mjs]"
    case .swift, .c: "[./engine]"
    }
  }

  /// Whether there is something to be made before the plugin can be used.
  var isCompiled: Bool { self == .swift || self == .c }

  /// As people write it.
  var title: String {
    switch self {
    case .python: "Python"
    case .swift: "Swift"
    case .bash: "Bash"
    case .c: "C"
    case .node: "JavaScript (Node.js)"
    }
  }

  /// What building and running it takes.
  var needs: String {
    switch self {
    case .python: "It needs Python 3.9 or newer and no packages."
    case .swift: "Building it needs Swift 6.3 or newer and make; the program runs without them."
    case .bash: "It needs Bash 5 and jq (`apt-get install jq`)."
    case .c: "Building it needs a C11 compiler and make (`apt-get install build-essential`)."
    case .node: "It needs Node.js 18 or newer (`apt-get install nodejs`) and no packages."
    }
  }

  /// What lies where.
  var files: String {
    switch self {
    case .python: "`engine.py` is the engine; `stoker_engine.py`, a copy of the kit, does the protocol."
    case .swift:
      "`Sources/Engine.swift` is the engine; `StokerKit`, a copy of the kit, does the protocol. `make` builds the program "
        + "`engine` from them, and nothing else of the directory is needed to run it but `plugin.yaml`."
    case .bash: "`engine.sh` is the engine; `stoker_engine.sh`, a copy of the kit, does the protocol."
    case .c:
      "`engine.c` is the engine; `stoker_engine.h` and `stoker_json.h`, a copy of the kit, do the protocol. `make` builds the "
        + "program `engine` from them."
    case .node: "`engine.mjs` is the engine; `stoker_engine.mjs`, a copy of the kit, does the protocol."
    }
  }
}
