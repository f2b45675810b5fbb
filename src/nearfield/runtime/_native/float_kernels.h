/* The loops over floats, written once. A kernel file names its vector type first:
 *
 *   TARGET     attribute of every function        WIDTH   floats in a vector
 *   TILE_ROWS, TILE_COLUMNS  of an integer tile   FLOAT_ROWS  rows of a float tile
 *   vec        the type, and on it: v_all v_load v_store v_add v_sub v_mul v_div v_fma
 *              v_neg_fma (c - a b) v_max v_min (NaN where the second operand is)
 *              v_power (2^n, given n + TO_WHOLE) v_from_int v_to_int16 v_sum v_largest,
 *              and where there are products of 8 bits:
 *   v_to_32_bytes  32 floats times a number, each then `zero` more
 *   ZERO_OF_X      what is added to a row's numbers to make them positive, 0 where it need not be
 *
 * Sums run in an order fixed by the length alone, so that a row gives the same bits
 * whichever rows stand beside it.
 */
#include <float.h>
#include <math.h>
#include <string.h>

/* X for every height a tile can have: each is compiled for itself. */
#define FOR_ROWS_12(X) X(12) X(11) X(10) X(9) FOR_ROWS_8(X)
#define FOR_ROWS_8(X) X(8) X(7) FOR_ROWS_6(X)
#define FOR_ROWS_6(X) X(6) X(5) FOR_ROWS_4(X)
#define FOR_ROWS_4(X) X(4) X(3) X(2) X(1)
#define FOR_ROWS_OF(n) FOR_ROWS_##n
#define FOR_ROWS(n) FOR_ROWS_OF(n)

#define INLINE TARGET static inline __attribute__((always_inline))

/* |q| of both factors stays below sqrt(2^31): no sum of their products can overflow
 * (Cauchy-Schwarz). Rounding adds at most half a unit per entry to the length; the 40
 * cover the float arithmetic of the length itself. */
#define LONGEST 46300.f

/* Added to a number below 2^22 in size it makes a whole number of it, plus 127, the exponent of 1,
 * in the lowest bits. */
#define TO_WHOLE (3 * 4194304.f + 127)

INLINE vec v_abs(vec x) { return v_max(x, v_sub(v_all(0), x)); }

/* e^x for x from -87 to 88, within 2e-7 of it.
 * Adding TO_WHOLE leaves no room for a fraction. */
INLINE vec v_exp(vec x) {
  vec shifted = v_fma(x, v_all(1.44269504f), v_all(TO_WHOLE)), n = v_sub(shifted, v_all(TO_WHOLE));
  vec r = v_neg_fma(n, v_all(0.693145752f), x); /* ln 2 in two parts */
  r = v_neg_fma(n, v_all(1.42860682e-6f), r);
  vec square = v_mul(r, r);
  vec low = v_fma(v_all(1.666651884e-1f), r, v_all(0.5f));
  vec high = v_fma(v_all(8.368889373e-3f), r, v_all(4.166620580e-2f));
  high = v_fma(v_all(1.395049104e-3f), square, high);
  vec p = v_fma(v_fma(high, square, low), square, v_add(r, v_all(1)));
  return v_mul(p, v_power(shifted));
}

/* x Phi(x). Phi(x) - 1/2 is x times an even function, here a polynomial of degree 12 in
 * x^2, fitted on |x| <= 5.2, beyond which Phi is within 1e-7 of 0 or 1. Within 2e-6.
 * Even and odd powers are added up apart: two short chains wait less than a long one. */
INLINE vec v_gelu(vec x) {
  static const float c[] = {1.359499395e-01f,  -6.774340570e-02f, 5.003016815e-02f,
                            -3.994129971e-02f, 3.190726414e-02f,  -2.459340170e-02f,
                            1.838715002e-02f,  -1.310335472e-02f, 7.557865698e-03f,
                            -3.505699569e-03f, 2.853573998e-03f,  -2.503724303e-03f,
                            8.587812772e-04f};
  vec z = v_max(v_all(-5.2f), v_min(v_all(5.2f), x));
  vec t = v_fma(v_mul(z, z), v_all(2 / (5.2f * 5.2f)), v_all(-1)); /* in -1 .. 1 */
  vec square = v_mul(t, t), even = v_all(c[12]), odd = v_all(c[11]);
  even = v_fma(even, square, v_all(c[10]));
#pragma GCC unroll 5
  for (int i = 8; i >= 0; i -= 2) {
    even = v_fma(even, square, v_all(c[i]));
    odd = v_fma(odd, square, v_all(c[i + 1]));
  }
  return v_mul(x, v_fma(z, v_fma(odd, t, even), v_all(0.5f)));
}

