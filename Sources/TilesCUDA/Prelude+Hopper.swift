extension Prelude {
  /// Barriers in shared memory, bulk tensor copies, fences and role changes of sm_90a.
  ///
  /// Every wait and arrival clobbers memory, so that the compiler moves no access across it.
  static let hopper = """
    typedef unsigned int u32;
    typedef unsigned long long u64;
    __device__ __forceinline__ u32 shared_address(const void *p) { return (u32)__cvta_generic_to_shared(p); }
    __device__ __forceinline__ void barrier_init(u32 barrier, u32 arrivals) {
      asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
    }
    __device__ __forceinline__ void barrier_init_fence() {
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    __device__ __forceinline__ void barrier_arrive(u32 barrier) {
      asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
    }
    __device__ __forceinline__ void barrier_expect(u32 barrier, u32 bytes) {
      asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
    }
    __device__ __forceinline__ void barrier_wait(u32 barrier, u32 phase) {
      asm volatile(
          "{\\n.reg .pred done;\\n"
          "WAIT:\\n"
          "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\\n"
          "@done bra DONE;\\n"
          "bra WAIT;\\n"
          "DONE:\\n}" ::"r"(barrier), "r"(phase) : "memory");
    }
    __device__ __forceinline__ void group_barrier(int id, int threads) {
      asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
    }
    __device__ __forceinline__ void group_arrive(int id, int threads) {
      asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
    }
    __device__ __forceinline__ void async_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
    __device__ __forceinline__ void prefetch_map(const TensorMap *map) {
      asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
    }
    __device__ __forceinline__ void store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
    template <int pending> __device__ __forceinline__ void store_wait_read() {
      asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(pending) : "memory");
    }
    __device__ __forceinline__ void store_wait_all() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }
    __device__ __forceinline__ void matmul_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
    __device__ __forceinline__ void matmul_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
    template <int pending> __device__ __forceinline__ void matmul_wait() {
      asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
    }
    template <int count> __device__ __forceinline__ void pin(float (&d)[count]) {
    #pragma unroll
      for (int i = 0; i < count; ++i) asm volatile("" : "+f"(d[i])::"memory");
    }
    template <int registers> __device__ __forceinline__ void registers_give() {
      asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
    }
    template <int registers> __device__ __forceinline__ void registers_take() {
      asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
    }
    __device__ __forceinline__ u64 descriptor(u32 address, u32 leading, u32 stride, u32 mode) {
      return (u64)((address & 0x3FFFF) >> 4) | (u64)(leading >> 4) << 16 | (u64)(stride >> 4) << 32 | (u64)mode << 62;
    }
    // One that is made where it stands: made before a loop, many of them would fill the registers.
    __device__ __forceinline__ u64 descriptor_here(u32 address, u32 leading, u32 stride, u32 mode) {
      asm volatile("" : "+r"(address));
      return descriptor(address, leading, stride, mode);
    }
    """

  /// A bulk tensor copy into shared memory, into the second-level cache, or out of shared memory, for a tensor of that
  /// many axes.
  static func copies(ranks: Set<Int>, prefetches: Set<Int>, stores: Set<Int>, sums: Set<Int>) -> String {
    var lines: [String] = []
    func coordinates(_ rank: Int, from first: Int) -> (parameters: String, places: String, operands: String) {
      (
        (0..<rank).map { ", int c\($0)" }.joined(),
        (0..<rank).map { "%\($0 + first)" }.joined(separator: ", "),
        (0..<rank).map { ", \"r\"(c\($0))" }.joined()
      )
    }
    for rank in ranks.sorted() {
      let c = coordinates(rank, from: 3)
      lines.append(
        """
        __device__ __forceinline__ void copy_in_\(rank)(u32 to, const TensorMap *map, u32 barrier\(c.parameters)) {
          asm volatile(
              "cp.async.bulk.tensor.\(rank)d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {\(c.places)}], [%2];"
              ::"r"(to), "l"(map), "r"(barrier)\(c.operands) : "memory");
        }
        """)
    }
    for rank in prefetches.sorted() {
      let c = coordinates(rank, from: 1)
      lines.append(
        """
        __device__ __forceinline__ void prefetch_\(rank)(const TensorMap *map\(c.parameters)) {
          asm volatile("cp.async.bulk.prefetch.tensor.\(rank)d.L2.global.tile [%0, {\(c.places)}];"
              ::"l"(map)\(c.operands) : "memory");
        }
        """)
    }
    for (ranks, name, form) in [
      (stores, "copy_out", "cp.async.bulk.tensor.%d.global.shared::cta.tile.bulk_group"),
      (sums, "add_out", "cp.reduce.async.bulk.tensor.%d.global.shared::cta.add.tile.bulk_group"),
    ] {
      for rank in ranks.sorted() {
        let c = coordinates(rank, from: 2)
        let parts = form.split(separator: "%d", maxSplits: 1, omittingEmptySubsequences: false)
        lines.append(
          """
          __device__ __forceinline__ void \(name)_\(rank)(u32 from, const TensorMap *map\(c.parameters)) {
            asm volatile("\(parts[0])\(rank)d\(parts[1]) [%1, {\(c.places)}], [%0];"
                ::"r"(from), "l"(map)\(c.operands) : "memory");
          }
          """)
      }
    }
    return lines.joined(separator: "\n")
  }
}

