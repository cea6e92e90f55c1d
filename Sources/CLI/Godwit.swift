internal import ArgumentParser
internal import Glibc

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
      BatchCommand.self, CorpusCommand.self, TrainCommand.self, RecipeCommand.self, EvalCommand.self,
      ExportCommand.self,
      ConvertCommand.self, ReportCommand.self,
      InfoCommand.self, BenchCommand.self, PlotCommand.self, KernelsCommand.self,
    ])

  static func main() {
    do { try requireText(rawArguments) } catch { exit(withError: error) }
    main(nil)
  }

  /// Arguments without the program's name, as the system hands them over; Swift's own have U+FFFD for what is no text.
  private static var rawArguments: [[UInt8]] {
    var arguments: [[UInt8]] = []
    for index in 1..<max(1, Int(CommandLine.argc)) {
      guard let text = unsafe CommandLine.unsafeArgv[index] else { continue }
      unsafe arguments.append(Array(UnsafeRawBufferPointer(start: text, count: strlen(text))))
    }
    return arguments
  }

  /// Refuses arguments that are not UTF-8, which would be read as others than they are.
  static func requireText(_ arguments: [[UInt8]]) throws {
    for (index, argument) in arguments.enumerated() {
      do { _ = try UTF8Span(validating: argument.span) } catch {
        let place = error.byteOffsets.lowerBound
        throw ValidationError(
          "argument \(index + 1) is not UTF-8: its byte \(place) is \(argument[place]). Convert it first, for example "
            + "with iconv.")
      }
    }
  }
}
