import Glibc
import Memory
import TestSupport
import Testing
import Tiles

@testable import TilesCUDA

@Suite struct CompileReportTests {
  static let log = """
    ptxas info    : 0 bytes gmem
    ptxas info    : Compiling entry function 'godwit_gemm' for 'sm_90a'
    ptxas info    : Function properties for godwit_gemm
        16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
    ptxas info    : Used 168 registers, used 9 barriers, 640 bytes smem
    ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to ...
    """

  @Test func readsRegistersStackAndSpills() {
    let report = CompileReport(log: Self.log)
    #expect(report.registers == 168)
    #expect(report.stackBytes == 16)
    #expect(report.spillBytes == 20)
    #expect(report.notes.count == 1)
    #expect(
      report.problems(threads: 512).dropFirst()
        == ["20 bytes spilled", "16 bytes of stack", "168 registers, 128 are a thread's share"])
    #expect(report.problems(threads: 384).count == 3)
  }

  @Test func aCleanLogHasNoProblems() {
    let log =
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\nUsed 40 registers, used 1 barriers"
    #expect(CompileReport(log: log).problems(threads: 1024) == [])
    #expect(CompileReport(log: "").problems(threads: 128) == [])
  }

  @Test func sharesAreRoundedDown() {
    #expect(CompileReport.registerShare(threads: 384) == 168)
    #expect(CompileReport.registerShare(threads: 512) == 128)
    #expect(CompileReport.registerShare(threads: 128) == 255)
  }
}

@Suite struct ModuleCacheTests {
  /// A folder of its own, removed afterwards.
  func withFolder(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/godwit-cache-XXXXXX".utf8CString)
    let path = try #require(mkdtemp(&template).map { String(cString: $0) })
    defer { _ = system("rm -r \(path)") }
    try body(path)
  }

  func files(_ folder: String) -> [String] {
    var names: [String] = []
    guard let entries = opendir(folder) else { return [] }
    defer { closedir(entries) }
    while let entry = readdir(entries) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name.first != "." { names.append(name) }
    }
    return names
  }

  let output = NVRTC.Output(image: (0..<1000).map { UInt8(truncatingIfNeeded: $0) }, log: "Used 40 registers")

  @Test func keepsWhatWasStored() throws {
    try withFolder { folder in
      let cache = ModuleCache(folder: folder + "/deep/er")
      #expect(cache.load("a") == nil)
      try cache.store(output, "a")
      #expect(cache.load("a") == output)
      #expect(cache.load("b") == nil)
      #expect(files(folder + "/deep/er") == ["a.gwcuda"])
    }
  }

  @Test func damagedFilesCountAsMissing() throws {
    try withFolder { folder in
      let cache = ModuleCache(folder: folder)
      try cache.store(output, "a")
      let path = folder + "/a.gwcuda"
      let stored = try MappedFile(path: path)
      let bytes = stored.bytes
      let whole = bytes.indices.map { bytes[$0] }
      func write(_ bytes: [UInt8]) throws {
        let file = try FileReplacement(path: path)
        try file.write(bytes.span)
        try file.commit()
      }
      for place in [0, 7, 8, 20, 24, 31, 40, whole.count - 1] {
        var damaged = whole
        damaged[place] ^= 1
        try write(damaged)
        #expect(cache.load("a") == nil, "byte \(place)")
      }
      for count in [1, 8, 31, 32, 33, whole.count - 1] {
        try write(Array(whole[..<count]))
        #expect(cache.load("a") == nil, "\(count) bytes")
      }
      try cache.store(output, "a")
      #expect(cache.load("a") == output)
    }
  }

  @Test func keysTellProgramsApart() throws {
    let program = try copyProgram()
    func key(_ change: (inout CUDAProgram) -> Void = { _ in }, compiler: String = "13.0") -> String {
      var other = program
      change(&other)
      return ModuleCache.key(other, compiler: compiler)
    }
    let keys = [
      key(), key { $0.source += " " }, key { $0.entry = "other" }, key { $0.target = .sm_80 },
      key(compiler: "13.1"),
    ]
    #expect(Set(keys).count == keys.count)
    #expect(key() == key())
    #expect(keys.allSatisfy { $0.count == 32 })
  }

  /// Test vectors of FNV-1a with 128 bits.
  @Test func hashesAsPublished() {
    var hash = ContentHash()
    #expect(hash.text == "6c62272e07bb014262b821756295c58d")
    hash.add(Array("foobar".utf8))
    #expect(hash.text == "343e1662793c64bf6f0d3597ba446f18")
  }
}

@Suite struct MissingLibraryTests {
  @Test func aMissingDriverIsNamed() {
    let text = message { _ = try CUDADriver(library: "libno-such-driver.so.1") }
    #expect(
      text.hasPrefix("libno-such-driver.so.1 cannot be opened: libno-such-driver.so.1: cannot open shared"))
    #expect(
      CUDAError.libraryMissing(library: "libcuda.so.1", reason: "not found").description
        == "no NVIDIA driver: not found. Install the driver, or use --device cpu.")
  }

  @Test func aMissingEntryPointIsNamed() {
    #expect(
      message { _ = try CUDADriver(library: "libc.so.6") }
        == "libc.so.6 has no cuInit: that version is too old. Install the one of CUDA 12 or later.")
    #expect(
      message { _ = try NVRTC(path: "libc.so.6") }
        == "libc.so.6 has no nvrtcVersion: that version is too old. Install the one of CUDA 12 or later.")
  }

  @Test func aMissingCompilerIsNamed() {
    #expect(
      message { _ = try NVRTC(path: "/nowhere") }.hasPrefix(
        "/nowhere cannot be opened: /nowhere: cannot open"))
  }

  @Test func messagesSayWhatToDo() {
    #expect(
      CUDAError.driverTooOld(found: 11080, needed: 12000).description
        == "the NVIDIA driver is made for CUDA 11.8, CUDA 12.0 is needed. Update the driver.")
    #expect(
      CUDAError.noSuchDevice(number: 2, count: 1).description
        == "there is no GPU number 2: 1 is there, counted from 0.")
    #expect(
      CUDAError.compilation(kernel: "k", log: (0..<30).map { "line \($0)" }.joined(separator: "\n"))
        .description
        .hasSuffix("line 11"))
  }
}
