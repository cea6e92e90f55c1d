extension Prelude {
  /// Rows of numbers between memory and registers: lane l has numbers (k·lanes + l)·vec and the vec − 1 after it.
  static let rows = """
    // Asks for the lines of a row.
    template <int L> __device__ __forceinline__ void prefetch_row(const u8 *row, int bytes, int lane) {
      for (int at = 128 * lane; at < bytes; at += 128 * L) asm volatile("prefetch.global.L2 [%0];" ::"l"(row + at));
    }
    // Visits columns one after the other in code for rare cases: addresses computed ahead would take many registers.
    template <int n, int vec, int lanes, class Visit>
    __device__ __forceinline__ void in_order(const u8 *p, long long step, int lane, int valid, Visit visit) {
      asm volatile("" : "+l"(step));
      p += lane * vec * step;
    #pragma unroll
      for (int i = 0; i < n; ++i) {
        const int c = (i / vec * lanes + lane) * vec + i % vec;
        visit(i, p, c < valid);
        p += i % vec == vec - 1 ? (lanes * vec - vec + 1) * step : step;
        asm volatile("" : "+l"(p)::"memory");
      }
    }
    // What no kernel writes while it reads may be asked for before a store that comes first.
    template <int bytes> __device__ __forceinline__ void load_fixed(u32 *w, const u8 *p) {
      if constexpr (bytes == 32) {
        load_fixed<16>(w, p);
        load_fixed<16>(w + 4, p + 16);
      } else if constexpr (bytes == 16) {
        asm("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3]) : "l"(p));
      } else if constexpr (bytes == 8) {
        asm("ld.global.nc.v2.u32 {%0, %1}, [%2];" : "=r"(w[0]), "=r"(w[1]) : "l"(p));
      } else {
        asm("ld.global.nc.u32 %0, [%1];" : "=r"(w[0]) : "l"(p));
      }
    }
    template <int bytes, bool streams> __device__ __forceinline__ void load_words(u32 *w, const u8 *p) {
      if constexpr (bytes == 32) {
        load_words<16, streams>(w, p);
        load_words<16, streams>(w + 4, p + 16);
      } else if constexpr (bytes == 16 && streams) {
        asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
            : "=r"(w[0]), "=r"(w[1]), "=r"(w[2]), "=r"(w[3]) : "l"(p));
      } else if constexpr (bytes == 16) {
        const uint4 x = *(const uint4 *)p;
        w[0] = x.x, w[1] = x.y, w[2] = x.z, w[3] = x.w;
      } else if constexpr (bytes == 8) {
        const uint2 x = *(const uint2 *)p;
        w[0] = x.x, w[1] = x.y;
      } else {
        w[0] = *(const u32 *)p;
      }
    }
    template <int bytes> __device__ __forceinline__ void store_words(u8 *p, const u32 *w) {
      if constexpr (bytes == 32) {
        store_words<16>(p, w);
        store_words<16>(p + 16, w + 4);
      } else if constexpr (bytes == 16) {
        *(uint4 *)p = make_uint4(w[0], w[1], w[2], w[3]);
      } else if constexpr (bytes == 8) {
        *(uint2 *)p = make_uint2(w[0], w[1]);
      } else {
        *(u32 *)p = w[0];
      }
    }
    template <class T, int vec> __device__ __forceinline__ bool allows_vectors(const u8 *p, long long stride) {
      const int bytes = T::bytes * vec < 16 ? T::bytes * vec : 16;
      return stride == 1 && (u64)p % bytes == 0;
    }
    // Rows of so many numbers that are all there, on whole vectors. All words are asked for before the first is used.
    template <class T, int vec, int lanes, int columns, bool streams, int n>
    __device__ __forceinline__ void load_whole(float (&t)[n], const u8 *p, int lane) {
      u32 w[n / vec][T::bytes * vec / 4];
    #pragma unroll
      for (int k = 0; k < n / vec; ++k) {
        const int c = (k * lanes + lane) * vec;
    #pragma unroll
        for (int i = 0; i < T::bytes * vec / 4; ++i) w[k][i] = 0;
        if (n * lanes == columns || c < columns) load_words<T::bytes * vec, streams>(w[k], p + c * T::bytes);
      }
    #pragma unroll
      for (int i = 0; i < n; ++i) t[i] = T::unpack(w[i / vec], i % vec);
    }
    // Written past what the caches keep.
    template <int bytes> __device__ __forceinline__ void stream_words(u8 *p, const u32 *w) {
      if constexpr (bytes == 32) {
        stream_words<16>(p, w);
        stream_words<16>(p + 16, w + 4);
      } else if constexpr (bytes == 16) {
        __stcs((uint4 *)p, make_uint4(w[0], w[1], w[2], w[3]));
      } else {
        store_words<bytes>(p, w);
      }
    }
    template <class T, int vec, int lanes, int columns, int n>
    __device__ __forceinline__ void store_whole(const float (&t)[n], u8 *p, int lane) {
    #pragma unroll
      for (int k = 0; k < n / vec; ++k) {
        const int c = (k * lanes + lane) * vec;
        u32 w[T::bytes * vec / 4];
    #pragma unroll
        for (int i = 0; i < T::bytes * vec / 4; ++i) w[i] = T::pack(&t[k * vec + 4 / T::bytes * i]);
        if (n * lanes == columns || c < columns) stream_words<T::bytes * vec>(p + c * T::bytes, w);
      }
    }
    // `ahead`: without branches, so that each vector is asked for before the last is there, which takes registers.
    template <class T, int vec, int lanes, bool streams, bool ahead, int n>
    __device__ __forceinline__ void load_row(float (&t)[n], const u8 *p, long long stride, int lane, int valid) {
      if (allows_vectors<T, vec>(p, stride) && (!ahead || valid % vec == 0)) {
    #pragma unroll
        for (int k = 0; k < n / vec; ++k) {
          const int c = (k * lanes + lane) * vec;
          u32 w[T::bytes * vec / 4];
          if constexpr (ahead) {
    #pragma unroll
            for (int i = 0; i < T::bytes * vec / 4; ++i) w[i] = 0;
            if (c + vec <= valid) load_words<T::bytes * vec, streams>(w, p + c * T::bytes);
    #pragma unroll
            for (int e = 0; e < vec; ++e) t[k * vec + e] = T::unpack(w, e);
          } else if (c + vec <= valid) {
            load_words<T::bytes * vec, streams>(w, p + c * T::bytes);
    #pragma unroll
            for (int e = 0; e < vec; ++e) t[k * vec + e] = T::unpack(w, e);
          } else {
    #pragma unroll
            for (int e = 0; e < vec; ++e) t[k * vec + e] = c + e < valid ? T::at(p + (c + e) * T::bytes, 0) : 0.0f;
          }
        }
      } else {
        in_order<n, vec, lanes>(p, stride * T::bytes, lane, valid, [&](int i, const u8 *q, bool there) {
          t[i] = there ? T::at(q, 0) : 0.0f;
        });
      }
    }
    // Columns from `first` up to `end` of a row that goes on with zeros on both sides.
    template <class T, int vec, int lanes, int n>
    __device__ __forceinline__ void load_window(float (&t)[n], const u8 *p, long long start, long long stride, int lane,
                                                int first, int end) {
    #pragma unroll
      for (int i = 0; i < n; ++i) {
        const int c = (i / vec * lanes + lane) * vec + i % vec;
        t[i] = c >= first && c < end ? element<T>(p, start + c * stride) : 0.0f;
      }
    }
    // The same for a window that begins at number `origin` of the tensor's row, `shift` numbers after a whole vector; the row begins at
    // `start` and has `extent` numbers. Lanes read two vectors beside each other and take their part of both; windows of one row that
    // lie close together find the same vectors at the same addresses, which are then read once.
    template <class T, int vec, int lanes, int shift, bool isFixed, int n>
    __device__ __forceinline__ void load_shifted(float (&t)[n], const u8 *p, long long start, long long stride, int lane,
                                                 int origin, int extent, int valid) {
      const u8 *row = p + start * T::bytes;
      if (allows_vectors<T, vec>(row, stride) && extent % vec == 0) {
        const int words = T::bytes * vec / 4, sides = shift == 0 ? 1 : 2;
        u32 w[n / vec][sides][words];
    #pragma unroll
        for (int k = 0; k < n / vec; ++k)
    #pragma unroll
          for (int side = 0; side < sides; ++side) {
            const int c = origin - shift + (k * lanes + lane + side) * vec;
    #pragma unroll
            for (int i = 0; i < words; ++i) w[k][side][i] = 0;
            if (c >= 0 && c < extent && valid > 0) {
              if constexpr (isFixed) load_fixed<T::bytes * vec>(w[k][side], row + c * T::bytes);
              else load_words<T::bytes * vec, false>(w[k][side], row + c * T::bytes);
            }
          }
    #pragma unroll
        for (int i = 0; i < n; ++i) {
          const int place = i % vec + shift;
          const float x = T::unpack(w[i / vec][place / vec], place % vec);
          t[i] = (i / vec * lanes + lane) * vec + i % vec < valid ? x : 0.0f;
        }
      } else {
        const u8 *first = p + (start + origin * stride) * T::bytes;
        in_order<n, vec, lanes>(first, stride * T::bytes, lane, min(valid, extent - origin), [&](int i, const u8 *q, bool there) {
          t[i] = there && (i / vec * lanes + lane) * vec + i % vec >= -origin ? T::at(q, 0) : 0.0f;
        });
      }
    }
    template <class T, int vec, int lanes, int n>
    __device__ __forceinline__ void load_elements(float (&t)[n], const u8 *p, long long start, long long stride, int lane,
                                                  int valid) {
    #pragma unroll
      for (int i = 0; i < n; ++i) {
        const int c = (i / vec * lanes + lane) * vec + i % vec;
        t[i] = c < valid ? element<T>(p, start + c * stride) : 0.0f;
      }
    }
    template <class T, int vec, int lanes, int n>
    __device__ __forceinline__ void store_row(const float (&t)[n], u8 *p, long long stride, int lane, int valid) {
      if (allows_vectors<T, vec>(p, stride) && valid % vec == 0) {
    #pragma unroll
        for (int k = 0; k < n / vec; ++k) {
          const int c = (k * lanes + lane) * vec;
          u32 w[T::bytes * vec / 4];
    #pragma unroll
          for (int i = 0; i < T::bytes * vec / 4; ++i) w[i] = T::pack(&t[k * vec + 4 / T::bytes * i]);
          if (c + vec <= valid) store_words<T::bytes * vec>(p + c * T::bytes, w);
        }
      } else {
        in_order<n, vec, lanes>(p, stride * T::bytes, lane, valid, [&](int i, const u8 *q, bool there) {
          if (there) T::put((u8 *)q, t[i]);
        });
      }
    }
    template <class T, int vec, int lanes, int n>
    __device__ __forceinline__ void add_row(const float (&t)[n], u8 *p, long long stride, int lane, int valid) {
    #pragma unroll
      for (int i = 0; i < n; ++i) {
        const int c = (i / vec * lanes + lane) * vec + i % vec;
        if (c < valid) T::add(p + c * stride * T::bytes, t[i]);
      }
    }
    // Integers of groups of 32, which 32 / vec lanes share, and the scale of each.
    template <int vec, int n, int m>
    __device__ __forceinline__ void quantize_row(float (&q)[n], float (&s)[m], const float (&x)[n]) {
    #pragma unroll
      for (int k = 0; k < m; ++k) {
        float largest = 0.0f;
    #pragma unroll
        for (int e = 0; e < vec; ++e) largest = fmaxf(largest, fabsf(x[k * vec + e]));
        largest = lanes_max<32 / vec>(largest);
        const bool zero = largest < 0x1p-100f;
        s[k] = zero ? 0.0f : largest / 32767.0f;
        const float factor = zero ? 0.0f : 32767.0f / largest;
    #pragma unroll
        for (int e = 0; e < vec; ++e)
          q[k * vec + e] = fminf(32767.0f, fmaxf(-32767.0f, rintf(x[k * vec + e] * factor)));
      }
    }
    template <int vec, int lanes, int n, int m>
    __device__ __forceinline__ void store_groups(const float (&q)[n], const float (&s)[m], u8 *p, int width,
                                                 long long start, int lane, int valid) {
      const long long row = start / width;
      const int column = (int)(start - row * width);
      u8 *integers = p + row * (width / 32 * 72);
    #pragma unroll
      for (int k = 0; k < m; ++k) {
        const int c = (k * lanes + lane) * vec;
        float sum = 0.0f;
    #pragma unroll
        for (int e = 0; e < vec; ++e) sum += q[k * vec + e];
        sum = lanes_sum<32 / vec>(sum);
        if (c >= valid) continue;
    #pragma unroll
        for (int e = 0; e < vec; e += 4) {
          const float *x = &q[k * vec + e];
          u32 *place = (u32 *)(integers + 2 * (column + c + e));
          place[0] = ((u32)(int)x[0] & 0xFFFFu) | (u32)(int)x[2] << 16;
          place[1] = ((u32)(int)x[1] & 0xFFFFu) | (u32)(int)x[3] << 16;
        }
        if (c % 32 == 0) {
          float *scales = (float *)(integers + 2 * width) + (column + c) / 32;
          scales[0] = s[k];
          scales[width / 32] = s[k] * sum;
        }
      }
    }
    // Sums over warps that share a row; every warp of the block comes here.
    template <int warps> __device__ __forceinline__ float warps_sum(float x, float *partial) {
      x = lanes_sum<32>(x);
      const int warp = threadIdx.x / 32;
      __syncthreads();
      if (threadIdx.x % 32 == 0) partial[warp] = x;
      __syncthreads();
      x = 0.0f;
    #pragma unroll
      for (int i = 0; i < warps; ++i) x += partial[warp / warps * warps + i];
      return x;
    }
    template <int warps> __device__ __forceinline__ float warps_max(float x, float *partial) {
      x = lanes_max<32>(x);
      const int warp = threadIdx.x / 32;
      __syncthreads();
      if (threadIdx.x % 32 == 0) partial[warp] = x;
      __syncthreads();
      x = partial[warp / warps * warps];
    #pragma unroll
      for (int i = 1; i < warps; ++i) x = larger(x, partial[warp / warps * warps + i]);
      return x;
    }
    """
}
