/* Weights: rows of a file widened one at a time, quantised, and laid out for the kernels. */
#define _DEFAULT_SOURCE
#include "engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define HUGE_PAGE ((size_t)2 << 20)

void *aligned(size_t bytes) {
  size_t step = bytes >= HUGE_PAGE ? HUGE_PAGE : 64;
  void *p = NULL;
  if (posix_memalign(&p, step, (bytes + 63) / 64 * 64)) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (step == HUGE_PAGE) madvise(p, bytes, MADV_HUGEPAGE);
#endif
  return p;
}

static float from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static float from_half(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
  if (rest >= 0x7c00) return from_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  if (rest < 0x400) return from_bits(sign | 0x3f800000) * (float)rest * 0x1p-24f; /* denormal */
  return from_bits(sign | ((rest << 13) + (112u << 23)));
}

void widen_row(const struct table *table, int row, float *to) {
  size_t width = (size_t)table->width, start = (size_t)row * width;
#define COPY(type, expression)                         \
  {                                                    \
    const type *from = (const type *)table->rows + start; \
    for (size_t k = 0; k < width; k++) to[k] = expression; \
    break;                                             \
  }
  float scale = table->scale ? table->scale[row] : 1;
  switch (table->number) {
    case FLOAT32: memcpy(to, (const float *)table->rows + start, width * sizeof *to); break;
    case FLOAT64: COPY(double, (float)from[k])
    case FLOAT16: COPY(uint16_t, from_half(from[k]))
    case BFLOAT16: COPY(uint16_t, from_bits((uint32_t)from[k] << 16))
    case INT16: COPY(int16_t, (float)from[k] * scale)
    case INT8: COPY(int8_t, (float)from[k] * scale)
  }
#undef COPY
}

/* ------------------------------------------------------------- packing */

/* A head's numbers are padded to whole vectors, so a place in the file and a place
 * in the padded row of all heads differ. Gives -1 for padding. */
static int place_in_file(const struct model *model, int padded) {
  int head = padded / model->head_size, i = padded % model->head_size;
  int size = model->hidden / model->heads;
  return head < model->heads && i < size ? head * size + i : -1;
}

struct packing {
  const struct model *model;
  const struct layer_source *source;
  struct linear *linear;
  enum part part;
  float *scratch; /* per thread: two rows */
  char *rows;     /* per thread: PANEL quantised rows */
  atomic_int next, not_finite;
};

/* One output's weights, padded, and its bias; all 0 for an output that is padding. */
static void padded_row(const struct packing *job, int output, float *file_row, float *row,
                       float *bias) {
  const struct model *model = job->model;
  enum part part = job->part;
  float by = 1;
  if (part == QUERY) { /* stands for all three, one after the other */
    part = (enum part)(output / model->mixed);
    output = place_in_file(model, output % model->mixed);
    /* Attention divides by the root of the head's size: done here, once. */
    if (part == QUERY) by = 1 / sqrtf((float)(model->hidden / model->heads));
  }
  const struct table *weight = &job->source->weight[part];
  memset(row, 0, sizeof *row * (size_t)job->linear->inputs);
  *bias = 0;
  if (output < 0 || output >= weight->count) return;
  if (part == MIX) {
    widen_row(weight, output, file_row);
    for (int k = 0; k < job->linear->inputs; k++) {
      int from = place_in_file(model, k);
      if (from >= 0) row[k] = file_row[from];
    }
  } else {
    widen_row(weight, output, row);
  }
  if (by != 1)
    for (int k = 0; k < weight->width; k++) row[k] *= by;
  *bias = job->source->bias[part][output] * by;
}

