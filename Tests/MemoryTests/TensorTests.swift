import Memory
import Testing

@Suite struct TensorTests {
  @Test func viewsShareStorage() throws {
    let tensor = try Tensor(zeros: .float32, [3, 4])
    tensor.withMutableElements(as: Float.self) { span in
      for index in span.indices { span[index] = Float(index) }
    }
    let row = tensor.sliced(axis: 0, 1..<2)
    #expect(row.withElements(as: Float.self) { [$0[0], $0[3]] } == [4, 7])
    #expect(!tensor.permuted([1, 0]).isDense)
  }

  @Test func windowsAreRuns() throws {
    let tensor = try Tensor(zeros: .float32, [2, 6])
    tensor.withMutableElements(as: Float.self) { span in
      for index in span.indices { span[index] = Float(index) }
    }
    let runs = tensor.windows(3, of: 2, from: 4, step: -2)
    #expect(runs.shape == [2, 3, 2])
    let starts = (0..<2).map { row in
      (0..<3).map {
        runs.selecting(axis: 0, row).sliced(axis: 0, $0..<$0 + 1).withElements(as: Float.self) { $0[0] }
      }
    }
    #expect(starts == [[4, 2, 0], [10, 8, 6]])
  }

  @Test func refusesPartialBlocksAndOverrun() throws {
    #expect(throws: MemoryError.notWholeBlocks(type: .q4_1, count: 33)) { try Tensor(zeros: .q4_1, [33]) }
    let storage = try HeapStorage(byteCount: 10)
    #expect(throws: MemoryError.outOfBounds(offset: 0, count: 12, available: 10)) {
      try Tensor(storage, type: .float32, shape: [3])
    }
    #expect(throws: MemoryError.self) { try Tensor(zeros: .float32, [Int.max, 8]) }
  }

  @Test func bfloat16RoundsToNearestEven() {
    #expect(Float(BFloat16(1.00390625)) == 1)
    #expect(Float(BFloat16(1.01171875)) == 1.015625)
    #expect(Float(BFloat16(Float.nan)).isNaN)
    #expect(Float(BFloat16(-Float.infinity)) == -.infinity)
  }
}
