import Memory
import TestSupport
import Testing
import Tiles
import TilesCPU

@testable import Tensors

@Suite struct MemoryPoolTests {
  private func address(_ storage: TensorStorage) -> UInt { unsafe UInt(bitPattern: storage.baseAddress) }

  /// Whatever the order in which arrays were dropped, the next step finds them at the addresses of the last.
  @Test(arguments: [[0, 1, 2, 3], [3, 0, 2, 1], [2, 3, 1, 0]])
  func stepsOfADeviceFindTheSameAddresses(order: [Int]) throws {
    let pool = MemoryPool(DeviceExecutor(try CPUExecutor(threads: 1)))
    func step() throws -> [TensorStorage?] { try (0..<4).map { _ in try pool.storage(byteCount: 1000) } }
    var kept = try step()
    for number in order { kept[number] = nil }
    let second = try step()
    let addresses = second.compactMap { $0.map(address) }
    #expect(addresses == addresses.sorted())
    kept = second
    for number in order.reversed() { kept[number] = nil }
  }

  /// Memory lies idle until more has been given back since, and no longer where work begins anew.
  @Test func patientPoolsUseMemoryLate() throws {
    let pool = MemoryPool(DeviceExecutor(try CPUExecutor(threads: 1)), patience: 2048)
    func taken() throws -> UInt { address(try pool.storage(byteCount: 1024)) }
    let places = [try taken(), try taken(), try taken()]
    #expect(Set(places).count == 3)
    #expect(try taken() == places[0])
    #expect(try taken() == places[1])
    pool.settle()
    var kept: [TensorStorage] = try places.indices.map { _ in try pool.storage(byteCount: 1024) }
    #expect(kept.map(address) == places.sorted())
    kept = []
    pool.empty()
    #expect(try pool.storage(byteCount: 1024).byteCount == 1024)
  }

  @Test func sizesShareNothing() throws {
    let pool = MemoryPool(DeviceExecutor(try CPUExecutor(threads: 1)))
    var small: TensorStorage? = try pool.storage(byteCount: 1000)
    let place = address(try #require(small))
    small = nil
    #expect(address(try pool.storage(byteCount: 5000)) != place)
    #expect(address(try pool.storage(byteCount: 1000)) == place)
  }
}

@Suite struct WeightCutTests {
  /// The last round of tasks leaves few cores idle, and all of the inner side is somebody's.
  @Test(arguments: [(3072, 768), (768, 3072), (2304, 768), (768, 768), (50264, 768), (64, 100), (1, 1)])
  func partsCoverTheInnerSide(rows: Int, columns: Int) throws {
    let (inner, cores) = (32768, 132)
    let cut = try #require(WeightCut(rows: rows, columns: columns, inner: inner, cores: cores))
    #expect(cut.parts * cut.share * WeightCut.chunk >= inner)
    #expect((cut.parts - 1) * cut.share * WeightCut.chunk < inner, "no part is empty")
    let tasks = cut.parts * ((rows + 127) / 128) * ((columns + cut.columns - 1) / cut.columns)
    if rows * columns >= 768 * 768 {
      let used = Double(tasks) / Double((tasks + cores - 1) / cores * cores)
      #expect(used > 0.9, "\(cut) uses \(used) of \(cores) cores")
    }
  }

  @Test func innerSidesOfNoWholeChunksAreNotCut() {
    #expect(WeightCut(rows: 768, columns: 768, inner: 1000, cores: 132) == nil)
    #expect(WeightCut(rows: 768, columns: 768, inner: 0, cores: 132) == nil)
    #expect(WeightCut(rows: 8, columns: 8, inner: 64, cores: 132)?.parts == 1)
  }
}
