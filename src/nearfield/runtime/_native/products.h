/* The integer products of rows with a matrix of weights. A kernel file defines its tiles first,
 * so that they are compiled into the loops around them.
 *
 * The blocks of a tile are added up beside it: a column of y, whose rows lie far apart, would not
 * stay in the nearest cache.
 */

/* Products of `rows` (at most TILE_ROWS) rows of x, `stride` numbers apart, with TILE_COLUMNS
 * outputs, over a block of inputs; panels of weights lie `panel` numbers apart. */
typedef void tile_function(const void *x, ptrdiff_t stride, const int32_t *own_x,
                           const void *weight, ptrdiff_t panel, const int32_t *own_weight,
                           int inputs, int rows, int32_t *sums);

INLINE void finish_row(const int32_t *sums, float row_scale, const float *scale,
                       const float *before, enum activation activation,
                       const float *residual, float *y) {
#pragma GCC unroll 4
  for (int j = 0; j < TILE_COLUMNS; j += WIDTH) {
    vec by = v_mul(v_load(scale + j), v_all(row_scale));
    vec v = v_fma(v_from_int(sums + j), by, v_load(before + j));
    if (activation == GELU) v = v_gelu(v);
    if (activation == GELU_TANH) v = v_gelu_tanh(v);
    if (activation == RELU) v = v_max(v_all(0), v);
    if (residual) v = v_add(v, v_load(residual + j));
    v_store(y + j, v);
  }
}

/* Sums to floats: scales, what they are added to (the bias for all rows, or rows `before_stride`
 * apart), activation, residual (or NULL). */
INLINE void finish(const int32_t *sums, int rows, const float *row_scale, const float *scale,
                   const float *before, ptrdiff_t before_stride, enum activation activation,
                   const float *residual, float *y, ptrdiff_t stride) {
#define EACH_ROW(act, res)                                                                  \
  _Pragma("GCC unroll 4") for (int r = 0; r < rows; r++)                                    \
  finish_row(sums + r * TILE_COLUMNS, row_scale[r], scale, before + r * before_stride, act, \
             res, y + r * stride)
  if (residual) EACH_ROW(IDENTITY, residual + r * stride);
  else if (activation == IDENTITY) EACH_ROW(IDENTITY, NULL);
  else if (activation == GELU) EACH_ROW(GELU, NULL);
  else if (activation == GELU_TANH) EACH_ROW(GELU_TANH, NULL);
  else EACH_ROW(RELU, NULL);
#undef EACH_ROW
}

/* The tile of `rows` rows from m on and TILE_COLUMNS columns from n on. */
INLINE void product_tile(tile_function *tile, const int bytes, const int most,
                         const struct product *p, int n, int m, int rows) {
  int32_t sums[TILE_ROWS * TILE_COLUMNS];
  float partial[TILE_ROWS * TILE_COLUMNS];
  const struct linear *linear = p->linear;
  int inputs = linear->inputs, outputs = linear->outputs, blocks = (inputs + most - 1) / most;
  ptrdiff_t at = (ptrdiff_t)m * outputs + n;
  const float *before = linear->bias + n;
  for (int k = 0; k < blocks; k++) {
    int start = k * most, width = inputs - start < most ? inputs - start : most;
    ptrdiff_t column = (ptrdiff_t)k * outputs + n, row = (ptrdiff_t)k * p->rows + m;
    tile(p->q + ((ptrdiff_t)m * inputs + start) * bytes, inputs, p->own + row,
         linear->weight + ((ptrdiff_t)n * inputs + (ptrdiff_t)start * PANEL) * bytes,
         (ptrdiff_t)PANEL * inputs, linear->own + column, width, rows, sums);
    const float *row_scale = p->scale + row, *scale = linear->scale + column;
    if (k < blocks - 1)
      finish(sums, rows, row_scale, scale, before, k ? TILE_COLUMNS : 0, IDENTITY, NULL, partial,
             TILE_COLUMNS);
    else
      finish(sums, rows, row_scale, scale, before, k ? TILE_COLUMNS : 0, p->activation,
             p->residual ? p->residual + at : NULL, p->y + at, outputs);
    before = partial;
  }
}

/* Columns in groups a .. b - 1, in tiles of even height. */
INLINE void product_by(tile_function *tile, const int bytes, const int most,
                       const struct product *p, int a, int b) {
  int tiles = (p->rows + TILE_ROWS - 1) / TILE_ROWS;
  if (!tiles) return; /* texts of no tokens */
  int least = p->rows / tiles, odd = p->rows % tiles;
  for (int n = a * GROUP; n < b * GROUP; n += TILE_COLUMNS)
    for (int m = 0, rows, owed = 0; m < p->rows; m += rows) {
      /* As share() would have it, without its divisions. */
      rows = least;
      if ((owed += odd) >= tiles) owed -= tiles, rows++;
      if (rows == TILE_ROWS) product_tile(tile, bytes, most, p, n, m, TILE_ROWS);
      else product_tile(tile, bytes, most, p, n, m, rows);
    }
}

#define PRODUCT(name, tile, bytes, most)                                     \
  TARGET static void name(const struct product *product, int a, int b) {     \
    product_by(tile, bytes, most, product, a, b);                            \
  }
