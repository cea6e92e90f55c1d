/// Plans that were found by measuring, by kernel and shape bucket: what an ``Executor`` knows of its machine.
///
/// A value; its text is what lies on disk. A plan is a few named integers, which only the kernel's own choice of plans
/// understands.
public struct TunedPlans: Sendable, Hashable {
  /// What times depend on besides the plan: they are of no use elsewhere.
  public struct Machine: Sendable, Hashable {
    /// Name of the device.
    public var device: String
    /// Version of its driver.
    public var driver: String
    /// Version of the compiler of its kernels.
    public var compiler: String

    /// A machine by the names that its driver and compiler give.
    public init(device: String, driver: String, compiler: String) {
      self.device = device
      self.driver = driver
      self.compiler = compiler
    }

    /// In one line.
    var text: String {
      [device, driver, compiler].map { $0.map { $0.isWhitespace ? " " : $0 } }
        .map { String($0) }.joined(separator: "\t")
    }
  }

  /// The best plan that was found.
  public struct Entry: Sendable, Hashable {
    /// The plan's numbers by name.
    public var settings: [String: Int]
    /// What a call took, in nanoseconds.
    public var nanoseconds: Int

    /// A plan with its time.
    public init(settings: [String: Int], nanoseconds: Int) {
      self.settings = settings
      self.nanoseconds = nanoseconds
    }
  }

  /// Where the plans were measured.
  public let machine: Machine
  /// Plans by ``key(_:_:)``.
  public private(set) var entries: [String: Entry] = [:]

  /// No plans yet.
  public init(machine: Machine) { self.machine = machine }

  /// What a plan is kept under: the kernel and its extents, each rounded up to a power of two.
  public static func key(_ kernel: String, _ extents: [(name: String, value: Int)]) -> String {
    let buckets = extents.map { "\($0.name)<=\(bucket($0.value))" }
    return ([kernel] + buckets).joined(separator: " ")
  }

  /// The least power of two that is no less.
  static func bucket(_ extent: Int) -> Int {
    var result = 1
    while result < extent, result <= Int.max / 4 { result *= 2 }
    return result
  }

  /// The settings kept under a key.
  public func settings(_ key: String) -> [String: Int]? { entries[key]?.settings }

  /// Keeps a plan, in place of what was there.
  public mutating func keep(_ entry: Entry, for key: String) { entries[key] = entry }

  // MARK: Text

  private static let title = "godwit plans 1"

  /// A line of title, one of the machine, one an entry, and a last one that counts them.
  public var text: String {
    let lines = entries.sorted { $0.key < $1.key }.map { key, entry in
      let settings = entry.settings.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
      return "\(key)\t\(settings.joined(separator: " "))\t\(entry.nanoseconds)"
    }
    return ([Self.title, machine.text] + lines + ["end \(entries.count)"]).joined(separator: "\n") + "\n"
  }

  /// Reads a text that was written on the same machine.
  ///
  /// - Throws: ``TuningError`` for a text of another machine, and for one that is damaged: it is read whole or not at all.
  public init(text: String, on machine: Machine) throws(TuningError) {
    self.init(machine: machine)
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count >= 4, lines[0] == Self.title, lines.last == "" else { throw .damaged(line: 1) }
    guard lines[1] == machine.text else { throw .foreign(found: String(lines[1]), expected: machine.text) }
    for (number, line) in lines[2..<lines.count - 2].enumerated() {
      guard let (key, entry) = Self.entry(line), entries.updateValue(entry, forKey: key) == nil else {
        throw .damaged(line: number + 3)
      }
    }
    guard lines[lines.count - 2] == "end \(entries.count)" else { throw .damaged(line: lines.count - 1) }
  }

  private static func entry(_ line: Substring) -> (String, Entry)? {
    let parts = line.split(separator: "\t", omittingEmptySubsequences: false)
    guard parts.count == 3, !parts[0].isEmpty, let time = Int(parts[2]), time > 0 else { return nil }
    var settings: [String: Int] = [:]
    for setting in parts[1].split(separator: " ") {
      let pair = setting.split(separator: "=", omittingEmptySubsequences: false)
      guard pair.count == 2, let value = Int(pair[1]),
        settings.updateValue(value, forKey: String(pair[0])) == nil
      else { return nil }
    }
    return settings.isEmpty ? nil : (String(parts[0]), Entry(settings: settings, nanoseconds: time))
  }
}

/// Why kept plans are not used.
public enum TuningError: Error, Equatable {
  case foreign(found: String, expected: String)
  case damaged(line: Int)
}

extension TuningError: CustomStringConvertible {
  public var description: String {
    func words(_ text: String) -> String { text.split(separator: "\t").joined(separator: ", ") }
    return switch self {
    case .foreign(let found, let expected):
      "these plans were measured on \(words(found)), this machine is \(words(expected)). They are not used; tune again."
    case .damaged(let line):
      "line \(line) is not what was written there. The plans are not used; tune again, which writes a new file."
    }
  }
}
