extension Prelude {
  /// Products of tiles by a block of 256 threads.
  static let products = """
    // Factors go through `stage` in pieces of `steps` inner steps; each thread sums tm × tn numbers. The next piece is
    // fetched while one is used. Sums are chains in order of the inner index whatever the sizes.
    template <int bm, int bn, int steps, int tm, int tn, bool continuing, bool leftRuns, bool rightRuns, class Left,
              class Right>
    __device__ __forceinline__ void multiply_blocks(float *stage, int m, int n, int k, Left left, Right right,
                                                    float *sum, int pitch) {
      const int pm = bm + 4, pn = bn + 4, na = (bm * steps + 255) / 256, nb = bn * steps / 256;
      float *sa = stage, *sb = stage + steps * pm;
      const int thread = threadIdx.x, tx = thread % (bn / tn), ty = thread / (bn / tn);
    #pragma unroll 1
      for (int row0 = 0; row0 < m; row0 += bm)
    #pragma unroll 1
        for (int column0 = 0; column0 < n; column0 += bn) {
          float acc[tm][tn], fa[na], fb[nb];
    #pragma unroll
          for (int i = 0; i < tm; ++i)
    #pragma unroll
            for (int j = 0; j < tn; ++j) {
              const int row = row0 + ty * tm + i, column = column0 + tx * tn + j;
              acc[i][j] = continuing && row < m && column < n ? sum[row * pitch + column] : 0.0f;
            }
          auto fetch = [&](int k0) {
    #pragma unroll
            for (int i = 0; i < na; ++i) {
              const int e = thread + 256 * i;
              const int s = leftRuns ? e % steps : e / bm, r = leftRuns ? e / steps : e % bm;
              fa[i] = e < bm * steps && row0 + r < m && k0 + s < k ? left(row0 + r, k0 + s) : 0.0f;
            }
    #pragma unroll
            for (int i = 0; i < nb; ++i) {
              const int e = thread + 256 * i;
              const int s = rightRuns ? e % steps : e / bn, c = rightRuns ? e / steps : e % bn;
              fb[i] = column0 + c < n && k0 + s < k ? right(k0 + s, column0 + c) : 0.0f;
            }
          };
          fetch(0);
    #pragma unroll 1
          for (int k0 = 0; k0 < k; k0 += steps) {
            __syncthreads();
    #pragma unroll
            for (int i = 0; i < na; ++i) {
              const int e = thread + 256 * i;
              if (e < bm * steps)
                sa[(leftRuns ? e % steps : e / bm) * pm + (leftRuns ? e / steps : e % bm)] = fa[i];
            }
    #pragma unroll
            for (int i = 0; i < nb; ++i) {
              const int e = thread + 256 * i;
              sb[(rightRuns ? e % steps : e / bn) * pn + (rightRuns ? e / steps : e % bn)] = fb[i];
            }
            __syncthreads();
            if (k0 + steps < k) fetch(k0 + steps);
    #pragma unroll 8
            for (int s = 0; s < steps; ++s) {
              float x[tm], y[tn];
    #pragma unroll
              for (int i = 0; i < tm; ++i) x[i] = sa[s * pm + ty * tm + i];
    #pragma unroll
              for (int j = 0; j < tn; ++j) y[j] = sb[s * pn + tx * tn + j];
    #pragma unroll
              for (int i = 0; i < tm; ++i)
    #pragma unroll
                for (int j = 0; j < tn; ++j) acc[i][j] = fmaf(x[i], y[j], acc[i][j]);
            }
          }
    #pragma unroll
          for (int i = 0; i < tm; ++i)
    #pragma unroll
            for (int j = 0; j < tn; ++j) {
              const int row = row0 + ty * tm + i, column = column0 + tx * tn + j;
              if (row < m && column < n) sum[row * pitch + column] = acc[i][j];
            }
        }
    }
    // Few rows: a thread a number, long pieces of the right factor.
    template <bool continuing, bool leftRuns, bool rightRuns, class Left, class Right>
    __device__ __forceinline__ void multiply(float *stage, int m, int n, int k, Left left, Right right, float *sum,
                                             int pitch) {
      if (m <= 4)
        multiply_blocks<4, 64, 32, 1, 1, continuing, leftRuns, rightRuns>(stage, m, n, k, left, right, sum, pitch);
      else
        multiply_blocks<64, 64, 16, 4, 4, continuing, leftRuns, rightRuns>(stage, m, n, k, left, right, sum, pitch);
    }
    // A group of 32 integers, one a lane, with its scale and the sum it stands for.
    __device__ __forceinline__ void store_group(u8 *row, int width, int column, int lane, short x, float scale) {
      const int place = column + (lane & ~3) + (lane & 1) * 2 + (lane & 3) / 2;
      ((short *)row)[place] = x;
      const float sum = lanes_sum<32>((float)x);
      if (lane == 0) {
        float *scales = (float *)(row + 2 * width) + column / 32;
        scales[0] = scale;
        scales[width / 32] = scale * sum;
      }
    }
    """
}
