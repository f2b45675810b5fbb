/* Vectors rounded to a byte a number: made, and multiplied with queries of 16 bits.
 *
 * The products are whole numbers, the same whichever way they are added up; that none passes
 * 2^31 is the caller's care (codes.py). Rows of codes and of queries have a width that is a
 * multiple of STEP, filled up with zeros.
 */
#include "buffers.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define STEP 32        /* numbers of a row: a multiple of this */
#define LANES 16       /* sums that are added up apart */
#define MOST (1 << 24) /* numbers of a row */
#define LARGEST 127.f  /* code */
#define NOTHING 1e-30f /* a row of smaller numbers is taken for zeros */
#define INLINE static inline __attribute__((always_inline))

/* ------------------------------------------------------- rows to bytes */

/* The codes of a row; what their unit is worth; how long what rounding took away is. */
INLINE void encode_row(const float *restrict x, int width, float *restrict room,
                       int8_t *restrict codes, float *unit, float *lost) {
  int32_t most = 0;
  for (int k = 0; k < width; k++) { /* as whole numbers floats without a sign are ordered alike */
    int32_t bits;
    memcpy(&bits, x + k, sizeof bits);
    bits &= INT32_MAX;
    most = bits > most ? bits : most;
  }
  float largest, away[LANES] = {0}, square = 0;
  memcpy(&largest, &most, sizeof largest);
  float by = largest < NOTHING ? 0 : LARGEST / largest, step = largest / LARGEST;
  for (int k = 0; k < width; k++) {
    float exact = x[k] * by;
    int32_t code = (int32_t)(exact + copysignf(0.5f, exact));
    float rest = x[k] - step * (float)code;
    codes[k] = (int8_t)code;
    room[k] = rest * rest;
  }
  for (int k = 0; k < width; k += LANES)
    for (int i = 0; i < LANES; i++) away[i] += room[k + i];
  for (int i = 0; i < LANES; i++) square += away[i];
  *unit = step;
  *lost = sqrtf(square);
}

/* `room` is for two rows of the full width. */
INLINE void encode_rows(const float *vectors, Py_ssize_t rows, int dim, int width, float *room,
                        int8_t *codes, float *units, float *lost) {
  float *filled = room + width;
  memset(filled + dim, 0, sizeof *filled * (size_t)(width - dim));
  for (Py_ssize_t r = 0; r < rows; r++) {
    memcpy(filled, vectors + r * dim, sizeof *filled * (size_t)dim);
    encode_row(filled, width, room, codes + r * width, units + r, lost + r);
  }
}

/* ----------------------------------------------- products with queries */

/* Rows of codes, each with a factor, and queries, each with one: scores[q][r] is the product
 * of both factors and the whole numbers. */
struct product {
  const int8_t *codes;
  const float *row_factors;
  Py_ssize_t rows;
  const int16_t *queries;
  const float *query_factors;
  Py_ssize_t count;
  int width;
  float *scores;
};

static void multiply_some(const struct product *p, Py_ssize_t q, Py_ssize_t first) {
  const int16_t *d = p->queries + q * p->width;
  for (Py_ssize_t r = first; r < p->rows; r++) {
    const int8_t *c = p->codes + r * p->width;
    int32_t sum = 0;
    for (int k = 0; k < p->width; k++) sum += (int32_t)c[k] * d[k];
    p->scores[q * p->rows + r] = (float)sum * p->row_factors[r] * p->query_factors[q];
  }
}

static void multiply_plainly(const struct product *p) {
  for (Py_ssize_t q = 0; q < p->count; q++) multiply_some(p, q, 0);
}

static void encode_plainly(const float *vectors, Py_ssize_t rows, int dim, int width, float *room,
                           int8_t *codes, float *units, float *lost) {
  encode_rows(vectors, rows, dim, width, room, codes, units, lost);
}

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2 1
#include <immintrin.h>
#define AHEAD 1536 /* bytes: memory answers late */
#define TARGET __attribute__((target("avx2")))
#define TILE TARGET INLINE

