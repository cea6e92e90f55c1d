extension Prelude {
  /// Elementary functions that both forms of kernels use.
  static let elementary = """
    __device__ __forceinline__ float exp2_fast(float x) {
      float y;
      asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
      return y;
    }
    // Within one unit of the last place, without the branch that numbers beyond 2^126 would need.
    __device__ __forceinline__ float reciprocal_fast(float x) {
      float y;
      asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
      return y;
    }
    // sin(x + shift * pi / 2): the library's reduction of large angles would need a stack. NaN from 2^22 quarter turns on.
    __device__ __forceinline__ float sine(float x, int shift) {
      const float n = rintf(x * 0.636619747f);
      const float exact = fmaf(-n, 1.57079637f, x), r = fmaf(-n, -4.37113883e-08f, exact);
      const float rest = fmaf(-n, -1.71512451e-15f, fmaf(-n, -4.37113883e-08f, exact - r));
      const float z = r * r, top = fmaf(-0.5f, z, 1.0f), lost = fmaf(-0.5f, z, 1.0f - top);
      const float s = r + fmaf(fmaf(fmaf(-0.000195164786f, z, 0.00833217241f), z, -0.166666552f), r * z, rest);
      const float c =
          top + fmaf(fmaf(fmaf(2.44375315e-05f, z, -0.00138873595f), z, 0.0416666456f), z * z, fmaf(-r, rest, lost));
      const int quarter = (int)n + shift;
      const float value = quarter & 1 ? c : s;
      const float result = quarter & 2 ? -value : value;
      return fabsf(n) < 4194304.0f ? result : __int_as_float(0x7FC00000);
    }
    """
}
