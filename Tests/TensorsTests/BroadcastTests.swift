import Memory
import Testing

@testable import Tensors

@Suite struct BroadcastTests {
  private func tile(_ shape: [Int], atLeast tasks: Int, prefersWhole: Bool) throws -> [Int] {
    // Rows lie apart, so that axes are not joined.
    let rows = try Tensor(zeros: .float32, [shape[0], 2 * shape[1]]).sliced(axis: 1, 0..<shape[1])
    let tile = Broadcast([rows]).tile(
      atLeast: tasks, columns: 512, numbers: 8192, prefersWhole: prefersWhole)
    return [tile.rows, tile.columns]
  }

  /// Tiles end where rows end if a power of two from 128 on divides them; else the last one reaches beyond.
  @Test func tilesEndWithTheRow() throws {
    #expect(try tile([64, 5504], atLeast: 1, prefersWhole: true) == [64, 128])
    #expect(try tile([64, 5504], atLeast: 1, prefersWhole: false) == [16, 512])
    #expect(try tile([64, 1536], atLeast: 1, prefersWhole: true) == [16, 512])
    #expect(try tile([64, 200], atLeast: 1, prefersWhole: true) == [32, 256])
    #expect(try tile([64, 65], atLeast: 1, prefersWhole: true) == [64, 128])
  }

  /// Few numbers are cut into more tasks, down to a thousand each.
  @Test func fewNumbersAreSharedByMany() throws {
    #expect(try tile([64, 256], atLeast: 8, prefersWhole: true) == [8, 256])
    #expect(try tile([64, 256], atLeast: 1000, prefersWhole: true) == [4, 256])
    #expect(try tile([1, 256], atLeast: 1000, prefersWhole: true) == [1, 256])
  }
}
