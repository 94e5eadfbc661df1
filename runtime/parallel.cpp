// SPDX-License-Identifier: Apache-2.0
#include "parallel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "context.h"
#include "float_environment.h"
#include "workspace.h"

namespace halnorm {
namespace {

constexpr int32_t kMaxWorkers = 256;

// How often to look before going to sleep: some ten microseconds, the usual gap between the calls
// of one network, and less than putting a thread to sleep and waking it costs.
constexpr int kSpins = 1000;

// One call of parallel_for, on its caller's stack.
struct Job {
  Job(int64_t count_, halnorm_task run_, void *task_) : run(run_), task(task_), count(count_) {}

  const halnorm_task run;
  void *const task;
  const int64_t count;
  std::atomic<int64_t> next{0};     // the index to hand out
  std::atomic<int32_t> helpers{0};  // workers on it; only grows under the pool's mutex
  // Guarded by the pool's mutex:
  int32_t seats = 0;     // workers that may still join
  bool waiting = false;  // its caller sleeps until helpers is 0
  Job *newer = nullptr;  // in Pool::open
};

struct Pool {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t posted = PTHREAD_COND_INITIALIZER;    // a job was opened, or the pool stops
  pthread_cond_t finished = PTHREAD_COND_INITIALIZER;  // a job that is waited for has no helpers
  std::atomic<uint32_t> post_count{0};                 // what a spinning worker watches
  // Guarded by the mutex:
  Job *open = nullptr;  // jobs with seats left, oldest first
  int32_t workers = 0;
  int32_t sleeping = 0;
  bool stopping = false;
  pthread_t threads[kMaxWorkers] = {};
};

Pool pool;
std::atomic<bool> fork_handler_added{false};
std::atomic<int32_t> cpu_count{0};  // 0: not counted yet

class Lock {
 public:
  Lock() { pthread_mutex_lock(&pool.mutex); }
  ~Lock() { pthread_mutex_unlock(&pool.mutex); }
  Lock(const Lock &) = delete;
  Lock &operator=(const Lock &) = delete;
};

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// A fork copies the calling thread only, and the mutex as it happens to be: the child starts
// afresh.
void reset_pool_in_child() {
  pool.mutex = PTHREAD_MUTEX_INITIALIZER;
  pool.posted = PTHREAD_COND_INITIALIZER;
  pool.finished = PTHREAD_COND_INITIALIZER;
  pool.open = nullptr;
  pool.workers = 0;
  pool.sleeping = 0;
}

// Two threads may each add it: it does no more when it runs twice.
bool add_fork_handler() {
  if (fork_handler_added.load(std::memory_order_relaxed)) return true;
  if (pthread_atfork(nullptr, nullptr, reset_pool_in_child) != 0) return false;
  fork_handler_added.store(true, std::memory_order_relaxed);
  return true;
}

int32_t online_cpus() {
  int32_t count = cpu_count.load(std::memory_order_relaxed);
  if (count != 0) return count;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    count = CPU_COUNT(&allowed);
  } else {  // more CPUs than a cpu_set_t has bits
    count = static_cast<int32_t>(sysconf(_SC_NPROCESSORS_ONLN));
  }
  if (count < 1) count = 1;
  cpu_count.store(count, std::memory_order_relaxed);
  return count;
}

void drain(Job *job) {
  for (;;) {
    const int64_t index = job->next.fetch_add(1, std::memory_order_relaxed);
    if (index >= job->count) return;
    job->run(job->task, index);
  }
}

void open_job(Job *job) {
  Job **link = &pool.open;
  while (*link != nullptr) link = &(*link)->newer;
  *link = job;
  pool.post_count.fetch_add(1, std::memory_order_relaxed);
}

// From here on no worker joins it. A job may be closed more than once.
void close_job(Job *job) {
  for (Job **link = &pool.open; *link != nullptr; link = &(*link)->newer) {
    if (*link == job) {
      *link = job->newer;
      return;
    }
  }
}

// Called and left with the mutex held.
void wait_for_post() {
  const uint32_t seen = pool.post_count.load(std::memory_order_relaxed);
  pthread_mutex_unlock(&pool.mutex);
  for (int i = 0; i < kSpins && pool.post_count.load(std::memory_order_relaxed) == seen; ++i) {
    relax();
  }
  pthread_mutex_lock(&pool.mutex);
  if (pool.open != nullptr || pool.stopping) return;
  ++pool.sleeping;
  pthread_cond_wait(&pool.posted, &pool.mutex);
  --pool.sleeping;
}

void *worker(void *) {
  const FloatEnvironment environment;
  pthread_mutex_lock(&pool.mutex);
  while (!pool.stopping) {
    Job *job = pool.open;
    if (job == nullptr) {
      wait_for_post();
      continue;
    }
    if (--job->seats == 0) close_job(job);
    job->helpers.fetch_add(1, std::memory_order_relaxed);
    pthread_mutex_unlock(&pool.mutex);
    drain(job);
    pthread_mutex_lock(&pool.mutex);
    close_job(job);
    const bool waiting = job->waiting;
    // The job is gone as soon as its caller sees 0.
    if (job->helpers.fetch_sub(1, std::memory_order_release) == 1 && waiting) {
      pthread_cond_broadcast(&pool.finished);
    }
  }
  pthread_mutex_unlock(&pool.mutex);
  return nullptr;
}

// Called with the mutex held. Where a thread cannot be had, fewer do.
[[gnu::noinline]] void start_workers(int32_t wanted) {
  // Signals are for the application's threads, but for those that a thread's own fault raises.
  sigset_t blocked, before;
  sigfillset(&blocked);
  constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
  for (int fault : kFaults) sigdelset(&blocked, fault);
  if (pthread_sigmask(SIG_SETMASK, &blocked, &before) != 0) return;
  while (pool.workers < wanted &&
         pthread_create(&pool.threads[pool.workers], nullptr, worker, nullptr) == 0) {
    ++pool.workers;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// At exit, and where a shared object with halnorm in it is unloaded: no thread may be left in code
// that goes away.
[[gnu::destructor]] void stop_workers() {
  int32_t workers;
  {
    const Lock lock;
    pool.stopping = true;
    workers = pool.workers;
    pool.workers = 0;
    pthread_cond_broadcast(&pool.posted);
  }
  for (int32_t i = 0; i < workers; ++i) pthread_join(pool.threads[i], nullptr);
}

void wait_for_helpers(Job *job) {
  for (int i = 0; i < kSpins; ++i) {
    if (job->helpers.load(std::memory_order_acquire) == 0) return;
    relax();
  }
  const Lock lock;
  job->waiting = true;
  while (job->helpers.load(std::memory_order_acquire) != 0) {
    pthread_cond_wait(&pool.finished, &pool.mutex);
  }
}

void run_on_pool(Job *job, int32_t threads) {
  // A child of fork() could otherwise find the pool's mutex locked for ever.
  if (!add_fork_handler()) return drain(job);
  int32_t to_wake;
  {
    const Lock lock;
    job->seats = threads - 1;
    if (pool.workers < job->seats && !pool.stopping) start_workers(job->seats);
    open_job(job);
    to_wake = job->seats < pool.sleeping ? job->seats : pool.sleeping;
  }
  for (int32_t i = 0; i < to_wake; ++i) pthread_cond_signal(&pool.posted);
  drain(job);
  {
    const Lock lock;
    close_job(job);
  }
  wait_for_helpers(job);
}

// As tasks of the caller's pool:
void run_one(void *job, int64_t index) {
  const FloatEnvironment environment;
  static_cast<Job *>(job)->run(static_cast<Job *>(job)->task, index);
}

void run_share(void *job, int64_t) {
  const FloatEnvironment environment;
  drain(static_cast<Job *>(job));
}

}  // namespace

int32_t thread_limit(const halnorm_context *context) {
  const int32_t asked = context == nullptr ? 0 : context->num_threads;
  const int32_t threads = asked > 0 ? asked : online_cpus();
  const bool own_pool = context == nullptr || context->parallel_for == nullptr;
  return own_pool && threads > kMaxWorkers + 1 ? kMaxWorkers + 1 : threads;
}

int64_t threads_for(const halnorm_context *context, int64_t bytes, int32_t grain_kib) {
  const int64_t grains = bytes / (grain_kib > 0 ? int64_t{grain_kib} * 1024 : 1);
  const int64_t limit = thread_limit(context);
  return grains < 1 ? 1 : grains < limit ? grains : limit;
}

void parallel_for(const halnorm_context *context, int64_t count, halnorm_task run, void *task) {
  const bool callers_pool = context != nullptr && context->parallel_for != nullptr;
  const bool limited = context != nullptr && context->num_threads > 0;
  const int32_t limit = thread_limit(context);
  if (count == 1) return run(task, 0);
  Job job(count, run, task);
  if (!callers_pool) {
    run_on_pool(&job, count < limit ? static_cast<int32_t>(count) : limit);
    return;
  }
  const WorkspaceHold hold;
  if (limited && count > limit) {
    context->parallel_for(context->pool, limit, run_share, &job);
  } else {
    context->parallel_for(context->pool, count, run_one, &job);
  }
}

}  // namespace halnorm