static void pack(void *context, struct team *team, int rank) {
  struct packing *job = context;
  struct linear *linear = job->linear;
  int inputs = linear->inputs, panels = linear->outputs / PANEL;
  float *file_row = job->scratch + (size_t)rank * 2 * (size_t)inputs, *row = file_row + inputs;
  const struct kernels *kernels = job->model->kernels;
  size_t row_bytes = (size_t)inputs * (size_t)kernels->bytes;
  char *rows = job->rows + (size_t)rank * PANEL * row_bytes;
  (void)team;
  for (int p; (p = atomic_fetch_add(&job->next, 1)) < panels;) {
    for (int j = 0; j < PANEL; j++) {
      int n = p * PANEL + j;
      padded_row(job, n, file_row, row, linear->bias + n);
      for (int b = 0; b < blocks_of(kernels, inputs); b++) {
        ptrdiff_t block = (ptrdiff_t)b * linear->outputs + n, at = (ptrdiff_t)b * kernels->block;
        char *q = rows + (size_t)j * row_bytes + at * kernels->bytes;
        int width = block_width(kernels, inputs, b);
        kernels->quantise_weight(row + at, width, kernels->most_weight, q, linear->scale + block);
        linear->own[block] = kernels->own_weight ? kernels->own_weight(q, width) : 0;
        if (!isfinite(linear->scale[block])) job->not_finite = 1;
      }
      if (!isfinite(linear->bias[n])) job->not_finite = 1;
    }
    int32_t *to = (int32_t *)(linear->weight + (size_t)p * PANEL * row_bytes);
    for (size_t k = 0; k < row_bytes; k += sizeof *to, to += PANEL)
      for (size_t j = 0; j < PANEL; j++) memcpy(to + j, rows + j * row_bytes + k, sizeof *to);
  }
}

static enum build_error build_linear(const struct model *model, const struct layer_source *source,
                                     enum part part, int threads, struct linear *linear) {
  int outputs = linear->outputs, inputs = linear->inputs;
  size_t scales = (size_t)outputs * (size_t)blocks_of(model->kernels, inputs);
  linear->scale = aligned(sizeof(float) * scales);
  linear->own = aligned(sizeof(int32_t) * scales);
  linear->bias = aligned(sizeof(float) * (size_t)outputs);
  struct packing job = {.model = model, .source = source, .linear = linear, .part = part};
  job.scratch = aligned(sizeof(float) * 2 * (size_t)threads * (size_t)inputs);
  job.rows = aligned((size_t)model->kernels->bytes * PANEL * (size_t)threads * (size_t)inputs);
  enum build_error error = OUT_OF_MEMORY;
  if (linear->scale && linear->own && linear->bias && job.scratch && job.rows) {
    run_team(pack, &job, threads);
    error = job.not_finite ? NOT_FINITE : BUILT;
  }
  free(job.scratch);
  free(job.rows);
  return error;
}

enum build_error build_layer(struct model *model, const struct layer_source *source, int threads) {
  struct layer *layer = &model->layers[model->layers_built];
  struct {
    enum part part;
    int outputs, inputs;
    struct linear *linear;
  } parts[] = {
      {QUERY, 3 * model->mixed, model->width, &layer->qkv},
      {MIX, model->width, model->mixed, &layer->mix},
      {INNER, model->inner, model->width, &layer->inner},
      {OUTER, model->width, model->inner, &layer->outer},
  };
  size_t entries = 0;
  for (int i = 0; i < 4; i++) entries += (size_t)parts[i].outputs * (size_t)parts[i].inputs;
  size_t bytes = (size_t)model->kernels->bytes;
  char *weight = layer->weights = aligned(bytes * entries);
  if (!weight) return OUT_OF_MEMORY;
  for (int i = 0; i < 4; i++) {
    struct linear *linear = parts[i].linear;
    *linear = (struct linear){.outputs = parts[i].outputs, .inputs = parts[i].inputs,
                              .weight = weight};
    weight += bytes * (size_t)linear->outputs * (size_t)linear->inputs;
    enum build_error error = build_linear(model, source, parts[i].part, threads, linear);
    if (error != BUILT) return error;
  }
  layer->norms = aligned(sizeof(float) * 4 * (size_t)model->width);
  if (!layer->norms) return OUT_OF_MEMORY;
  memset(layer->norms, 0, sizeof(float) * 4 * (size_t)model->width);
  for (int i = 0; i < 4; i++)
    memcpy(layer->norms + (ptrdiff_t)i * model->width, source->norm[i],
           sizeof(float) * (size_t)model->hidden);
  model->layers_built++;
  return BUILT;
}

static void free_linear(struct linear *linear) {
  free(linear->scale);
  free(linear->own);
  free(linear->bias);
}

void free_model(struct model *model) {
  if (!model) return;
  for (int i = 0; model->layers && i < model->layer_count; i++) {
    struct layer *layer = &model->layers[i];
    free_linear(&layer->qkv);
    free_linear(&layer->mix);
    free_linear(&layer->inner);
    free_linear(&layer->outer);
    free(layer->norms);
    free(layer->weights);
  }
  free(model->layers);
  free(model->positions);
  free(model->types);
  free(model->norm);
  free(model->distance);
  free(model);
}
