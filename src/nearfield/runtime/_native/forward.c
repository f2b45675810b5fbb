/* Texts through the encoder.
 *
 * Texts are laid end to end without padding and cut into items of about ITEM_TOKENS
 * tokens. Each thread takes whole items; those left over, fewer than threads, are run one
 * at a time by all threads, which share out the rows, columns or heads of each step.
 * Neither changes a bit of the result: every number is computed from its own row and
 * column alone, in an order fixed by the model.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#define ITEM_TOKENS 128 /* fewer read the weights oftener, more leave the caches */
#define WORTH_SHARING 20000000 /* multiplications below which waking a thread costs more */

struct workspace {
  float *x;          /* [tokens][width]   the residual stream */
  float *big;        /* [tokens][3 mixed] queries, keys, values; or [tokens][inner] */
  float *mixed;      /* [tokens][mixed]   what attention gathered */
  char *q;           /* [tokens][widest]  the present matrix product's input */
  float *scale;      /* [blocks][tokens]  the scales of its rows' blocks */
  int32_t *own;      /* [blocks][tokens]  what tiles take off for them, where the kernels do */
};

struct item {
  int first, count; /* texts */
  int64_t start;    /* first token */
  int tokens;
};

struct job {
  const struct model *model;
  const struct head *head;
  const struct texts *texts;
  int skip;
  float *out;
  struct item *items;
  int item_count, alone;        /* items that one thread runs alone; the rest all run together */
  struct workspace *workspaces; /* per thread; the first serves for items run together */
  float **scratch;              /* per thread: attention and head */
  atomic_int next;
};

/* ---------------------------------------------------------------- steps */

/* An item on its way through the encoder. */
struct run {
  const struct job *job;
  const struct model *model;
  const struct kernels *kernels;
  const struct item *item;
  const struct layer *layer;
  struct workspace *w;
  struct team *team;
  int rows; /* steps work on so many: all tokens, or, once one of each text is kept, texts */
  int kept;
};

/* A step works on units a .. b - 1 of something: rows, groups of columns, heads, texts. */
typedef void (*step)(const struct run *run, int a, int b, float *scratch);

struct shared_step {
  const struct run *run;
  step step;
  int units, pieces;
};

static void run_piece(void *context, int piece, int rank) {
  const struct shared_step *s = context;
  s->step(s->run, share(s->units, piece, s->pieces), share(s->units, piece + 1, s->pieces),
          s->run->job->scratch[rank]);
}

/* Run a step on all its units, in pieces of at least `least` units where a team shares it. */
static void all(const struct run *run, step step, int units, int least) {
  int pieces = units / least, most = run->team->size == 1 ? 1 : 4 * run->team->size;
  if (pieces > most) pieces = most;
  if (pieces < 1) pieces = 1;
  struct shared_step shared = {run, step, units, pieces};
  spread(run->team, run_piece, &shared, pieces);
}

static void quantise_row(const struct run *run, const float *x, int width, int row) {
  const struct kernels *kernels = run->kernels;
  for (int b = 0; b < blocks_of(kernels, width); b++) {
    ptrdiff_t at = (ptrdiff_t)row * width + b * kernels->block;
    ptrdiff_t block = (ptrdiff_t)b * run->rows + row;
    char *q = run->w->q + at * kernels->bytes;
    int numbers = block_width(kernels, width, b);
    kernels->quantise(x + at, numbers, kernels->most_x, q, run->w->scale + block);
    if (kernels->own_x) run->w->own[block] = kernels->own_x(q, numbers);
  }
}

/* y = act(x W^T + bias) + residual for groups a..b of columns. */
static void matrix_product(const struct run *run, const struct linear *linear,
                           enum activation activation, const float *residual, float *y, int a,
                           int b) {
  struct product product = {.linear = linear, .q = run->w->q, .scale = run->w->scale,
                            .own = run->w->own, .rows = run->rows,
                            .activation = activation, .residual = residual, .y = y};
  run->kernels->product(&product, a, b);
}

