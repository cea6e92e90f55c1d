import Synchronization
import TestSupport
import Testing

@testable import TilesCUDA

/// A source of slabs that counts them; addresses are never touched.
final class FakeSource: Sendable {
  struct State {
    var next: UInt64 = 1 << 40
    var slabs: [UInt64: Int] = [:]
  }
  let state = Mutex(State())
  /// Bytes the fake device has.
  let total: Int

  init(total: Int) { self.total = total }

  var bytes: Int { state.withLock { $0.slabs.values.reduce(0, +) } }

  func pool(cap: Int, slabBytes: Int) -> DeviceMemoryPool {
    DeviceMemoryPool(
      cap: cap, slabBytes: slabBytes,
      source: DeviceMemoryPool.Source(
        allocate: { [self] bytes in
          state.withLock { state in
            guard state.slabs.values.reduce(0, +) + bytes <= total else { return nil }
            defer { state.next += UInt64(bytes) + (1 << 30) }
            state.slabs[state.next] = bytes
            return state.next
          }
        },
        free: { [self] address in state.withLock { _ = $0.slabs.removeValue(forKey: address) } }))
  }
}

@Suite struct PoolTests {
  @Test func givesBackWhatTensorsDrop() throws {
    let source = FakeSource(total: 1 << 30)
    do {
      let pool = source.pool(cap: 1 << 20, slabBytes: 1 << 16)
      var storage: DeviceStorage? = try pool.allocate(byteCount: 1000)
      #expect(storage?.byteCount == 1000 && storage?.isOnHost == false)
      #expect(pool.usage == (1024, 1 << 16))
      storage = nil
      #expect(pool.usage == (0, 1 << 16))
    }
    #expect(source.bytes == 0)
  }

  @Test func theCapIsHard() throws {
    let source = FakeSource(total: 1 << 30)
    let pool = source.pool(cap: 10_000, slabBytes: 4096)
    let first = try pool.allocate(byteCount: 6000)
    #expect(
      message { _ = try pool.allocate(byteCount: 5000) }
        == "5000 bytes of GPU memory are asked for, 6144 of 10000 are in use. Raise --gpu-memory, or lower the "
        + "cache budget or the batch size.")
    #expect(source.bytes <= 10_000)
    _ = try pool.allocate(byteCount: 3000)
    #expect(throws: CUDAError.self) { try pool.allocate(byteCount: 10_001) }
    #expect(throws: CUDAError.self) { try pool.allocate(byteCount: -1) }
    withExtendedLifetime(first) {}
  }

  /// A slab that is idle but too small must not keep a large block out.
  @Test func idleSlabsMakeRoom() throws {
    let source = FakeSource(total: 1 << 30)
    let pool = source.pool(cap: 8192, slabBytes: 4096)
    var small: [DeviceStorage] = try (0..<2).map { _ in try pool.allocate(byteCount: 512) }
    #expect(pool.usage.reserved == 4096)
    small.removeAll()
    let large = try pool.allocate(byteCount: 8000)
    #expect(pool.usage == (8192, 8192))
    withExtendedLifetime(large) {}
  }

  /// A device with less than the cap says no to the slab, but has room for the block.
  @Test func takesWhatTheDeviceHas() throws {
    let source = FakeSource(total: 5000)
    let pool = source.pool(cap: 1 << 20, slabBytes: 1 << 16)
    let block = try pool.allocate(byteCount: 4000)
    #expect(pool.usage == (4096, 4096))
    #expect(throws: CUDAError.self) { try pool.allocate(byteCount: 4000) }
    withExtendedLifetime(block) {}
  }

  @Test(arguments: [UInt64(1), 2, 3]) func blocksNeverOverlapAndJoinAgain(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let source = FakeSource(total: 1 << 40)
    let pool = source.pool(cap: 1 << 24, slabBytes: 1 << 18)
    var live: [DeviceStorage] = []
    for _ in 0..<2000 {
      if Bool.random(using: &generator) || live.isEmpty {
        let bytes = Int.random(in: 0...(Bool.random(using: &generator) ? 2000 : 200_000), using: &generator)
        if let block = try? pool.allocate(byteCount: bytes) {
          #expect(block.address % 512 == 0)
          live.append(block)
        }
      } else {
        live.remove(at: Int.random(in: live.indices, using: &generator))
      }
    }
    let ranges = live.map { ($0.address, $0.address + UInt64(max(1, $0.byteCount))) }.sorted { $0.0 < $1.0 }
    for (a, b) in zip(ranges, ranges.dropFirst()) { #expect(a.1 <= b.0) }
    #expect(pool.usage.used == live.reduce(0) { $0 + MemoryLedger.rounded($1.byteCount) })
    #expect(pool.usage.reserved <= 1 << 24)
    live.removeAll()
    #expect(pool.usage.used == 0)
    // Everything joined again: one block may have the whole cap.
    let whole = try pool.allocate(byteCount: 1 << 24)
    #expect(pool.usage == (1 << 24, 1 << 24))
    withExtendedLifetime(whole) {}
  }
}