/// One form of the warpgroup's matrix instruction, m64nNk16 (k32 for 8-bit factors).
struct WarpgroupProduct: Hashable {
  /// Columns of the result.
  var columns: Int
  /// `bf16`, `f16`, `e4m3`, `e5m2`.
  var type: String
  /// Whether the left factor comes from registers.
  var leftInRegisters: Bool
  /// Whether a factor's contiguous side is not the inner one.
  var transposesLeft: Bool
  var transposesRight: Bool
  /// Whether it begins a sum, whatever the registers hold.
  var starts: Bool
  /// Whether the product's negative is taken.
  var subtracts = false
  /// Whether sums are float16, two in a register.
  var isNarrow = false

  var name: String {
    "\(starts ? "start" : "product")\(subtracts ? "_less" : "")\(isNarrow ? "_narrow" : "")_n\(columns)_\(type)_\(leftInRegisters ? "r" : transposesLeft ? "t" : "s")\(transposesRight ? "t" : "s")"
  }

  /// The function's definition.
  var definition: String {
    let registers = columns / (isNarrow ? 4 : 2)
    let inner = type.hasPrefix("e") ? 32 : 16
    let list = (0..<registers).map { "%\($0)" }.joined(separator: ", ")
    var next = registers
    func place() -> String {
      defer { next += 1 }
      return "%\(next)"
    }
    let left: String
    let leftParameter: String
    let leftOperands: String
    if leftInRegisters {
      left = "{" + (0..<4).map { _ in place() }.joined(separator: ", ") + "}"
      leftParameter = "const u32 *a"
      leftOperands = (0..<4).map { "\"r\"(a[\($0)])" }.joined(separator: ", ")
    } else {
      left = place()
      leftParameter = "u64 a"
      leftOperands = "\"l\"(a)"
    }
    let right = place()
    // 8-bit factors know no transposes.
    let transposes =
      type.hasPrefix("e")
      ? "" : (leftInRegisters ? "" : ", \(transposesLeft ? 1 : 0)") + ", \(transposesRight ? 1 : 0)"
    // Results are written while later instructions run, so they may not share registers with the factors.
    let constraint = (starts ? "=&" : "+") + (isNarrow ? "r" : "f")
    let outputs = (0..<registers).map { "\"\(constraint)\"(d[\($0)])" }.joined(separator: ", ")
    return """
      __device__ __forceinline__ void \(name)(\(isNarrow ? "u32" : "float") (&d)[\(registers)], \(leftParameter), u64 b) {
        asm volatile("{\\n.reg .pred p;\\nsetp.ne.b32 p, \(starts ? 0 : 1), 0;\\n"
            "wgmma.mma_async.sync.aligned.m64n\(columns)k\(inner).\(isNarrow ? "f16" : "f32").\(type).\(type) {\(list)}, \(left), \(right), p, \(subtracts ? -1 : 1), 1\(transposes);\\n}"
            : \(outputs)
            : \(leftOperands), "l"(b));
      }
      """
  }
}
