// SPDX-License-Identifier: GPL-2.0-or-later
// OrderedWork: jobs done on several threads, their results taken in the order in which the jobs
// were handed in.
#ifndef DMAUDIT_BASE_ORDERED_WORK_H_
#define DMAUDIT_BASE_ORDERED_WORK_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace dmaudit {

// Threads that can run at once, at least 1.
inline unsigned AvailableThreads() {
  const unsigned count = std::thread::hardware_concurrency();
  return count == 0 ? 1 : count;
}

// One thread hands jobs in and takes results; the work itself is done on `threads` others (on the
// same one when `threads` is 1). A fixed number of jobs exists, and they are used again and again:
// memory does not grow with the work. Locks are taken once per job, so a job should be worth it.
template <typename Job>
class OrderedWork {
 public:
  using Worker = std::function<void(Job&)>;

  // `make_worker` is called once for each thread, by the caller's thread: what it captures is that
  // thread's own. `take` gets finished jobs in order, on the caller's thread; false ends it all.
  OrderedWork(unsigned threads, const std::function<Worker()>& make_worker,
              std::function<bool(Job&)> take)
      : take_(std::move(take)) {
    if (threads <= 1) {
      alone_ = make_worker();
      slots_.resize(1);
      return;
    }
    slots_.resize(size_t{threads} * kJobsPerThread);
    std::vector<Worker> workers;
    for (unsigned i = 0; i < threads; ++i) workers.push_back(make_worker());
    try {
      for (Worker& worker : workers) {
        threads_.emplace_back([this, own = std::move(worker)] { Run(own); });
      }
    } catch (...) {
      Stop();
      throw;
    }
  }
  ~OrderedWork() { Stop(); }
  OrderedWork(const OrderedWork&) = delete;
  OrderedWork& operator=(const OrderedWork&) = delete;

  // The job to fill next, as it was left by an earlier use.
  Job& Next() {
    // A full ring: the oldest job has to go first.
    if (submitted_ - taken_ == slots_.size()) TakeOldest();
    return slots_[submitted_ % slots_.size()].job;
  }

  // Hands in the job that Next() gave. False once `take` has returned false.
  bool Submit() {
    Slot& slot = slots_[submitted_ % slots_.size()];
    if (alone_) {
      ++submitted_;
      ++taken_;
      if (go_on_) alone_(slot.job);
      go_on_ = go_on_ && take_(slot.job);
      return go_on_;
    }
    {
      const std::lock_guard lock(mutex_);
      slot.done = false;
      ++submitted_;
    }
    work_.notify_one();
    return go_on_;
  }

  // Waits for all jobs; false when `take` has returned false.
  bool Finish() {
    while (taken_ < submitted_) TakeOldest();
    return go_on_;
  }

 private:
  // Enough that nobody waits for a neighbour's slow job.
  static constexpr size_t kJobsPerThread = 4;

  struct Slot {
    Job job;
    bool done = false;
    std::exception_ptr failure;
  };

  void TakeOldest() {
    Slot& slot = slots_[taken_ % slots_.size()];
    {
      std::unique_lock lock(mutex_);
      done_.wait(lock, [&slot] { return slot.done; });
    }
    ++taken_;
    if (slot.failure) std::rethrow_exception(std::exchange(slot.failure, nullptr));
    go_on_ = go_on_ && take_(slot.job);
  }

  void Run(const Worker& worker) {
    std::unique_lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [this] { return stop_ || begun_ < submitted_; });
      if (stop_) return;
      Slot& slot = slots_[begun_++ % slots_.size()];
      lock.unlock();
      // An exception must reach the thread that waits.
      try {
        worker(slot.job);
      } catch (...) {
        slot.failure = std::current_exception();
      }
      lock.lock();
      slot.done = true;
      done_.notify_one();
    }
  }

  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  std::function<bool(Job&)> take_;
  Worker alone_;
  std::vector<Slot> slots_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  uint64_t submitted_ = 0;  // written by the caller's thread under the lock
  uint64_t begun_ = 0;      // under the lock
  uint64_t taken_ = 0;      // the caller's thread only
  bool stop_ = false;
  bool go_on_ = true;
  std::vector<std::thread> threads_;
};

}  // namespace dmaudit

#endif  // DMAUDIT_BASE_ORDERED_WORK_H_
