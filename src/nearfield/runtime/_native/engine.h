/* The native engine: what its files share.
 *
 *   module.c, views.h   Python's door: checks every number before it is used
 *   model.c             weights of a model, quantised and laid out for the kernels
 *   forward.c           texts through the encoder
 *   attention.c         what a token takes from the others
 *   head.c              token states to vectors: pooling, dense heads, normalising
 *   threads.c           the pool of threads
 *   dispatch.c          which kernels this processor can run
 *   kernels_*.c         the inner loops, one file per instruction set
 *   products_8_avx2.h   AVX2's products of 8-bit numbers
 *   vectors_256.h       vectors of 256 bits, shared by the two sets that have no longer ones
 *   float_kernels.h     the loops over floats, shared by all of those files
 *   products.h          the loops around their tiles of integer products
 */
#ifndef NEARFIELD_ENGINE_H
#define NEARFIELD_ENGINE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define PANEL 16      /* columns of a weight panel */
#define GROUP 32      /* columns that one thread takes at a time: two panels */
#define MAX_ROWS 12   /* most rows of a float product in any instruction set */
#define BLOCK 384     /* inputs that share a scale, with numbers of 16 bits */

static inline int round_up(int n, int step) { return (n + step - 1) / step * step; }

/* ------------------------------------------------------------- kernels */

enum activation { IDENTITY, GELU, GELU_TANH, RELU };

/* One row of W times many columns: y = act(x W^T + bias) + residual.
 * weight: panels of PANEL outputs; in a panel, those inputs together that fill 32 bits, n of
 * them: [inputs / n][PANEL][n]. */
struct linear {
  int outputs, inputs; /* multiples of GROUP */
  char *weight;
  float *scale;        /* [blocks][outputs] */
  int32_t *own;        /* [blocks][outputs] what a tile takes off, where the kernels do */
  float *bias;         /* per output */
};

/* Rows of x as whole numbers, and where their product with a matrix goes. */
struct product {
  const struct linear *linear;
  const char *q;       /* [rows][inputs] */
  const float *scale;  /* [blocks][rows] */
  const int32_t *own;  /* [blocks][rows] what a tile takes off, where the kernels do */
  int rows;
  enum activation activation;
  const float *residual; /* [rows][outputs], or NULL */
  float *y;              /* [rows][outputs] */
};

struct kernels {
  const char *name;
  int float_rows;              /* of float products */
  int bytes;                   /* of a whole number: 2, or 1 for those who asked for less */
  int block;                   /* inputs that share a scale; products of more add as floats */
  float most_x, most_weight;   /* the largest whole number a row of x, or of weights, may hold */
  /* y = act(x W^T + bias) + residual for all rows of x and columns in groups a .. b - 1. */
  void (*product)(const struct product *product, int a, int b);
  /* What a tile takes off, known from a block of a row of x, or of weights, alone. NULL where
   * nothing is. */
  int32_t (*own_x)(const void *q, int width), (*own_weight)(const void *q, int width);
  /* One block of a row to whole numbers up to `largest`; NaN or infinity makes the scale NaN. */
  void (*quantise)(const float *x, int width, float largest, void *q, float *scale);
  void (*quantise_weight)(const float *x, int width, float largest, void *q, float *scale);
  /* One row to mean 0 and variance 1 over `hidden`; beyond it, up to width, all is 0. */
  void (*normalise)(float *x, int hidden, int width, const float *weight, const float *bias,
                    float epsilon);
  /* c = row_scale * (a b), row_scale may be NULL; columns are a multiple of PANEL. */
  void (*multiply)(const float *a, ptrdiff_t lda, const float *b, ptrdiff_t ldb, int depth,
                   const float *row_scale, float *c, ptrdiff_t ldc, int rows, int columns);
  /* exp(score + bias - max) in place, bias may be NULL; gives 1 / sum. */
  float (*softmax)(float *scores, int length, const float *bias);
  /* to[i * ldt + j] = from[j * ldf + i] for i < columns, j < rows; up to the next
   * multiple of PANEL of rows it writes zeros. */
  void (*transpose)(const float *from, ptrdiff_t ldf, int rows, int columns, float *to,
                    ptrdiff_t ldt);
};

/* Blocks of a row of so many numbers, and how many numbers one of them has. */
static inline int blocks_of(const struct kernels *kernels, int inputs) {
  return (inputs + kernels->block - 1) / kernels->block;
}
static inline int block_width(const struct kernels *kernels, int inputs, int block) {
  int left = inputs - block * kernels->block;
  return left < kernels->block ? left : kernels->block;
}

/* All kernel sets this processor can run, best first, then NULL. */
const struct kernels *const *available_kernels(void);
extern const struct kernels portable_kernels;
#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86_KERNELS 1
extern const struct kernels avx2_kernels, avx2_int8_kernels;
extern const struct kernels avx512_kernels, avx512_int8_kernels;
#if defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11 /* older ones do not know it */
#define HAVE_AVXVNNI_KERNELS 1
extern const struct kernels avxvnni_kernels;
#endif
#endif
#if defined(__aarch64__) && defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HAVE_NEON_KERNELS 1
extern const struct kernels neon_kernels;
#if defined(__clang__) ? __clang_major__ >= 16 : __GNUC__ >= 8 /* older ones do not know it */
#define HAVE_DOTPROD_KERNELS 1
extern const struct kernels neon_int8_kernels;
#endif
#endif

