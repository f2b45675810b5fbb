/* Texts through the encoder.
 *
 * Texts are laid end to end without padding and cut into items of about ITEM_TOKENS
 * tokens. With at least as many items as threads, each thread takes whole items. With
 * fewer, all threads work on one item at a time, share out the columns of each matrix
 * product, and meet after each step. Neither choice changes a bit of the result: every
 * number is computed from its own row and column alone, in an order fixed by the model.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#define ITEM_TOKENS 128
#define WORTH_SHARING 20000000 /* multiplications below which waking a thread costs more */

struct workspace {
  float *x;          /* [tokens][width]   the residual stream */
  float *big;        /* [tokens][3 mixed] queries, keys, values; or [tokens][inner] */
  float *mixed;      /* [tokens][mixed]   what attention gathered */
  int16_t *q;        /* [tokens][widest]  the present matrix product's input */
  float *scale;      /* [tokens]          its rows' scales */
};

struct item {
  int first, count; /* texts */
  int64_t start;    /* first token */
  int tokens;
};

struct job {
  const struct model *model;
  const struct head *head;
  const struct kernels *kernels;
  const struct texts *texts;
  int skip;
  float *out;
  struct item *items;
  int item_count, alone;        /* items that one thread runs alone; the rest all run together */
  struct workspace *workspaces; /* per thread; the first serves for items run together */
  float **scratch;              /* per thread: attention and head */
  size_t key_floats;            /* of scratch: transposed keys */
  atomic_int next;
};

/* Where a thread sits: among how many, as which, and with what scratch. */
struct seat {
  struct team *team;
  int rank;
  float *scratch;
};
static int from(int count, const struct seat *seat) {
  return share(count, seat->rank, seat->team->size);
}
static int to(int count, const struct seat *seat) {
  return share(count, seat->rank + 1, seat->team->size);
}
static int mine(int number, const struct seat *seat) {
  return number % seat->team->size == seat->rank;
}

/* ---------------------------------------------------------------- steps */

/* Rows a..b of x as whole numbers. */
static void quantise_rows(const struct job *job, struct workspace *w, const float *x, int width,
                          int a, int b) {
  for (int i = a; i < b; i++)
    job->kernels->quantise(x + (ptrdiff_t)i * width, width, w->q + (ptrdiff_t)i * width,
                           w->scale + i);
}

/* y = act(q W^T + b) + residual, this rank's groups of columns, in tiles of even height. */
static void matrix_product(const struct job *job, const struct linear *linear,
                           const struct workspace *w, int tokens, enum activation activation,
                           const float *residual, float *y, const struct seat *seat) {
  const struct kernels *kernels = job->kernels;
  int32_t sums[MAX_TILE * GROUP];
  int columns = kernels->tile_columns, groups = linear->outputs / GROUP;
  int tiles = (tokens + kernels->tile_rows - 1) / kernels->tile_rows;
  for (int n = from(groups, seat) * GROUP; n < to(groups, seat) * GROUP; n += columns)
    for (int t = 0; t < tiles; t++) {
      int m = share(tokens, t, tiles), rows = share(tokens, t + 1, tiles) - m;
      ptrdiff_t at = (ptrdiff_t)m * linear->outputs + n;
      kernels->tile(w->q + (ptrdiff_t)m * linear->inputs, linear->inputs,
                    linear->weight + (ptrdiff_t)n * linear->inputs, linear->inputs, rows, sums);
      kernels->finish(sums, rows, w->scale + m, linear->scale + n, linear->bias + n, activation,
                      residual ? residual + at : NULL, y + at, linear->outputs);
    }
}

/* One head of one text: softmax(Q K^T + bias) V; Q came scaled from its matrix. */
static void attend(const struct job *job, const float *qkv, float *out, int tokens, int head,
                   float *scratch) {
  const struct model *model = job->model;
  const struct kernels *kernels = job->kernels;
  int mixed = model->mixed, size = model->head_size;
  ptrdiff_t stride = 3 * (ptrdiff_t)mixed, padded = round_up(tokens, PANEL);
  const float *query = qkv + head * size, *key = query + mixed, *value = key + mixed;
  const float *distance = NULL;
  if (model->distance) distance = model->distance + (ptrdiff_t)head * (2 * model->reach + 1) + model->reach;
  float *keys = scratch, *scores = scratch + job->key_floats, inverse[MAX_TILE];
  kernels->transpose(key, stride, tokens, size, keys, padded);
  int tiles = (tokens + kernels->tile_rows - 1) / kernels->tile_rows;
  for (int t = 0; t < tiles; t++) {
    int m = share(tokens, t, tiles), rows = share(tokens, t + 1, tiles) - m;
    kernels->multiply(query + m * stride, stride, keys, padded, size, NULL, scores, padded, rows,
                      (int)padded);
    for (int r = 0; r < rows; r++)
      inverse[r] = kernels->softmax(scores + r * padded, tokens, distance ? distance - (m + r) : NULL);
    kernels->multiply(scores, padded, value, stride, tokens, inverse,
                      out + (ptrdiff_t)m * mixed + head * size, mixed, rows, size);
  }
}