/* x / (1 + e^-2u), which is x (1 + tanh u) / 2. */
INLINE vec v_gelu_tanh(vec x) {
  vec u = v_mul(x, v_fma(v_mul(x, x), v_all(0.0356774081f), v_all(0.797884561f)));
  vec e = v_exp(v_max(v_all(-87), v_min(v_all(88), v_mul(u, v_all(-2)))));
  return v_div(x, v_add(v_all(1), e));
}

TARGET static void quantise(const float *x, int width, float largest, void *q, float *scale) {
  vec most0 = v_all(0), most1 = v_all(0), sum0 = v_all(0), sum1 = v_all(0);
  for (int k = 0; k < width; k += 2 * WIDTH) {
    vec a = v_load(x + k), b = v_load(x + k + WIDTH);
    most0 = v_max(most0, v_abs(a));
    most1 = v_max(most1, v_abs(b));
    sum0 = v_fma(a, a, sum0);
    sum1 = v_fma(b, b, sum1);
  }
  float most = v_largest(v_max(most0, most1)), sum = v_sum(v_add(sum0, sum1));
  if (!(sum <= FLT_MAX) || sum < 1e-30f) { /* not finite, or nothing to tell from zero */
    *scale = sum <= FLT_MAX ? 0 : NAN;
    memset(q, 0, sizeof(int16_t) * (size_t)width);
    return;
  }
  float by = fminf(largest / most, (LONGEST - 0.5f * sqrtf((float)width)) / sqrtf(sum));
  *scale = 1 / by;
  for (int k = 0; k < width; k += WIDTH)
    v_to_int16((int16_t *)q + k, v_mul(v_load(x + k), v_all(by)));
}

#ifdef ZERO_OF_X
INLINE void quantise_bytes(const float *x, int width, float largest, int zero, char *q,
                           float *scale) {
  vec most = v_all(0), sum = v_all(0);
  for (int k = 0; k < width; k += WIDTH) {
    vec a = v_load(x + k);
    most = v_max(most, v_abs(a));
    sum = v_fma(a, a, sum);
  }
  float squares = v_sum(sum), by = 0;
  *scale = squares <= FLT_MAX ? 0 : NAN;
  if (squares <= FLT_MAX && squares >= 1e-30f) { /* finite, and more than nothing */
    *scale = v_largest(most) / largest;
    by = 1 / *scale;
  }
  for (int k = 0; k < width; k += 32) v_to_32_bytes(q + k, x + k, v_all(by), zero);
}

TARGET static void quantise_x_8(const float *x, int width, float largest, void *q, float *scale) {
  quantise_bytes(x, width, largest, ZERO_OF_X, q, scale);
}

TARGET static void quantise_weight_8(const float *x, int width, float largest, void *q,
                                     float *scale) {
  quantise_bytes(x, width, largest, 0, q, scale);
}

#if ZERO_OF_X
/* What is added to each input adds this to a column's sum. */
TARGET static int32_t own_weight_8(const void *q, int width) {
  const int8_t *weight = q;
  int32_t sum = 0;
  for (int k = 0; k < width; k++) sum += weight[k];
  return ZERO_OF_X * sum;
}
#else
#define own_weight_8 NULL
#endif

#define KERNELS_8(label, ...)                                                                \
  {                                                                                          \
    .name = label, .bytes = 1, .own_weight = own_weight_8, .quantise = quantise_x_8,         \
    .quantise_weight = quantise_weight_8, FLOAT_KERNELS, __VA_ARGS__                         \
  }
#endif

TARGET static void normalise(float *x, int hidden, int width, const float *weight,
                             const float *bias, float epsilon) {
  vec sum0 = v_all(0), sum1 = v_all(0);
  for (int k = 0; k < width; k += 2 * WIDTH) {
    sum0 = v_add(sum0, v_load(x + k));
    sum1 = v_add(sum1, v_load(x + k + WIDTH));
  }
  float mean = v_sum(v_add(sum0, sum1)) / (float)hidden;
  for (int k = hidden; k < width; k++) x[k] = mean; /* the padding: no part in the variance */
  sum0 = sum1 = v_all(0);
  for (int k = 0; k < width; k += 2 * WIDTH) {
    vec a = v_sub(v_load(x + k), v_all(mean)), b = v_sub(v_load(x + k + WIDTH), v_all(mean));
    sum0 = v_fma(a, a, sum0);
    sum1 = v_fma(b, b, sum1);
  }
  vec by = v_all(1 / sqrtf(v_sum(v_add(sum0, sum1)) / (float)hidden + epsilon));
  for (int k = 0; k < width; k += WIDTH) {
    vec centred = v_mul(v_sub(v_load(x + k), v_all(mean)), by);
    v_store(x + k, v_fma(centred, v_load(weight + k), v_load(bias + k)));
  }
}

