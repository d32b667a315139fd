import Glibc
import Host
import PluginProtocol

// A whole worker on a home of its own: `worker-helper HOME LAUNCHER`. Prints `ready` when it takes jobs; logs to stderr.
// Exit status: 0 after an orderly stop, 1 when it could not run.

func say(_ text: String) {
  let bytes = Array((text + "\n").utf8)
  _ = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
}

/// Ends this process when the one that started it is gone: then its stdin ends.
func endWithParent() {
  var thread = pthread_t()
  pthread_create(
    &thread, nil,
    { _ in
      var byte: UInt8 = 0
      while read(STDIN_FILENO, &byte, 1) != 0 {}
      _exit(9)
    }, nil)
}

guard CommandLine.arguments.count == 3 else {
  say("usage: worker-helper HOME LAUNCHER")
  exit(2)
}
endWithParent()
do {
  let environment = ["PATH": "/usr/bin:/bin"]
  var layout = try HomeLayout.find(
    HomeLayout.Surroundings(
      home: CommandLine.arguments[1], environment: environment, workingDirectory: "/", executable: "/nowhere/bin/worker"
    ))
  layout.launcher = CommandLine.arguments[2]
  let configuration = try HostConfiguration.load(layout.configFile).configuration
  let log = HostLog(threshold: .debug)
  let worker = try Worker(
    WorkerOptions(
      layout: layout, configuration: configuration, environment: environment, version: "test", isDaemon: true, log: log)
  )
  try await worker.run { say("ready") }
} catch {
  say("\(error)")
  exit(1)
}
