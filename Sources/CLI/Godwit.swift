internal import ArgumentParser

/// The `godwit` command: a verb a file.
@main
struct Godwit: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "godwit",
    abstract: "AI models over very long sequences, in one binary.",
    discussion: """
      Answer many questions about one document:
        godwit ask --document /usr/share/common-licenses/Apache-2.0 --questions Demo/questions.txt
      Continue a text:
        godwit generate --prompt "The longest flight of a bird" --max-tokens 64
      """,
    version: "0.1.0 (\(builtCommit))",
    subcommands: [
      AskCommand.self, GenerateCommand.self, ScoreCommand.self, TokenizeCommand.self, InspectCommand.self,
      BatchCommand.self, CorpusCommand.self, TrainCommand.self, EvalCommand.self, ExportCommand.self,
      ConvertCommand.self, ReportCommand.self,
      InfoCommand.self, BenchCommand.self, PlotCommand.self, KernelsCommand.self,
    ])
}
