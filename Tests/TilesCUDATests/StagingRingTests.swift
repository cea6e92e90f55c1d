import Memory
import Testing

@testable import TilesCUDA

@Suite struct StagingRingTests {
  /// Stages numbers and tells where in the ring each copy began, and how often the ring was full.
  private func starts(of sizes: [Int], capacity: Int) throws -> (places: [Int?], drains: Int) {
    let storage = try HeapStorage(byteCount: capacity)
    let ring = StagingRing(storage)
    var (places, drains): ([Int?], Int) = ([], 0)
    for (number, size) in sizes.enumerated() {
      let source = [UInt8](repeating: UInt8(number + 1), count: size)
      var place: Int?
      let isStaged = try unsafe source.withUnsafeBytes { bytes in
        let base = try #require(bytes.baseAddress)
        return try unsafe ring.stage(
          base, size, drain: { () throws(CUDAError) in drains += 1 },
          start: { at throws(CUDAError) in
            let copied = unsafe UnsafeRawBufferPointer(start: at, count: size)
            #expect(unsafe copied.allSatisfy { $0 == UInt8(number + 1) }, "copy \(number)")
            place = unsafe at - UnsafeRawPointer(storage.baseAddress)
          })
      }
      #expect(isStaged == (place != nil))
      places.append(place)
    }
    return (places, drains)
  }

  @Test func copiesLieBehindEachOtherUntilTheRingIsFull() throws {
    let (places, drains) = try starts(of: [300, 1, 256, 300, 512], capacity: 1024)
    #expect(places == [0, 512, 768, 0, 512])
    #expect(drains == 1)
  }

  @Test func nothingIsOverwrittenBeforeTheRingIsDrained() throws {
    let (places, drains) = try starts(of: [512, 512, 1], capacity: 1024)
    #expect(places == [0, 512, 0])
    #expect(drains == 1)
  }

  @Test func whatFillsMoreThanHalfGoesAnotherWay() throws {
    let (places, drains) = try starts(of: [513, 512], capacity: 1024)
    #expect(places == [nil, 0])
    #expect(drains == 0)
  }

  @Test func aFailedDrainKeepsWhatIsThere() throws {
    struct Full: Error {}
    let storage = try HeapStorage(byteCount: 512)
    let ring = StagingRing(storage)
    let bytes = [UInt8](repeating: 7, count: 256)
    func stage(_ drain: () throws(Full) -> Void) throws(Full) -> Bool {
      do {
        return try unsafe bytes.withUnsafeBytes { source in
          guard let base = source.baseAddress else { return false }
          return try unsafe ring.stage(base, 256, drain: drain, start: { _ throws(Full) in })
        }
      } catch { throw Full() }
    }
    _ = try stage {}
    _ = try stage {}
    #expect(throws: Full.self) { try stage { () throws(Full) in throw Full() } }
    var drains = 0
    _ = try stage { drains += 1 }
    #expect(drains == 1)
  }
}