static void embed(const struct run *run, int a, int b, float *scratch) {
  (void)scratch;
  const struct model *model = run->model;
  const struct texts *texts = run->job->texts;
  int width = model->width, used = model->heads * model->head_size;
  for (int i = a; i < b; i++) {
    int64_t token = run->item->start + i;
    float *row = run->w->x + (ptrdiff_t)i * width;
    widen_row(&model->words, texts->ids[token], row);
    memset(row + model->hidden, 0, sizeof *row * (size_t)(width - model->hidden));
    const float *position = model->positions + (ptrdiff_t)texts->positions[token] * width;
    if (model->types) {
      int kind = texts->types ? texts->types[token] : 0;
      const float *type = model->types + (ptrdiff_t)kind * width;
      for (int k = 0; k < width; k++) row[k] += type[k];
    }
    for (int k = 0; k < width; k++) row[k] += position[k];
    run->kernels->normalise(row, model->hidden, width, model->norm, model->norm + width,
                            model->epsilon);
    quantise_row(run, run->w->x, width, i);
    /* Attention writes no further than its heads reach. */
    memset(run->w->mixed + (ptrdiff_t)i * model->mixed + used, 0,
           sizeof(float) * (size_t)(model->mixed - used));
  }
}

static void project(const struct run *run, int a, int b, float *scratch) {
  (void)scratch;
  matrix_product(run, &run->layer->qkv, IDENTITY, NULL, run->w->big, a, b);
}

/* Keys and values alone. */
static void project_onwards(const struct run *run, int a, int b, float *scratch) {
  int queries = run->model->mixed / GROUP;
  project(run, queries + a, queries + b, scratch);
}

/* The place in a text of the only token that its vector comes from. */
static int only_token(const struct run *run, int text) {
  return run->job->head->pooling[0] == POOL_CLS ? 0 : run->job->texts->lengths[text] - 1;
}

/* Whether each text's vector comes from one token, so that the last layer need only give that
 * one's state. A text of no tokens has none. */
static int comes_from_one(const struct run *run) {
  const struct head *head = run->job->head;
  if (!head || (head->pooling[0] != POOL_CLS && head->pooling[0] != POOL_LAST)) return 0;
  for (int i = 1; i < head->poolings; i++)
    if (head->pooling[i] != head->pooling[0]) return 0;
  for (int i = 0; i < run->item->count; i++)
    if (!run->job->texts->lengths[run->item->first + i]) return 0;
  return 1;
}

/* Move the rows that are kept to the front; all in one piece. */
static void keep(const struct run *run, int a, int b, float *scratch) {
  (void)a, (void)b, (void)scratch;
  int width = run->model->width;
  ptrdiff_t row = 0;
  for (int i = 0; i < run->item->count; i++) {
    int text = run->item->first + i;
    memmove(run->w->x + (ptrdiff_t)i * width, run->w->x + (row + only_token(run, text)) * width,
            sizeof(float) * (size_t)width);
    quantise_row(run, run->w->x, width, i);
    row += run->job->texts->lengths[text];
  }
}

static void attend(const struct run *run, int a, int b, float *scratch) {
  const struct model *model = run->model;
  const int32_t *lengths = run->job->texts->lengths + run->item->first;
  ptrdiff_t row = 0;
  for (int i = 0; i < run->item->count; row += lengths[i++]) {
    ptrdiff_t at = run->kept ? i : row; /* of its first query, and of what it gathers */
    int first = run->kept ? only_token(run, run->item->first + i) : 0;
    for (int head = a; head < b; head++)
      attend_head(model, head, run->w->big + at * 3 * model->mixed,
                  run->w->big + row * 3 * model->mixed, lengths[i], first,
                  run->kept ? 1 : lengths[i], scratch, run->w->mixed + at * model->mixed);
  }
}

static void quantise_mixed(const struct run *run, int a, int b, float *scratch) {
  (void)scratch;
  for (int i = a; i < b; i++) quantise_row(run, run->w->mixed, run->model->mixed, i);
}

static void mix(const struct run *run, int a, int b, float *scratch) {
  (void)scratch;
  matrix_product(run, &run->layer->mix, IDENTITY, run->w->x, run->w->x, a, b);
}

static void normalise(const struct run *run, const float *norm, int a, int b) {
  const struct model *model = run->model;
  for (int i = a; i < b; i++) {
    run->kernels->normalise(run->w->x + (ptrdiff_t)i * model->width, model->hidden, model->width,
                            norm, norm + model->width, model->epsilon);
    quantise_row(run, run->w->x, model->width, i);
  }
}

static void normalise_attention(const struct run *run, int a, int b, float *scratch) {
  (void)scratch;
  normalise(run, run->layer->norms, a, b);
}

static void widen_inside(const struct run *run, int a, int b, float *scratch) {
  (void)scratch;
  matrix_product(run, &run->layer->inner, run->model->activation, NULL, run->w->big, a, b);
}

static void quantise_inside(const struct run *run, int a, int b, float *scratch) {
  (void)scratch;
  for (int i = a; i < b; i++) quantise_row(run, run->w->big, run->model->inner, i);
}

