/* From the states of a text's tokens to its vector. */
#include "engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void pool(enum pooling pooling, const float *states, ptrdiff_t stride, int hidden,
                 int tokens, int skip, float *to) {
  if (pooling == POOL_CLS) skip = 0;
  memset(to, 0, sizeof *to * (size_t)hidden);
  if (tokens <= skip) return;
  const float *first = states + skip * stride, *last = states + (tokens - 1) * stride;
  if (pooling == POOL_CLS) memcpy(to, first, sizeof *to * (size_t)hidden);
  if (pooling == POOL_LAST) memcpy(to, last, sizeof *to * (size_t)hidden);
  if (pooling == POOL_CLS || pooling == POOL_LAST) return;
  if (pooling == POOL_MAX) {
    memcpy(to, first, sizeof *to * (size_t)hidden);
    for (const float *row = first; row <= last; row += stride)
      for (int k = 0; k < hidden; k++) /* a NaN on either side stays */
        if (row[k] > to[k] || row[k] != row[k]) to[k] = row[k];
    return;
  }
  float total = 0;
  for (int i = skip; i < tokens; i++) {
    const float *row = states + i * stride;
    float weight = pooling == POOL_WEIGHTED ? (float)(i + 1) : 1;
    total += weight;
    for (int k = 0; k < hidden; k++) to[k] += row[k] * weight;
  }
  if (pooling == POOL_MEAN_SQRT_LEN) total = sqrtf(total);
  for (int k = 0; k < hidden; k++) to[k] /= total;
}

static float activate(enum head_activation activation, float x) {
  switch (activation) {
    case HEAD_TANH: return tanhf(x);
    case HEAD_RELU: return x < 0 ? 0 : x;
    case HEAD_SIGMOID: return 1 / (1 + expf(-x));
    case HEAD_GELU: return 0.5f * x * (1 + erff(x * 0.707106781f));
    default: return x;
  }
}

void apply_head(const struct head *head, const float *states, ptrdiff_t stride, int hidden,
                int tokens, int skip, float *scratch, float *vector) {
  float *from = scratch, *to = scratch + head->widest;
  for (int i = 0; i < head->poolings; i++)
    pool(head->pooling[i], states, stride, hidden, tokens, skip, from + i * hidden);
  for (int i = 0; i < head->dense_count; i++) {
    const struct dense *dense = &head->dense[i];
    memcpy(to, dense->bias, sizeof *to * (size_t)dense->outputs);
    for (int k = 0; k < dense->inputs; k++) {
      const float *weight = dense->weight + (ptrdiff_t)k * dense->outputs;
      for (int n = 0; n < dense->outputs; n++) to[n] += from[k] * weight[n];
    }
    for (int n = 0; n < dense->outputs; n++) to[n] = activate(dense->activation, to[n]);
    float *other = from;
    from = to;
    to = other;
  }
  float norm = 1;
  if (head->normalise) {
    double sum = 0;
    for (int k = 0; k < head->dim; k++) sum += (double)from[k] * from[k];
    if (sum != 0) norm = (float)sqrt(sum);
  }
  for (int k = 0; k < head->dim; k++) vector[k] = from[k] / norm;
}

void free_head(struct head *head) {
  if (!head) return;
  for (int i = 0; head->dense && i < head->dense_count; i++) {
    free(head->dense[i].weight);
    free(head->dense[i].bias);
  }
  free(head->dense);
  free(head);
}
