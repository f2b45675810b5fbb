/* AVX-512 with VNNI: 16 floats, or 32 products of 16-bit numbers, or 64 of 8-bit ones, at a time. */
#include "engine.h"
#ifdef HAVE_X86_KERNELS
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")))
#define WIDTH 16
#define TILE_ROWS 12
#define TILE_COLUMNS 32
#define FLOAT_ROWS 12
#define TRANSPOSED 16
#define LEAF TARGET static inline __attribute__((always_inline))
/* Without this the compiler makes a pointer for every row and runs out of registers. */
#define KEEP_POINTERS(a, b, c, d) __asm__("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d))

typedef __m512 vec;
LEAF vec v_all(float x) { return _mm512_set1_ps(x); }
LEAF vec v_load(const float *p) { return _mm512_loadu_ps(p); }
LEAF void v_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
LEAF vec v_add(vec a, vec b) { return _mm512_add_ps(a, b); }
LEAF vec v_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
LEAF vec v_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
LEAF vec v_div(vec a, vec b) { return _mm512_div_ps(a, b); }
LEAF vec v_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
LEAF vec v_neg_fma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
LEAF vec v_max(vec a, vec b) { return _mm512_max_ps(a, b); }
LEAF vec v_min(vec a, vec b) { return _mm512_min_ps(a, b); }
LEAF vec v_power(vec shifted) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23));
}
LEAF vec v_from_int(const int32_t *p) { return _mm512_cvtepi32_ps(_mm512_loadu_si512(p)); }
LEAF void v_to_int16(int16_t *p, vec x) {
  _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x)));
}
LEAF void v_to_32_bytes(char *p, const float *x, vec by, int zero) {
#pragma GCC unroll 2
  for (int i = 0; i < 32; i += WIDTH) {
    __m512i whole = _mm512_cvtps_epi32(v_mul(v_load(x + i), by));
    whole = _mm512_add_epi32(whole, _mm512_set1_epi32(zero));
    _mm_storeu_si128((__m128i *)(p + i), _mm512_cvtepi32_epi8(whole));
  }
}
LEAF float v_sum(vec x) { return _mm512_reduce_add_ps(x); }
LEAF float v_largest(vec x) { return _mm512_reduce_max_ps(x); }

/* 16 x 16 floats, rows to columns; of the rows only the first `rows` are read. */
LEAF void transpose_block(const float *from, ptrdiff_t ldf, int rows, float *to, ptrdiff_t ldt) {
  __m512 a[16], b[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i++)
    a[i] = i < rows ? _mm512_loadu_ps(from + i * ldf) : _mm512_setzero_ps();
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    a[i] = _mm512_shuffle_ps(b[i], b[i + 2], 0x44);
    a[i + 1] = _mm512_shuffle_ps(b[i], b[i + 2], 0xEE);
    a[i + 2] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0x44);
    a[i + 3] = _mm512_shuffle_ps(b[i + 1], b[i + 3], 0xEE);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    b[i] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0x88);
    b[i + 4] = _mm512_shuffle_f32x4(a[i], a[i + 4], 0xDD);
    b[i + 8] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0x88);
    b[i + 12] = _mm512_shuffle_f32x4(a[i + 8], a[i + 12], 0xDD);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    _mm512_storeu_ps(to + i * ldt, _mm512_shuffle_f32x4(b[i], b[i + 8], 0x88));
    _mm512_storeu_ps(to + (i + 8) * ldt, _mm512_shuffle_f32x4(b[i], b[i + 8], 0xDD));
    _mm512_storeu_ps(to + (i + 4) * ldt, _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0x88));
    _mm512_storeu_ps(to + (i + 12) * ldt, _mm512_shuffle_f32x4(b[i + 4], b[i + 12], 0xDD));
  }
}

/* Weights to fetch before they are wanted, bytes: a short text waits for nothing else. */
#define AHEAD 4096

/* 24 sums, two vectors of weights and one of activations: 27 of 32 registers. */
#define INT_ROWS(X) \
  X(0, x0) X(1, x0 + s) X(2, x0 + 2 * s) X(3, x3) X(4, x3 + s) X(5, x3 + 2 * s) \
  X(6, x6) X(7, x6 + s) X(8, x6 + 2 * s) X(9, x9) X(10, x9 + s) X(11, x9 + 2 * s)