static void narrow_again(const struct run *run, int a, int b, float *scratch) {
  (void)scratch;
  matrix_product(run, &run->layer->outer, IDENTITY, run->w->x, run->w->x, a, b);
}

static void normalise_output(const struct run *run, int a, int b, float *scratch) {
  (void)scratch;
  normalise(run, run->layer->norms + 2 * (ptrdiff_t)run->model->width, a, b);
}

static void finish(const struct run *run, int a, int b, float *scratch) {
  const struct model *model = run->model;
  const struct job *job = run->job;
  int row = 0;
  for (int i = 0; i < b; i++) {
    int text = run->item->first + i, tokens = job->texts->lengths[text];
    const float *states = run->w->x + (ptrdiff_t)(run->kept ? i : row) * model->width;
    if (i >= a && job->head)
      apply_head(job->head, states, model->width, model->hidden, run->kept ? 1 : tokens,
                 run->kept ? tokens <= job->skip : job->skip, scratch,
                 job->out + (ptrdiff_t)text * job->head->dim);
    if (i >= a && !job->head)
      for (int t = 0; t < tokens; t++)
        memcpy(job->out + (run->item->start + row + t) * model->hidden,
               states + (ptrdiff_t)t * model->width, sizeof(float) * (size_t)model->hidden);
    row += tokens;
  }
}

#define LEAST_ROWS 8

static void run_item(const struct job *job, struct workspace *w, const struct item *item,
                     struct team *team) {
  const struct model *model = job->model;
  struct run run = {.job = job, .model = model, .kernels = model->kernels, .item = item, .w = w,
                    .team = team, .rows = item->tokens};
  all(&run, embed, run.rows, LEAST_ROWS);
  for (int l = 0; l < model->layer_count; l++) {
    run.layer = &model->layers[l];
    int groups = run.layer->qkv.outputs / GROUP;
    if (l == model->layer_count - 1 && comes_from_one(&run)) {
      groups = model->mixed / GROUP;
      all(&run, project_onwards, 2 * groups, 1);
      run.rows = item->count;
      run.kept = 1;
      all(&run, keep, 1, 1);
    }
    all(&run, project, groups, 1);
    all(&run, attend, model->heads, 1);
    all(&run, quantise_mixed, run.rows, LEAST_ROWS);
    all(&run, mix, run.layer->mix.outputs / GROUP, 1);
    all(&run, normalise_attention, run.rows, LEAST_ROWS);
    all(&run, widen_inside, run.layer->inner.outputs / GROUP, 1);
    all(&run, quantise_inside, run.rows, LEAST_ROWS);
    all(&run, narrow_again, run.layer->outer.outputs / GROUP, 1);
    all(&run, normalise_output, run.rows, LEAST_ROWS);
  }
  all(&run, finish, item->count, 1);
}

static void work(void *context, struct team *team, int rank) {
  struct job *job = context;
  struct team of_one = {.size = 1, .leader = rank};
  for (int i; (i = atomic_fetch_add(&job->next, 1)) < job->alone;)
    run_item(job, &job->workspaces[rank], &job->items[i], &of_one);
  if (rank > 0) {
    help(team, rank);
    return;
  }
  for (int i = job->alone; i < job->item_count; i++)
    run_item(job, &job->workspaces[0], &job->items[i], team);
  dismiss(team);
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
  size_t scratch = padded * (size_t)(model->head_size + MAX_ROWS);
  if (head > scratch) scratch = head;
  size_t scales = n * (size_t)blocks_of(model->kernels, widest);
  size_t sizes[] = {n * (size_t)model->width * 4, n * big * 4, n * (size_t)model->mixed * 4,
                    n * (size_t)(widest * model->kernels->bytes), scales * 4, scales * 4,
                    scratch * 4};
  size_t total = 0;
  for (int i = 0; i < 7; i++) total += sizes[i] = (sizes[i] + 127) / 64 * 64;
  for (int t = 0; t < threads; t++) {
    char *block = blocks[t] = aligned(total);
    if (!block) return -1;
    char *part[7];
    for (int i = 0; i < 7; block += sizes[i++]) part[i] = block;
    job->workspaces[t] = (struct workspace){(float *)part[0], (float *)part[1], (float *)part[2],
                                            part[3], (float *)part[4],
                                            (int32_t *)part[5]};
    job->scratch[t] = (float *)part[6];
  }
  return 0;
}

int encode_texts(const struct model *model, const struct head *head, const struct texts *texts,
                 int skip, int threads, float *out) {
  if (texts->count == 0) return 0;
  threads = worthwhile_threads(model, texts->tokens, threads);
  struct job job = {.model = model, .head = head, .texts = texts, .skip = skip, .out = out};
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
