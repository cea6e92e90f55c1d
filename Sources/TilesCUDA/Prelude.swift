/// Device functions that printed kernels use; without includes, since NVRTC ships none.
enum Prelude {
  /// Waits for the end of what was started before, and lets the next kernel be brought in: the first thing that a kernel does which
  /// starts early, but for what it may do before.
  static let follow = """
    __device__ __forceinline__ void follow() {
    #if __CUDA_ARCH__ >= 900
      asm volatile("griddepcontrol.wait;" ::: "memory");
      asm volatile("griddepcontrol.launch_dependents;");
    #endif
    }
    """

  /// Integer arithmetic with the rounding of ``Tiles/Index``.
  static let integers = """
    __device__ __forceinline__ int floor_divide(int a, int b) {
      if (b == 0) return 0;
      int q = a / b;
      return q - ((a % b != 0) && ((a < 0) != (b < 0)));
    }
    __device__ __forceinline__ int ceil_divide(int a, int b) { return b == 0 ? 0 : -floor_divide(-a, b); }
    __device__ __forceinline__ int floor_remainder(int a, int b) { return b == 0 ? 0 : a - b * floor_divide(a, b); }
    struct alignas(64) TensorMap { unsigned long long word[16]; };
    """
}