TARGET static void encode_avx2(const float *vectors, Py_ssize_t rows, int dim, int width,
                               float *room, int8_t *codes, float *units, float *lost) {
  encode_rows(vectors, rows, dim, width, room, codes, units, lost);
}

TILE __m128i sum_of_each(__m256i a, __m256i b, __m256i c, __m256i d) {
  __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
  return _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

TILE __m256i sixteen(const int8_t *codes) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)codes));
}

TILE __m256i add_products(__m256i sum, __m256i codes, const int16_t *query) {
  __m256i numbers = _mm256_loadu_si256((const __m256i *)query);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(codes, numbers));
}

TILE __m128 scaled(__m128i sums, const float *each, float all) {
  return _mm_mul_ps(_mm_mul_ps(_mm_cvtepi32_ps(sums), _mm_loadu_ps(each)), _mm_set1_ps(all));
}

/* Four rows with one query: each code is read once, from wherever it lies. */
TILE void four_rows(const struct product *p, Py_ssize_t q, Py_ssize_t r) {
  int width = p->width;
  const int8_t *c0 = p->codes + r * width, *c1 = c0 + width, *c2 = c1 + width, *c3 = c2 + width;
  const int16_t *d = p->queries + q * width;
  __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
  for (int k = 0; k < width; k += 16) {
    _mm_prefetch((const char *)c0 + 4 * k + AHEAD, _MM_HINT_T0); /* rows to come, in order */
    s0 = add_products(s0, sixteen(c0 + k), d + k);
    s1 = add_products(s1, sixteen(c1 + k), d + k);
    s2 = add_products(s2, sixteen(c2 + k), d + k);
    s3 = add_products(s3, sixteen(c3 + k), d + k);
  }
  __m128i sums = sum_of_each(s0, s1, s2, s3);
  _mm_storeu_ps(p->scores + q * p->rows + r,
                scaled(sums, p->row_factors + r, p->query_factors[q]));
}

/* One row with four queries: each code is widened once. */
TILE void four_queries(const struct product *p, Py_ssize_t q, Py_ssize_t r) {
  int width = p->width;
  const int8_t *c = p->codes + r * width;
  const int16_t *d0 = p->queries + q * width, *d1 = d0 + width, *d2 = d1 + width, *d3 = d2 + width;
  __m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
  for (int k = 0; k < width; k += 16) {
    __m256i codes = sixteen(c + k);
    s0 = add_products(s0, codes, d0 + k);
    s1 = add_products(s1, codes, d1 + k);
    s2 = add_products(s2, codes, d2 + k);
    s3 = add_products(s3, codes, d3 + k);
  }
  float scores[4];
  __m128i sums = sum_of_each(s0, s1, s2, s3);
  _mm_storeu_ps(scores, scaled(sums, p->query_factors + q, p->row_factors[r]));
  for (int i = 0; i < 4; i++) p->scores[(q + i) * p->rows + r] = scores[i];
}

TARGET static void multiply_avx2(const struct product *p) {
  Py_ssize_t q = 0;
  for (; q + 4 <= p->count; q += 4)
    for (Py_ssize_t r = 0; r < p->rows; r++) four_queries(p, q, r);
  for (; q < p->count; q++) {
    Py_ssize_t r = 0;
    for (; r + 4 <= p->rows; r += 4) four_rows(p, q, r);
    multiply_some(p, q, r);
  }
}

static int has_avx2(void) {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2");
}
#endif

/* ------------------------------------------------------- Python's door */

static Py_buffer *borrow_axes(struct views *views, PyObject *object, const char *kind, int axes,
                              int writable) {
  Py_buffer *view = borrow(views, object, kind, writable);
  if (view && view->ndim != axes) return complain("an array has too many or too few axes"), NULL;
  return view;
}

