/* A pool of threads, made on first use, made anew in a forked child, joined at exit. */
#include "engine.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#define RELAX() _mm_pause()
#else
#define RELAX() ((void)0)
#endif

#define MAX_THREADS 256
#define SPINS 4000 /* some microseconds: a step ends sooner, or others need the core */

static struct {
  pthread_mutex_t lock, job_lock;
  pthread_cond_t wake, done;
  pthread_t threads[MAX_THREADS];
  int count, running, open, stop;
  unsigned job;           /* number of the present job */
  team_task task;
  void *context;
  struct team team;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .job_lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void wait_a_little(int *spins) {
  if (++*spins < SPINS) RELAX();
  else sched_yield();
}

/* Claim pieces of the present step until there are none. A claim is what keeps the step
 * open: the leader publishes no other before all claimed pieces are done. */
static void take_pieces(struct team *team, int rank) {
  while (atomic_load_explicit(&team->left, memory_order_relaxed) > 0) {
    int piece = atomic_fetch_sub_explicit(&team->left, 1, memory_order_acquire) - 1;
    if (piece < 0) return;
    team->step(team->context, piece, rank);
    atomic_fetch_add_explicit(&team->done, 1, memory_order_release);
  }
}

void spread(struct team *team, team_step step, void *context, int pieces) {
  if (pieces == 1 || team->size == 1) {
    for (int piece = 0; piece < pieces; piece++) step(context, piece, team->leader);
    return;
  }
  team->step = step;
  team->context = context;
  atomic_store_explicit(&team->done, 0, memory_order_relaxed);
  atomic_store_explicit(&team->left, pieces, memory_order_release);
  take_pieces(team, team->leader);
  for (int spins = 0; atomic_load_explicit(&team->done, memory_order_acquire) < pieces;)
    wait_a_little(&spins);
}

void help(struct team *team, int rank) {
  for (int spins = 0; !atomic_load_explicit(&team->closed, memory_order_acquire);) {
    if (atomic_load_explicit(&team->left, memory_order_relaxed) > 0) {
      take_pieces(team, rank);
      spins = 0;
    }
    wait_a_little(&spins);
  }
}

void dismiss(struct team *team) { atomic_store_explicit(&team->closed, 1, memory_order_release); }

static void *worker(void *rank_pointer) {
  int rank = (int)(intptr_t)rank_pointer;
  unsigned seen = 0;
  pthread_mutex_lock(&pool.lock);
  while (!pool.stop) {
    if (pool.job == seen || !pool.open || rank >= pool.team.size) {
      seen = pool.job;
      pthread_cond_wait(&pool.wake, &pool.lock);
      continue;
    }
    seen = pool.job;
    pool.running++;
    pthread_mutex_unlock(&pool.lock);
    pool.task(pool.context, &pool.team, rank);
    pthread_mutex_lock(&pool.lock);
    if (--pool.running == 0) pthread_cond_signal(&pool.done);
  }
  pthread_mutex_unlock(&pool.lock);
  return NULL;
}

static void forget_in_child(void) {
  /* The threads are gone and the locks may have been held: start afresh. */
  pthread_mutex_init(&pool.lock, NULL);
  pthread_mutex_init(&pool.job_lock, NULL);
  pthread_cond_init(&pool.wake, NULL);
  pthread_cond_init(&pool.done, NULL);
  pool.count = pool.running = pool.open = pool.stop = 0;
  pool.job = 0;
}

static void join_at_exit(void) {
  pthread_mutex_lock(&pool.lock);
  pool.stop = 1;
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.lock);
  for (int i = 0; i < pool.count; i++) pthread_join(pool.threads[i], NULL);
  pool.count = 0;
}

static void set_up(void) {
  pthread_atfork(NULL, NULL, forget_in_child);
  atexit(join_at_exit);
}

static void run_alone(team_task task, void *context) {
  struct team alone = {.size = 1};
  task(context, &alone, 0);
}

void run_team(team_task task, void *context, int threads) {
  if (threads > MAX_THREADS) threads = MAX_THREADS;
  if (threads > 1) pthread_once(&once, set_up);
  if (threads <= 1 || pthread_mutex_trylock(&pool.job_lock)) {
    run_alone(task, context);
    return;
  }
  pthread_mutex_lock(&pool.lock);
  while (!pool.stop && pool.count < threads - 1 &&
         !pthread_create(&pool.threads[pool.count], NULL, worker,
                         (void *)(intptr_t)(pool.count + 1)))
    pool.count++;
  int size = pool.stop ? 1 : threads < pool.count + 1 ? threads : pool.count + 1;
  pool.task = task;
  pool.context = context;
  pool.team.size = size;
  atomic_store(&pool.team.left, 0);
  atomic_store(&pool.team.closed, 0);
  pool.open = 1;
  pool.job++;
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.lock);
  task(context, &pool.team, 0);
  pthread_mutex_lock(&pool.lock);
  pool.open = 0; /* a thread that has not come by now is not waited for */
  while (pool.running > 0) pthread_cond_wait(&pool.done, &pool.lock);
  pthread_mutex_unlock(&pool.lock);
  pthread_mutex_unlock(&pool.job_lock);
}
