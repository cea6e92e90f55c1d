internal import Memory
internal import Tiles

/// What the host gives to work that is noted or recorded.
final class RecordingInProgress {
  private let memory: MemoryPool
  /// Whether kernels are recorded, so that copies have to wait.
  private let isCapturing: Bool
  private var constants: [(host: Tensor, target: Tensor)] = []
  private var given: [(make: () throws -> [Tensor], targets: [Tensor])] = []

  /// - Parameter memory: what only inputs are in.
  init(_ memory: MemoryPool, isCapturing: Bool) {
    self.memory = memory
    self.isCapturing = isCapturing
  }

  /// An array with numbers that never change.
  func constant(_ host: Tensor, on device: Device) throws -> Tensor {
    let target = try device.empty(host.shape, host.type, in: memory)
    constants.append((host, target))
    if !isCapturing { try device.executor.copy(from: host, into: target) }
    return target
  }

  /// Arrays with numbers that `make` gives each time.
  func given(_ make: @escaping () throws -> [Tensor], on device: Device) throws -> [Tensor] {
    let hosts = try make()
    let targets = try hosts.map { try device.empty($0.shape, $0.type, in: memory) }
    given.append((make, targets))
    if !isCapturing { try copy(hosts, into: targets, on: device) }
    return targets
  }

  private func copy(_ hosts: [Tensor], into targets: [Tensor], on device: Device) throws {
    precondition(hosts.map(\.shape) == targets.map(\.shape), "a feed gave arrays of other shapes")
    for (host, target) in zip(hosts, targets) { try device.executor.copy(from: host, into: target) }
  }

  func copyConstants(on device: Device) throws {
    for (host, target) in constants { try device.executor.copy(from: host, into: target) }
  }

  /// Makes all that follows from feeds anew.
  func refresh(on device: Device) throws {
    for (make, targets) in given { try copy(make(), into: targets, on: device) }
  }

  /// Lets go of arrays of work that is done, whose places the next time is to find again.
  func finish() {
    constants = constants.map { ($0.host, $0.host) }
    given = []
  }

  /// Whether both were given the same constants.
  func hasConstants(of other: RecordingInProgress) -> Bool {
    constants.count == other.constants.count
      && zip(constants, other.constants).allSatisfy { $0.host.hasSameBytes(as: $1.host) }
  }
}

extension Tensor {
  /// Whether two dense arrays in host memory are the same, bit for bit.
  fileprivate func hasSameBytes(as other: Tensor) -> Bool {
    guard type == other.type, shape == other.shape else { return false }
    return withElements(as: UInt8.self) { a in
      other.withElements(as: UInt8.self) { b in a.indices.allSatisfy { a[$0] == b[$0] } }
    }
  }
}
