import Foundation
import PackagePlugin

/// Writes the commit that is built into a Swift file before each build.
@main
struct CommitStamp: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) -> [Command] {
    let folder = context.pluginWorkDirectoryURL.appending(path: "Generated")
    // A file that says the same as before is left, so that nothing is compiled again.
    let script = """
      commit=$(git -C "$0" describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null || echo unknown)
      mkdir -p "$1"
      text="/// The commit this program was built from.
      let builtCommit = \\"$commit\\""
      [ "$(cat "$1/BuiltCommit.swift" 2>/dev/null)" = "$text" ] || printf '%s\\n' "$text" > "$1/BuiltCommit.swift"
      """
    return [
      .prebuildCommand(
        displayName: "Stamp the commit", executable: URL(filePath: "/bin/sh"),
        arguments: ["-c", script, context.package.directoryURL.path(), folder.path()],
        outputFilesDirectory: folder)
    ]
  }
}
