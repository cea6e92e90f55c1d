internal import Formats
internal import Foundation
internal import Train

/// What training leaves in a folder: a checkpoint, what it is of, and a line of JSON for each measurement.
struct RunFolder {
  /// The folder.
  let path: String

  /// The checkpoint, replaced at once when there is a new one.
  var checkpoint: String { path + "/checkpoint.safetensors" }
  /// What is trained: recipe, model, seed, parameters.
  var outline: String { path + "/run.json" }
  /// Measurements, a JSON line each.
  var metrics: String { path + "/metrics.jsonl" }
  /// Curves to look at.
  var report: String { path + "/report.html" }

  /// Makes the folder where there is none.
  func prepare() throws {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch { throw CommandFailure("\(path) cannot be made: \(error.localizedDescription)") }
    removePartials()
  }

  /// Takes away files that programs were writing when they were ended.
  private func removePartials() {
    let mark = ".partial-"
    for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] {
      guard let place = name.range(of: mark),
        let process = name[place.upperBound...].split(separator: "-").first,
        let number = Int32(process), number > 0, kill(number, 0) != 0, errno == ESRCH
      else { continue }
      try? FileManager.default.removeItem(atPath: path + "/" + name)
    }
  }

  /// Whether somebody trained here before.
  var isUsed: Bool { FileManager.default.fileExists(atPath: checkpoint) }

  /// Whether there are measurements of a network that is not there, as of a run that was fetched without its checkpoint. A run that is killed
  /// before its first checkpoint leaves one at most.
  var holdsForeignMeasurements: Bool { !isUsed && lines().count > 1 }

  /// Takes away what an earlier run left, the checkpoint first: what is there in between is never that of two runs.
  func clear() throws {
    try remove([checkpoint])
    try clearMeasurements()
  }

  /// Takes away what was measured of a network that is no longer there.
  func clearMeasurements() throws { try remove([outline, metrics, report]) }

  private func remove(_ files: [String]) throws {
    for file in files where FileManager.default.fileExists(atPath: file) {
      do { try FileManager.default.removeItem(atPath: file) } catch {
        throw CommandFailure("\(file) cannot be removed: \(error.localizedDescription)")
      }
    }
  }

  /// Takes away what was measured after a step: it will be measured again.
  func forgetMetrics(after step: Int) throws {
    guard let text = try? String(contentsOfFile: metrics, encoding: .utf8) else { return }
    let kept = Files.lines(text).filter { line in
      // A line that was being written when the program ended is no JSON.
      guard let json = try? JSON.parse(line, file: metrics), let at = json["step"]?.integer else {
        return false
      }
      return at <= step
    }
    try Files.write(kept.map { $0 + "\n" }.joined(), to: metrics)
  }

  /// Adds a line; it is on disk when this returns, before the checkpoint that follows it.
  func add(_ line: JSON) throws {
    let text = try line.serialized() + "\n"
    guard let file = FileHandle(forWritingAtPath: metrics) else { return try Files.write(text, to: metrics) }
    defer { try? file.close() }
    do {
      try file.seekToEnd()
      try file.write(contentsOf: Data(text.utf8))
      try file.synchronize()
    } catch { throw CommandFailure("\(metrics) cannot be written: \(error.localizedDescription)") }
  }

  /// All lines.
  func lines() -> [JSON] {
    guard let text = try? String(contentsOfFile: metrics, encoding: .utf8) else { return [] }
    return Files.lines(text).compactMap { try? JSON.parse($0, file: metrics) }
  }
}
