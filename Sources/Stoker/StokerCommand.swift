import ArgumentParser

/// The root of the command line.
struct StokerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stoker",
    abstract: "Runs AI engines as separate processes, and gives them jobs.",
    discussion: """
      A worker takes jobs (text generation, speech to text, text to speech, images, video), hands each to an engine that \
      runs in a process of its own, and keeps the result. Start one with `stoker run`; the other commands talk to it over \
      a socket that only its user can open.

      EXAMPLES
        stoker models pull smollm2-135m-instruct
        stoker run &
        stoker submit llm --prompt "Why is the sky blue?" --stream
        stoker exec llm --prompt "One job, and no worker left behind"
        stoker status

      EXIT STATUS
        0    done
        1    the job, or what was asked for, failed
        2    wrong usage
        3    no worker is running
        4    nothing here can serve that job
        130  interrupted

      ENVIRONMENT
        STOKER_HOME  the worker's home, as with --home
        NO_COLOR     no colours

      Completions: stoker --generate-completion-script bash (or zsh, fish).
      """,
    version: StokerVersion.current,
    groupedSubcommands: [
      CommandGroup(
        name: "Worker:",
        subcommands: [
          RunCommand.self, StatusCommand.self, PauseCommand.self, ResumeCommand.self, DrainCommand.self,
          LogsCommand.self,
        ]),
      CommandGroup(
        name: "Jobs:",
        subcommands: [
          ExecCommand.self, SubmitCommand.self, JobsCommand.self, CancelCommand.self, ResultCommand.self,
        ]),
      CommandGroup(name: "Installation:", subcommands: [PluginsCommand.self, ModelsCommand.self, ConfigCommand.self]),
    ])
}
