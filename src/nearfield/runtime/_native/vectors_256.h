/* 8 floats, or 16 products of 16-bit numbers, at a time: what the sets of 256 bits share.
 * A kernel file names TARGET first, the attribute of every function: AVX2, FMA and its own.
 */
#include <immintrin.h>
#include <string.h>

#define WIDTH 8
#define TILE_COLUMNS 16
#define FLOAT_ROWS 6
#define TRANSPOSED 8
#define LEAF TARGET static inline __attribute__((always_inline))
/* Without this the compiler makes a pointer for every row and runs out of registers. */
#define KEEP_POINTERS(a, b, c, d) __asm__("" : "+r"(a), "+r"(b))

typedef __m256 vec;
LEAF vec v_all(float x) { return _mm256_set1_ps(x); }
LEAF vec v_load(const float *p) { return _mm256_loadu_ps(p); }
LEAF void v_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
LEAF vec v_add(vec a, vec b) { return _mm256_add_ps(a, b); }
LEAF vec v_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
LEAF vec v_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
LEAF vec v_div(vec a, vec b) { return _mm256_div_ps(a, b); }
LEAF vec v_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
LEAF vec v_neg_fma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
LEAF vec v_max(vec a, vec b) { return _mm256_max_ps(a, b); }
LEAF vec v_min(vec a, vec b) { return _mm256_min_ps(a, b); }
LEAF vec v_power(vec shifted) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23));
}
LEAF vec v_from_int(const int32_t *p) {
  return _mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)p));
}
LEAF void v_to_int16(int16_t *p, vec x) {
  __m256i whole = _mm256_cvtps_epi32(x);
  __m128i low = _mm256_castsi256_si128(whole), high = _mm256_extracti128_si256(whole, 1);
  _mm_storeu_si128((__m128i *)p, _mm_packs_epi32(low, high));
}
LEAF void v_to_32_bytes(char *p, const float *x, vec by, int zero) {
  __m256i n[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) n[i] = _mm256_cvtps_epi32(v_mul(v_load(x + i * WIDTH), by));
  __m256i low = _mm256_packs_epi32(n[0], n[1]), high = _mm256_packs_epi32(n[2], n[3]);
  /* Packing works in halves of 128 bits. */
  __m256i packed = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high),
                                               _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256((__m256i *)p, _mm256_add_epi8(packed, _mm256_set1_epi8((char)zero)));
}
LEAF float v_sum(vec x) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
LEAF float v_largest(vec x) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

/* 8 x 8 floats, rows to columns; of the rows only the first `rows` are read. */
LEAF void transpose_block(const float *from, ptrdiff_t ldf, int rows, float *to, ptrdiff_t ldt) {
  __m256 a[8], b[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++)
    a[i] = i < rows ? _mm256_loadu_ps(from + i * ldf) : _mm256_setzero_ps();
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xEE);
    a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xEE);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    _mm256_storeu_ps(to + i * ldt, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
    _mm256_storeu_ps(to + (i + 4) * ldt, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
  }
}

/* Weights to fetch before they are wanted, 4 KB: a short text waits for nothing else. */
#define AHEAD (128 * PANEL)