static void embed_rows(const struct job *job, struct workspace *w, const struct item *item, int a,
                       int b) {
  const struct model *model = job->model;
  int width = model->width;
  for (int i = a; i < b; i++) {
    int64_t token = item->start + i;
    float *row = w->x + (ptrdiff_t)i * width;
    widen_row(&model->words, job->texts->ids[token], row);
    memset(row + model->hidden, 0, sizeof *row * (size_t)(width - model->hidden));
    const float *position = model->positions + (ptrdiff_t)job->texts->positions[token] * width;
    if (model->types) {
      int type = job->texts->types ? job->texts->types[token] : 0;
      const float *types = model->types + (ptrdiff_t)type * width;
      for (int k = 0; k < width; k++) row[k] += types[k];
    }
    for (int k = 0; k < width; k++) row[k] += position[k];
    job->kernels->normalise(row, model->hidden, width, model->norm, model->norm + width,
                            model->epsilon);
    int used = model->heads * model->head_size; /* attention writes no further */
    memset(w->mixed + (ptrdiff_t)i * model->mixed + used, 0,
           sizeof(float) * (size_t)(model->mixed - used));
  }
}

static void normalise_rows(const struct job *job, struct workspace *w, const float *norm, int a,
                           int b) {
  const struct model *model = job->model;
  for (int i = a; i < b; i++)
    job->kernels->normalise(w->x + (ptrdiff_t)i * model->width, model->hidden, model->width, norm,
                            norm + model->width, model->epsilon);
}

static void attend_all(const struct job *job, struct workspace *w, const struct item *item,
                       const struct seat *seat) {
  const struct model *model = job->model;
  const int32_t *lengths = job->texts->lengths + item->first;
  int heads = model->heads, unit = 0, row = 0;
  /* The same share of heads of every text: even, and right even for one text. */
  for (int i = 0; i < item->count; row += lengths[i++], unit += heads)
    for (int head = 0; head < heads; head++)
      if (mine(unit + head, seat))
        attend(job, w->big + (ptrdiff_t)row * 3 * model->mixed,
               w->mixed + (ptrdiff_t)row * model->mixed, lengths[i], head, seat->scratch);
}

static void finish_texts(const struct job *job, struct workspace *w, const struct item *item,
                         const struct seat *seat) {
  const struct model *model = job->model;
  int row = 0;
  for (int i = 0; i < item->count; i++) {
    int text = item->first + i, tokens = job->texts->lengths[text];
    const float *states = w->x + (ptrdiff_t)row * model->width;
    if (mine(i, seat)) {
      if (job->head)
        apply_head(job->head, states, model->width, model->hidden, tokens, job->skip,
                   seat->scratch, job->out + (ptrdiff_t)text * job->head->dim);
      else
        for (int t = 0; t < tokens; t++)
          memcpy(job->out + (item->start + row + t) * model->hidden,
                 states + (ptrdiff_t)t * model->width, sizeof(float) * (size_t)model->hidden);
    }
    row += tokens;
  }
}

static void run_item(const struct job *job, struct workspace *w, const struct item *item,
                     const struct seat *seat) {
  const struct model *model = job->model;
  int tokens = item->tokens, width = model->width;
  int a = from(tokens, seat), b = to(tokens, seat);
  embed_rows(job, w, item, a, b);
  quantise_rows(job, w, w->x, width, a, b);
  meet(seat->team);
  for (int l = 0; l < model->layer_count; l++) {
    const struct layer *layer = &model->layers[l];
    matrix_product(job, &layer->qkv, w, tokens, IDENTITY, NULL, w->big, seat);
    meet(seat->team);
    attend_all(job, w, item, seat);
    meet(seat->team);
    quantise_rows(job, w, w->mixed, model->mixed, a, b);
    meet(seat->team);
    matrix_product(job, &layer->mix, w, tokens, IDENTITY, w->x, w->x, seat);
    meet(seat->team);
    normalise_rows(job, w, layer->norms, a, b);
    quantise_rows(job, w, w->x, width, a, b);
    meet(seat->team);
    matrix_product(job, &layer->inner, w, tokens, model->activation, NULL, w->big, seat);
    meet(seat->team);
    quantise_rows(job, w, w->big, model->inner, a, b);
    meet(seat->team);
    matrix_product(job, &layer->outer, w, tokens, IDENTITY, w->x, w->x, seat);
    meet(seat->team);
    normalise_rows(job, w, layer->norms + 2 * (ptrdiff_t)width, a, b);
    quantise_rows(job, w, w->x, width, a, b);
    meet(seat->team);
  }
  finish_texts(job, w, item, seat);
  meet(seat->team);
}