/* Two products of 16 bits, or four of 8, of each lane. */
LEAF __m512i v_products(__m512i sum, __m512i x, __m512i weight, const int bytes) {
  return bytes == 2 ? _mm512_dpwssd_epi32(sum, x, weight) : _mm512_dpbusd_epi32(sum, x, weight);
}

/* Rows lie s bytes apart, panels `panel`; own is NULL where nothing is taken off. */
LEAF void int_tile(const char *x0, ptrdiff_t s, const char *w0, ptrdiff_t panel,
                   const int32_t *own, int lanes, const int rows, const int bytes, int32_t *sums) {
  const char *x3 = x0 + 3 * s, *x6 = x0 + 6 * s, *x9 = x0 + 9 * s, *w1 = w0 + panel;
  __m512i first = _mm512_setzero_si512(), second = first;
  if (own) {
    first = _mm512_sub_epi32(first, _mm512_loadu_si512(own));
    second = _mm512_sub_epi32(second, _mm512_loadu_si512(own + WIDTH));
  }
#define BEGIN(r, at) __m512i a##r = first, b##r = second;
  INT_ROWS(BEGIN)
  for (int k = 0; k < lanes; k++) {
    __m512i u = _mm512_loadu_si512(w0), v = _mm512_loadu_si512(w1);
    _mm_prefetch(w0 + AHEAD, _MM_HINT_T0);
    _mm_prefetch(w1 + AHEAD, _MM_HINT_T0);
#define STEP(r, at)                            \
  if (rows > r) {                              \
    int32_t lane;                              \
    memcpy(&lane, at, sizeof lane);            \
    __m512i p = _mm512_set1_epi32(lane);       \
    a##r = v_products(a##r, p, u, bytes);      \
    b##r = v_products(b##r, p, v, bytes);      \
  }
    INT_ROWS(STEP)
    w0 += 4 * PANEL;
    w1 += 4 * PANEL;
    x0 += 4;
    if (rows > 3) x3 += 4;
    if (rows > 6) x6 += 4;
    if (rows > 9) x9 += 4;
    KEEP_POINTERS(x0, x3, x6, x9);
  }
#define SAVE(r, at)                                            \
  if (rows > r) {                                              \
    _mm512_storeu_si512(sums + r * TILE_COLUMNS, a##r);         \
    _mm512_storeu_si512(sums + r * TILE_COLUMNS + WIDTH, b##r); \
  }
  INT_ROWS(SAVE)
#undef BEGIN
#undef STEP
#undef SAVE
}

#define ZERO_OF_X 128 /* of the products of 8 bits */
#include "float_kernels.h"
#include "products.h"

TARGET static void tile(const void *x, ptrdiff_t stride, const int32_t *own_x,
                        const void *weight, ptrdiff_t panel, const int32_t *own_weight,
                        int inputs, int rows, int32_t *sums) {
  (void)own_x, (void)own_weight;
  switch (rows) {
#define CASE(n) \
  case n: int_tile(x, 2 * stride, weight, 2 * panel, NULL, inputs / 2, n, 2, sums); break;
    FOR_ROWS(TILE_ROWS)(CASE)
#undef CASE
  }
}

TARGET static void tile_8(const void *x, ptrdiff_t stride, const int32_t *own_x,
                          const void *weight, ptrdiff_t panel, const int32_t *own_weight,
                          int inputs, int rows, int32_t *sums) {
  (void)own_x;
  switch (rows) {
#define CASE(n) \
  case n: int_tile(x, stride, weight, panel, own_weight, inputs / 4, n, 1, sums); break;
    FOR_ROWS(TILE_ROWS)(CASE)
#undef CASE
  }
}

PRODUCT(product, tile, 2, BLOCK)
PRODUCT(product_8, tile_8, 1, BLOCK)

const struct kernels avx512_kernels = KERNELS("avx512-vnni", PLAIN);
const struct kernels avx512_int8_kernels =
    KERNELS_8("avx512-vnni-int8", .block = BLOCK, .most_x = 127, .most_weight = 127, .product = product_8);
#endif