TARGET static float softmax(float *scores, int length, const float *bias) {
  int padded = round_up(length, PANEL);
  if (bias) for (int j = 0; j < length; j++) scores[j] += bias[j];
  for (int j = length; j < padded; j++) scores[j] = -1e30f;
  vec most = v_all(-1e30f);
  for (int j = 0; j < padded; j += WIDTH) most = v_max(most, v_load(scores + j));
  vec top = v_all(v_largest(most)), sum = v_all(0);
  for (int j = 0; j < padded; j += WIDTH) {
    vec e = v_exp(v_max(v_all(-87), v_sub(v_load(scores + j), top)));
    v_store(scores + j, e);
    sum = v_add(sum, e);
  }
  return 1 / v_sum(sum);
}

/* A tile of float products: `rows` rows of a, each entry against one or two vectors of b.
 * Sums have names, not places in an array, so that they stay in registers. */
#define EACH_FLOAT_ROW(X) \
  X(0, a0) X(1, a0 + lda) X(2, a0 + 2 * lda) X(3, a3) X(4, a3 + lda) X(5, a3 + 2 * lda) \
  X(6, a6) X(7, a6 + lda) X(8, a6 + 2 * lda) X(9, a9) X(10, a9 + lda) X(11, a9 + 2 * lda)

INLINE void float_tile(const float *a, ptrdiff_t lda, const float *b, ptrdiff_t ldb, int depth,
                       const float *row_scale, float *c, ptrdiff_t ldc, const int rows,
                       const int vectors) {
  const float *a0 = a, *a3 = a + 3 * lda, *a6 = a + 6 * lda, *a9 = a + 9 * lda;
#define ZERO(r, at) vec s##r = v_all(0), t##r = v_all(0);
  EACH_FLOAT_ROW(ZERO)
  for (int k = 0; k < depth; k++) {
    vec b0 = v_load(b), b1 = vectors > 1 ? v_load(b + WIDTH) : b0;
#define STEP(r, at)                          \
  if (rows > r) {                            \
    vec x = v_all(*(at));                    \
    s##r = v_fma(x, b0, s##r);               \
    if (vectors > 1) t##r = v_fma(x, b1, t##r); \
  }
    EACH_FLOAT_ROW(STEP)
    b += ldb;
    a0++;
    if (rows > 3) a3++;
    if (rows > 6) a6++;
    if (rows > 9) a9++;
    KEEP_POINTERS(a0, a3, a6, a9);
  }
#define SAVE(r, at)                                            \
  if (rows > r) {                                              \
    vec by = v_all(row_scale ? row_scale[r] : 1);              \
    v_store(c + r * ldc, v_mul(s##r, by));                     \
    if (vectors > 1) v_store(c + r * ldc + WIDTH, v_mul(t##r, by)); \
  }
  EACH_FLOAT_ROW(SAVE)
#undef ZERO
#undef STEP
#undef SAVE
}

TARGET static void multiply(const float *a, ptrdiff_t lda, const float *b, ptrdiff_t ldb, int depth,
                            const float *row_scale, float *c, ptrdiff_t ldc, int rows,
                            int columns) {
  int j = 0;
  for (; j + 2 * WIDTH <= columns; j += 2 * WIDTH) switch (rows) {
#define CASE(n) \
  case n: float_tile(a, lda, b + j, ldb, depth, row_scale, c + j, ldc, n, 2); break;
    FOR_ROWS(FLOAT_ROWS)(CASE)
#undef CASE
  }
  for (; j < columns; j += WIDTH) switch (rows) {
#define CASE(n) \
  case n: float_tile(a, lda, b + j, ldb, depth, row_scale, c + j, ldc, n, 1); break;
    FOR_ROWS(FLOAT_ROWS)(CASE)
#undef CASE
  }
}

TARGET static void transpose(const float *from, ptrdiff_t ldf, int rows, int columns, float *to,
                             ptrdiff_t ldt) {
  int padded = round_up(rows, PANEL);
  for (int j = 0; j < padded; j += TRANSPOSED)
    for (int i = 0; i < columns; i += TRANSPOSED)
      transpose_block(from + j * ldf + i, ldf, rows - j, to + i * ldt + j, ldt);
}

/* A set that multiplies plainly uses all 16 bits. */
#define PLAIN .most_x = 32767, .most_weight = 32767

#define FLOAT_KERNELS                                                                        \
  .float_rows = FLOAT_ROWS, .normalise = normalise, .multiply = multiply,                    \
  .softmax = softmax, .transpose = transpose

#define KERNELS(label, ...)                                                                  \
  {                                                                                          \
    .name = label, .bytes = 2, .block = BLOCK, .product = product, .quantise = quantise,     \
    .quantise_weight = quantise, FLOAT_KERNELS, __VA_ARGS__                                  \
  }
