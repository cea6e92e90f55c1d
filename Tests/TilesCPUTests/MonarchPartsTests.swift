import Memory
import Testing
import Tiles

@testable import Kernels

/// Parts of long rows that share a workspace.
@Suite struct MonarchPartsTests {
  /// Batch, channels, length, and rows of 131,072 points for which the workspace has room.
  static let cases: [(Int, Int, Int, Int)] = [
    (8, 503, 100_003, 4096), (8, 64, 100_000, 200), (64, 65, 100_003, 600), (6, 5, 70_001, 4),
    (1, 9, 99_999, 3),
    (16, 3, 131_065, 24),
  ]

  @Test(arguments: cases) func partsCoverAll(batch: Int, channels: Int, length: Int, room: Int) throws {
    let shape = MonarchConvolution.Shape(batch: batch, channels: channels, length: length)
    let stages = try MonarchStages(
      shape, workspaceBytes: 4 * shape.points * room, executor: ReferenceExecutor<Float>())
    for isFolded in [false, true] {
      var seen: Set<Int> = []
      for part in stages.parts(isFolded: isFolded) {
        #expect(part.batch.count * part.channels.count <= max(room, MonarchConstants.side / 32))
        for row in part.batch { for channel in part.channels { seen.insert(row * channels + channel) } }
        // Folded, all channels of some rows, or some of one row.
        if isFolded { #expect(part.batch.count == 1 || part.channels.count == channels) }
      }
      #expect(seen.count == batch * channels)
    }
  }

  /// Rows of the batch that begin at multiples of 16 bytes, where there is room for so many.
  @Test func foldedPartsBeginAtWholePieces() throws {
    let shape = MonarchConvolution.Shape(batch: 64, channels: 65, length: 100_003)
    let stages = try MonarchStages(
      shape, workspaceBytes: 4 * shape.points * 600, executor: ReferenceExecutor<Float>())
    let starts = stages.parts(isFolded: true).map(\.batch.lowerBound)
    #expect(starts == Array(stride(from: 0, to: 64, by: 8)))
  }
}
