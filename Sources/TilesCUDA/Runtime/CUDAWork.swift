internal import Tiles

/// Something that an executor was asked for.
enum CUDAWork: Sendable, Equatable {
  case launch(PreparedLaunch)
  case copy(from: UInt64, to: UInt64, bytes: Int)
  case clear(UInt64, bytes: Int)

  var isKernel: Bool { if case .launch = self { true } else { false } }

  /// Bytes that it reads.
  var reads: [Range<UInt64>] {
    switch self {
    case .launch(let launch): launch.reads
    case .copy(let from, _, let bytes): [from..<from + UInt64(bytes)]
    case .clear: []
    }
  }

  /// Bytes that it writes.
  var writes: [Range<UInt64>] {
    switch self {
    case .launch(let launch): launch.writes
    case .copy(_, let to, let bytes): [to..<to + UInt64(bytes)]
    case .clear(let place, let bytes): [place..<place + UInt64(bytes)]
    }
  }

  static func == (a: Self, b: Self) -> Bool {
    switch (a, b) {
    // The same arguments give the same launch.
    case (.launch(let a), .launch(let b)): a === b
    case (.copy(let from, let to, let bytes), .copy(let otherFrom, let otherTo, let otherBytes)):
      (from, to, bytes) == (otherFrom, otherTo, otherBytes)
    case (.clear(let place, let bytes), .clear(let other, let otherBytes)):
      (place, bytes) == (other, otherBytes)
    default: false
    }
  }
}

/// What a ``CUDAExecutor`` noted of work that it ran.
struct CUDAWorkLog: WorkLog {
  let work: [CUDAWork]
}
