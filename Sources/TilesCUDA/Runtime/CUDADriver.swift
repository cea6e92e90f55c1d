internal import CCUDA

/// The driver's entry points, opened once for the process.
///
/// `@unchecked Sendable`: the table is written once, before anyone sees it, and the driver may be called from any thread.
@safe final class CUDADriver: @unchecked Sendable {
  let table: UnsafePointer<gw_driver>

  /// The oldest driver with tensor maps and attributes of launches.
  static let oldest = 12000

  private static let shared = Result { () throws(CUDAError) in try CUDADriver(library: "libcuda.so.1") }

  /// The driver of this machine, initialised.
  static func open() throws(CUDAError) -> CUDADriver { try shared.get() }

  /// - Throws: ``CUDAError/libraryMissing(library:reason:)``, ``CUDAError/symbolMissing(detail:)``,
  ///   ``CUDAError/driverTooOld(found:needed:)``, ``CUDAError/noDevice``.
  init(library: String) throws(CUDAError) {
    let table = UnsafeMutablePointer<gw_driver>.allocate(capacity: 1)
    unsafe self.table = unsafe UnsafePointer(table)
    let (code, message) = unsafe withMessage { text, capacity in
      unsafe gw_cuda_load(library, table, text, capacity)
    }
    if code == 1 { throw .libraryMissing(library: library, reason: message) }
    // An entry point that is missing says less than the version, where that can be asked for.
    guard code == 0 else { throw .symbolMissing(detail: message) }
    let started = unsafe table.pointee.`init`(0)
    // CUDA_ERROR_NO_DEVICE
    if started == 100 { throw .noDevice }
    try check("cuInit", started)
    let found = try version()
    guard found >= Self.oldest else { throw .driverTooOld(found: found, needed: Self.oldest) }
  }

  deinit { unsafe UnsafeMutablePointer(mutating: table).deallocate() }

  /// The CUDA version the driver is made for, for example 13000.
  func version() throws(CUDAError) -> Int {
    var number: Int32 = 0
    try check("cuDriverGetVersion", unsafe table.pointee.driver_version(&number))
    return Int(number)
  }

  /// Throws what a call returned, unless that is success.
  @inline(__always)
  func check(_ call: StaticString, _ code: gw_result) throws(CUDAError) {
    if code != 0 { throw failure("\(call)", code) }
  }

  /// The driver's name and words for a result.
  func failure(_ call: String, _ code: gw_result) -> CUDAError {
    unsafe .driver(
      call: call, name: text(table.pointee.error_name, code), reason: text(table.pointee.error_string, code))
  }

  private func text(
    _ function: (gw_result, UnsafeMutablePointer<UnsafePointer<CChar>?>) -> gw_result, _ code: gw_result
  ) -> String {
    var found: UnsafePointer<CChar>?
    guard unsafe function(code, &found) == 0, let found = unsafe found else { return "error \(code)" }
    return unsafe String(cString: found)
  }
}

/// Runs a C function that takes an array of texts.
func withCStrings<Result>(
  _ texts: [String], _ body: (UnsafeBufferPointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
  var ends: [Int] = []
  var bytes: [CChar] = []
  for text in texts {
    ends.append(bytes.count)
    bytes += text.utf8CString
  }
  return unsafe bytes.withUnsafeBufferPointer { bytes in
    let pointers = unsafe ends.map { start in unsafe bytes.baseAddress.map { unsafe $0 + start } }
    return unsafe pointers.withUnsafeBufferPointer { unsafe body($0) }
  }
}

/// Runs a C function that leaves a message; returns its result and the message.
func withMessage(_ body: (UnsafeMutablePointer<CChar>, Int) -> Int32) -> (code: Int32, message: String) {
  let capacity = 1024
  let text = UnsafeMutablePointer<CChar>.allocate(capacity: capacity)
  defer { unsafe text.deallocate() }
  unsafe text.initialize(repeating: 0, count: capacity)
  let code = unsafe body(text, capacity)
  return (code, unsafe String(cString: text))
}
