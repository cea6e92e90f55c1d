internal import Glibc
internal import Memory
public import Tiles

/// Where tuned plans are kept between runs: a file for each machine.
public struct PlanFile: Sendable {
  /// The folder of all such files.
  public let folder: String

  /// A folder is made when the first file is stored.
  public init(folder: String) { self.folder = folder }

  /// Path of a machine's file.
  public func path(_ machine: TunedPlans.Machine) -> String {
    let name = [machine.device, machine.driver, machine.compiler].joined(separator: "-").map {
      $0.isASCII && ($0.isLetter || $0.isNumber || $0 == ".") ? $0 : "-"
    }
    return "\(folder)/\(String(name)).plans"
  }

  /// The plans of a machine: none where there is no file or it cannot be used.
  ///
  /// - Returns: them, and why a file was passed over.
  public func load(for machine: TunedPlans.Machine) -> (plans: TunedPlans, note: String?) {
    let (none, path) = (TunedPlans(machine: machine), path(machine))
    guard FileKind(path: path) != .missing else { return (none, nil) }
    do {
      let file = try MappedFile(path: path)
      let bytes = file.bytes
      guard bytes.count <= Self.mostBytes else { return (none, "\(path): \(TuningError.damaged(line: 1))") }
      let text = String(decoding: bytes.indices.map { bytes[$0] }, as: UTF8.self)
      return (try TunedPlans(text: text, on: machine), nil)
    } catch let error as TuningError {
      return (none, "\(path): \(error)")
    } catch {
      // It names the file itself.
      return (none, "\(error) The plans are not used.")
    }
  }

  /// No file that was written is larger: a thousand plans take a tenth of it.
  private static let mostBytes = 1 << 20

  /// Writes a machine's plans, whole or not at all.
  ///
  /// - Throws: what the file system says.
  public func store(_ plans: TunedPlans) throws {
    var place = folder.hasPrefix("/") ? "" : "."
    for part in folder.split(separator: "/") {
      place += "/\(part)"
      _ = unsafe mkdir(place, 0o755)
    }
    let file = try FileReplacement(path: path(plans.machine))
    try file.write(Array(plans.text.utf8).span)
    try file.commit()
  }
}