static PyObject *encode(PyObject *self, PyObject *args) {
  (void)self;
  PyObject *vectors, *codes, *units, *lost;
  int plainly;
  if (!PyArg_ParseTuple(args, "OOOOp", &vectors, &codes, &units, &lost, &plainly)) return NULL;
  struct views views = {.count = 0};
  Py_buffer *v = borrow_axes(&views, vectors, "f", 2, 0);
  Py_buffer *c = v ? borrow_axes(&views, codes, "b", 2, 1) : v;
  Py_buffer *u = c ? borrow_axes(&views, units, "f", 1, 1) : c;
  Py_buffer *l = u ? borrow_axes(&views, lost, "f", 1, 1) : u;
  float *room = NULL;
  if (l) {
    Py_ssize_t rows = v->shape[0], dim = v->shape[1], width = c->shape[1];
    if (width % STEP || width > MOST || width < dim || c->shape[0] != rows ||
        u->shape[0] != rows || l->shape[0] != rows) {
      complain("the arrays do not fit each other");
    } else if (!(room = malloc(sizeof *room * 2 * (size_t)(width + 1)))) {
      PyErr_NoMemory();
    } else {
      void (*run)(const float *, Py_ssize_t, int, int, float *, int8_t *, float *, float *) =
          encode_plainly;
#ifdef HAVE_AVX2
      if (!plainly && has_avx2()) run = encode_avx2;
#endif
      Py_BEGIN_ALLOW_THREADS
      run(v->buf, rows, (int)dim, (int)width, room, c->buf, u->buf, l->buf);
      Py_END_ALLOW_THREADS
    }
  }
  free(room);
  release(&views);
  if (PyErr_Occurred()) return NULL;
  Py_RETURN_NONE;
}

static PyObject *multiply(PyObject *self, PyObject *args) {
  (void)self;
  PyObject *codes, *row_factors, *queries, *query_factors, *scores;
  int plainly;
  if (!PyArg_ParseTuple(args, "OOOOOp", &codes, &row_factors, &queries, &query_factors, &scores,
                        &plainly))
    return NULL;
  struct views views = {.count = 0};
  Py_buffer *c = borrow_axes(&views, codes, "b", 2, 0);
  Py_buffer *u = c ? borrow_axes(&views, row_factors, "f", 1, 0) : c;
  Py_buffer *d = u ? borrow_axes(&views, queries, "h", 2, 0) : u;
  Py_buffer *t = d ? borrow_axes(&views, query_factors, "f", 1, 0) : d;
  Py_buffer *s = t ? borrow_axes(&views, scores, "f", 2, 1) : t;
  if (s) {
    struct product p = {c->buf, u->buf, c->shape[0], d->buf, t->buf, d->shape[0],
                        (int)c->shape[1], s->buf};
    if (c->shape[1] % STEP || c->shape[1] > MOST || d->shape[1] != c->shape[1] ||
        u->shape[0] != p.rows || t->shape[0] != p.count || s->shape[0] != p.count ||
        s->shape[1] != p.rows) {
      complain("the arrays do not fit each other");
    } else {
      void (*run)(const struct product *) = multiply_plainly;
#ifdef HAVE_AVX2
      if (!plainly && has_avx2()) run = multiply_avx2;
#endif
      Py_BEGIN_ALLOW_THREADS
      run(&p);
      Py_END_ALLOW_THREADS
    }
  }
  release(&views);
  if (PyErr_Occurred()) return NULL;
  Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"encode", encode, METH_VARARGS, "Round rows to codes, with their units and what was lost."},
    {"multiply", multiply, METH_VARARGS, "Multiply each query with each row of codes."},
    {NULL, NULL, 0, NULL}};

static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_scan",
                                        .m_doc = "Vectors of one byte a number.",
                                        .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC PyInit__scan(void) { return PyModuleDef_Init(&definition); }
