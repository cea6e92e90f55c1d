import Foundation

/// Files of tests: all in one folder, which is gone when the process ends.
public enum Scratch {
  private static let folder: String = {
    let path = NSTemporaryDirectory() + "godwit-tests-\(UUID().uuidString)"
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch { preconditionFailure("\(path): \(error)") }
    Foundation.atexit { try? FileManager.default.removeItem(atPath: Scratch.folder) }
    return path
  }()

  /// A path where nothing is yet.
  public static func path(_ name: String = "file") -> String { "\(folder)/\(UUID().uuidString)-\(name)" }
}
