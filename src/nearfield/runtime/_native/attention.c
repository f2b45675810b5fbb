/* Attention: what a token takes from the others of its text. */
#include "engine.h"

void attend_head(const struct model *model, int head, const float *query, const float *qkv,
                 int tokens, int first, int count, float *scratch, float *out) {
  const struct kernels *kernels = model->kernels;
  int mixed = model->mixed, size = model->head_size;
  ptrdiff_t stride = 3 * (ptrdiff_t)mixed, padded = round_up(tokens, PANEL);
  const float *key = qkv + mixed + head * size, *value = key + mixed, *distance = NULL;
  if (model->distance)
    distance = model->distance + (ptrdiff_t)head * (2 * model->reach + 1) + model->reach;
  float *keys = scratch, *scores = scratch + padded * size, inverse[MAX_ROWS];
  kernels->transpose(key, stride, tokens, size, keys, padded);
  query += head * size;
  out += head * size;
  int tiles = (count + kernels->float_rows - 1) / kernels->float_rows;
  for (int t = 0; t < tiles; t++) {
    int m = share(count, t, tiles), rows = share(count, t + 1, tiles) - m;
    kernels->multiply(query + m * stride, stride, keys, padded, size, NULL, scores, padded, rows,
                      (int)padded);
    for (int r = 0; r < rows; r++)
      inverse[r] = kernels->softmax(scores + r * padded, tokens,
                                    distance ? distance - (first + m + r) : NULL);
    kernels->multiply(scores, padded, value, stride, tokens, inverse, out + (ptrdiff_t)m * mixed,
                      mixed, rows, size);
  }
}