static void work(void *context, struct team *team, int rank) {
  struct job *job = context;
  struct team of_one = {.size = 1};
  struct seat own = {&of_one, 0, job->scratch[rank]}, shared = {team, rank, job->scratch[rank]};
  for (int i; (i = atomic_fetch_add(&job->next, 1)) < job->alone;)
    run_item(job, &job->workspaces[rank], &job->items[i], &own);
  meet(team);
  for (int i = job->alone; i < job->item_count; i++)
    run_item(job, &job->workspaces[0], &job->items[i], &shared);
}

/* ------------------------------------------------------------- planning */

/* Items of about equal size, their number a multiple of the threads' where texts allow. */
static int plan(const struct texts *texts, int threads, struct item *items) {
  int64_t round = (int64_t)ITEM_TOKENS * threads;
  int64_t wanted = (texts->tokens + round - 1) / round * threads, start = 0;
  int n = 0;
  for (int i = 0; i < texts->count;) {
    struct item *item = &items[n++];
    *item = (struct item){.first = i, .start = start};
    int64_t mark = texts->tokens * n / wanted; /* where an even split would end */
    do start += texts->lengths[i++];
    while (i < texts->count && start + texts->lengths[i] / 2 < mark &&
           start + texts->lengths[i] - item->start <= 2 * ITEM_TOKENS);
    item->count = i - item->first;
    item->tokens = (int)(start - item->start);
  }
  return n;
}

static int worthwhile_threads(const struct model *model, int64_t tokens, int threads) {
  int64_t per_token = (int64_t)model->layer_count * model->width *
                      (4 * (int64_t)model->mixed + 2 * (int64_t)model->inner);
  int64_t most = 1 + tokens * per_token / WORTH_SHARING;
  return most < threads ? (int)most : threads;
}

/* Memory for all threads, each piece in one block so that freeing is one call. */
static int allocate(struct job *job, int threads, void **blocks) {
  const struct model *model = job->model;
  int tokens = 0, longest = 0, widest = model->inner > model->mixed ? model->inner : model->mixed;
  for (int i = 0; i < job->item_count; i++)
    if (job->items[i].tokens > tokens) tokens = job->items[i].tokens;
  for (int i = 0; i < job->texts->count; i++)
    if (job->texts->lengths[i] > longest) longest = job->texts->lengths[i];
  if (model->width > widest) widest = model->width;
  size_t n = (size_t)tokens, padded = (size_t)round_up(longest, PANEL);
  size_t big = (size_t)(3 * model->mixed > model->inner ? 3 * model->mixed : model->inner);
  size_t head = job->head ? 2 * (size_t)job->head->widest : 0;
  job->key_floats = padded * (size_t)model->head_size;
  size_t scratch = job->key_floats + MAX_TILE * padded;
  if (head > scratch) scratch = head;
  size_t sizes[] = {n * (size_t)model->width * 4, n * big * 4, n * (size_t)model->mixed * 4,
                    n * (size_t)widest * 2, n * 4, scratch * 4};
  size_t total = 0;
  for (int i = 0; i < 6; i++) total += sizes[i] = (sizes[i] + 127) / 64 * 64;
  for (int t = 0; t < threads; t++) {
    char *block = blocks[t] = aligned(total);
    if (!block) return -1;
    char *part[6];
    for (int i = 0; i < 6; block += sizes[i++]) part[i] = block;
    job->workspaces[t] = (struct workspace){(float *)part[0], (float *)part[1], (float *)part[2],
                                            (int16_t *)part[3], (float *)part[4]};
    job->scratch[t] = (float *)part[5];
  }
  return 0;
}

int encode_texts(const struct model *model, const struct head *head, const struct kernels *kernels,
                 const struct texts *texts, int skip, int threads, float *out) {
  if (texts->count == 0) return 0;
  threads = worthwhile_threads(model, texts->tokens, threads);
  struct job job = {.model = model, .head = head, .kernels = kernels, .texts = texts,
                    .skip = skip, .out = out};
  int failed = -1;
  void **blocks = calloc((size_t)threads, sizeof *blocks);
  job.items = calloc((size_t)texts->count, sizeof *job.items);
  job.workspaces = calloc((size_t)threads, sizeof *job.workspaces);
  job.scratch = calloc((size_t)threads, sizeof *job.scratch);
  if (blocks && job.items && job.workspaces && job.scratch) {
    job.item_count = plan(texts, threads, job.items);
    job.alone = job.item_count - job.item_count % threads;
    failed = allocate(&job, threads, blocks);
    if (!failed) run_team(work, &job, threads);
  }
  for (int t = 0; blocks && t < threads; t++) free(blocks[t]);
  free(blocks);
  free(job.items);
  free(job.workspaces);
  free(job.scratch);
  return failed;
}
