import CMicrokernels
import Testing

@Suite struct TableTests {
  @Test func bestFirstAndPortableLast() {
    #expect(gw_microkernels_at(-1) == nil)
    #expect(tables.count >= 1)
    #expect(String(cString: table(tables.last!).name) == "portable")
    #expect(gw_microkernels_at(Int32(tables.count)) == nil)
  }
}
