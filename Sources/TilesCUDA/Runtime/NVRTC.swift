internal import CCUDA

/// The run-time compiler: CUDA source in, machine code out; needs no GPU.
///
/// Several threads may compile at the same time, each its own program: that takes as long as one, and the code is the same.
///
/// `@unchecked Sendable`: the table is written once, before anyone sees it.
@safe package final class NVRTC: @unchecked Sendable {
  /// The library's version, for example 13.0.
  package let version: (major: Int, minor: Int)
  private let table: UnsafePointer<gw_nvrtc>

  /// Names under which the library is looked for.
  static let names = ["libnvrtc.so.13", "libnvrtc.so.12"].flatMap {
    [$0, "/usr/local/cuda/lib64/\($0)", "/usr/local/cuda/targets/x86_64-linux/lib/\($0)"]
  }

  /// Opens the library.
  ///
  /// - Parameter path: the library, or the folder it is in; `nil` to look where systems keep it.
  /// - Throws: ``CUDAError/libraryMissing(library:reason:)``, ``CUDAError/symbolMissing(detail:)``.
  package init(path: String? = nil) throws(CUDAError) {
    let candidates = path.map { [$0, "\($0)/libnvrtc.so.13", "\($0)/libnvrtc.so.12"] } ?? Self.names
    let table = UnsafeMutablePointer<gw_nvrtc>.allocate(capacity: 1)
    unsafe self.table = unsafe UnsafePointer(table)
    var reason = ""
    var isOpen = false
    for name in candidates {
      let (code, message) = unsafe withMessage { text, capacity in
        unsafe gw_nvrtc_load(name, table, text, capacity)
      }
      if code == 2 { throw .symbolMissing(detail: message) }
      isOpen = code == 0
      if isOpen { break }
      // The first name is the one to ask for.
      if reason.isEmpty { reason = message }
    }
    guard isOpen else { throw .libraryMissing(library: path ?? "libnvrtc.so.13", reason: reason) }
    var (major, minor): (Int32, Int32) = (0, 0)
    _ = unsafe table.pointee.version(&major, &minor)
    version = (Int(major), Int(minor))
  }

  deinit { unsafe UnsafeMutablePointer(mutating: table).deallocate() }

  /// The version as people write it.
  package var versionText: String { "\(version.major).\(version.minor)" }

  /// A program's machine code, and what the compiler had to say.
  package struct Output: Sendable, Hashable {
    /// A cubin.
    package var image: [UInt8]
    /// The compiler's log.
    package var log: String
  }

  /// Options of every compilation for a target.
  static func options(_ target: CUDATarget) -> [String] {
    [
      "--gpu-architecture=\(target.rawValue)", "--std=c++17", "-default-device", "--ptxas-options=-v",
    ]
  }

  /// Compiles one translation unit.
  ///
  /// - Throws: ``CUDAError/compilation(kernel:log:)`` with the first lines of the log.
  package func compile(_ source: String, name: String, target: CUDATarget) throws(CUDAError) -> Output {
    var program: UnsafeMutableRawPointer?
    let created = unsafe table.pointee.create(&program, source, "\(name).cu", 0, nil, nil)
    guard created == 0, let handle = unsafe program else {
      throw .compilation(kernel: name, log: "nvrtcCreateProgram returned \(created)")
    }
    defer { _ = unsafe table.pointee.destroy(&program) }
    let code = unsafe withCStrings(Self.options(target)) { options in
      unsafe options.baseAddress.map { unsafe table.pointee.compile(handle, Int32(options.count), $0) } ?? 1
    }
    let log = unsafe text(handle)
    guard code == 0 else {
      throw .compilation(kernel: name, log: log.isEmpty ? "NVRTC returned \(code)" : log)
    }
    var size = 0
    guard unsafe table.pointee.cubin_size(handle, &size) == 0, size > 0 else {
      throw .compilation(kernel: name, log: "NVRTC left no machine code.\n\(log)")
    }
    var image = [UInt8](repeating: 0, count: size)
    let read = unsafe image.withUnsafeMutableBytes { bytes in
      unsafe bytes.withMemoryRebound(to: CChar.self) { characters in
        unsafe characters.baseAddress.map { unsafe table.pointee.cubin(handle, $0) } ?? 1
      }
    }
    guard read == 0 else { throw .compilation(kernel: name, log: "nvrtcGetCUBIN returned \(read)") }
    return Output(image: image, log: log)
  }

  private func text(_ program: UnsafeMutableRawPointer) -> String {
    var size = 0
    guard unsafe table.pointee.log_size(program, &size) == 0, size > 1 else { return "" }
    let text = UnsafeMutablePointer<CChar>.allocate(capacity: size + 1)
    defer { unsafe text.deallocate() }
    unsafe text.initialize(repeating: 0, count: size + 1)
    guard unsafe table.pointee.log(program, text) == 0 else { return "" }
    return unsafe String(cString: text)
  }
}