/* ------------------------------------------------------------- threads */

/* A job is run by a team: the caller's thread leads, threads of the pool help. Each runs
 * the same task. Nobody waits for a helper that has not come yet: on a busy machine the
 * leader simply does more of the work. */
struct team;
typedef void (*team_task)(void *context, struct team *team, int rank);
typedef void (*team_step)(void *context, int piece, int rank);
struct team {
  int size, leader;
  team_step step; /* the present step, its pieces still to be claimed, and those done */
  void *context;
  atomic_int left, done, closed;
};

/* Run a task on up to `threads` threads, the caller's among them as rank 0. A pool that is
 * busy with another caller's job is not waited for: then the caller's thread runs alone. */
void run_team(team_task task, void *context, int threads);
/* For the leader: run all pieces of a step, on all who are there, and wait for the last. */
void spread(struct team *team, team_step step, void *context, int pieces);
/* For the others: take pieces of steps until the leader dismisses the team. */
void help(struct team *team, int rank);
void dismiss(struct team *team);
/* Where part `rank` of `size` even parts of `count` begins. */
static inline int share(int count, int rank, int size) {
  return (int)((int64_t)count * rank / size);
}

/* --------------------------------------------------------------- model */

enum number { FLOAT32, FLOAT64, FLOAT16, BFLOAT16, INT16, INT8 };

/* Rows of numbers as a file holds them; scale per row only for whole numbers. */
struct table {
  enum number number;
  const void *rows;
  const float *scale;
  int count, width;
};
void widen_row(const struct table *table, int row, float *to);

struct layer {
  struct linear qkv, mix, inner, outer;
  char *weights; /* of all four, in one block */
  float *norms; /* attention norm weight, bias, output norm weight, bias: width each */
};

struct model {
  const struct kernels *kernels;              /* its weights are laid out for these */
  int hidden, heads, intermediate;            /* as the configuration says */
  int width, head_size, mixed, inner;         /* padded: of a state, a head, all heads, ff */
  int layer_count, layers_built, reach;       /* reach: largest distance in `distance` */
  enum activation activation;
  float epsilon;
  struct table words;
  int position_count, type_count;
  float *positions, *types;                   /* [count][width]; types may be NULL */
  float *norm;                                /* embedding norm weight, bias */
  float *distance;                            /* [heads][2 reach + 1] or NULL */
  struct layer *layers;
};

/* A layer's parts as they come from the file, in this order. */
enum part { QUERY, KEY, VALUE, MIX, INNER, OUTER, PARTS };
struct layer_source {
  struct table weight[PARTS];
  const float *bias[PARTS];
  const float *norm[4];
};
enum build_error { BUILT, OUT_OF_MEMORY, NOT_FINITE };
enum build_error build_layer(struct model *model, const struct layer_source *source, int threads);
void free_model(struct model *model);
void *aligned(size_t bytes);

/* ---------------------------------------------------------------- head */

enum pooling { POOL_CLS, POOL_MEAN, POOL_MAX, POOL_MEAN_SQRT_LEN, POOL_WEIGHTED, POOL_LAST };
enum head_activation { HEAD_IDENTITY, HEAD_TANH, HEAD_RELU, HEAD_SIGMOID, HEAD_GELU };
#define MAX_POOLINGS 6

struct dense {
  int inputs, outputs;
  float *weight, *bias; /* weight [inputs][outputs] */
  enum head_activation activation;
};
struct head {
  int hidden, poolings, dense_count, dim, widest, normalise;
  enum pooling pooling[MAX_POOLINGS];
  struct dense *dense;
};
/* scratch: 2 * widest floats. */
void apply_head(const struct head *head, const float *states, ptrdiff_t stride, int hidden,
                int tokens, int skip, float *scratch, float *vector);
void free_head(struct head *head);

/* ----------------------------------------------------------- attention */

/* softmax(Q K^T + bias) V of a head, for `count` tokens of a text from `first` on. Rows of
 * queries, keys and values stand side by side, 3 * mixed numbers apart; `query` and `out` are the
 * first token's, qkv the text's. Queries come scaled from their matrix.
 * scratch: round_up(tokens, PANEL) * (head_size + MAX_ROWS) floats. */
void attend_head(const struct model *model, int head, const float *query, const float *qkv,
                 int tokens, int first, int count, float *scratch, float *out);

/* ------------------------------------------------------------- forward */

/* Texts laid end to end. Vectors go to `out` [texts][head->dim], or without a head
 * the states go there, [tokens][hidden]. Gives 0, or -1 when memory is short. */
struct texts {
  const int32_t *ids, *positions, *types, *lengths; /* types may be NULL */
  int count;
  int64_t tokens;
};
int encode_texts(const struct model *model, const struct head *head, const struct texts *texts,
                 int skip, int threads, float *out);

#endif
