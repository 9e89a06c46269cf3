// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/ordered_work.h"

#include <doctest/doctest.h>

#include <stdexcept>

namespace dmaudit {
namespace {

struct Job {
  uint64_t in = 0;
  uint64_t out = 0;
};

TEST_CASE("results come in the order of the jobs, whatever the number of threads") {
  for (const unsigned threads : {1u, 2u, 3u, 8u}) {
    CAPTURE(threads);
    for (const uint64_t count : {uint64_t{0}, uint64_t{1}, uint64_t{4}, uint64_t{5000}}) {
      uint64_t taken = 0;
      bool in_order = true;
      unsigned workers = 0;
      OrderedWork<Job> work(
          threads,
          [&]() -> OrderedWork<Job>::Worker {
            ++workers;
            return [](Job& job) {
              if (job.in % 7 == 0) std::this_thread::yield();
              job.out = job.in * 3;
            };
          },
          [&](Job& job) {
            in_order = in_order && job.in == taken && job.out == taken * 3;
            ++taken;
            return true;
          });
      for (uint64_t i = 0; i < count; ++i) {
        work.Next().in = i;
        CHECK(work.Submit());
      }
      CHECK(work.Finish());
      CHECK(taken == count);
      CHECK(in_order);
      CHECK(workers == threads);
    }
  }
}

TEST_CASE("nothing is taken any more once the taker has had enough") {
  for (const unsigned threads : {1u, 2u}) {
    uint64_t taken = 0;
    OrderedWork<Job> work(
        threads, []() -> OrderedWork<Job>::Worker { return [](Job&) {}; },
        [&](Job&) { return ++taken < 3; });
    uint64_t submitted = 0;
    do {
      work.Next();
      ++submitted;
    } while (work.Submit() && submitted < 100);
    CHECK(submitted < 100);
    CHECK_FALSE(work.Finish());
    CHECK(taken == 3);
  }
}

TEST_CASE("what a worker throws arrives where the results are taken") {
  for (const unsigned threads : {1u, 2u}) {
    OrderedWork<Job> work(
        threads,
        []() -> OrderedWork<Job>::Worker {
          return [](Job& job) {
            if (job.in == 2) throw std::runtime_error("job 2");
          };
        },
        [](Job&) { return true; });
    const auto all = [&] {
      for (uint64_t i = 0; i < 4; ++i) {
        work.Next().in = i;
        work.Submit();
      }
      work.Finish();
    };
    CHECK_THROWS_WITH_AS(all(), "job 2", std::runtime_error);
  }
}

TEST_CASE("jobs that nobody waits for end with it") {
  uint64_t taken = 0;
  {
    OrderedWork<Job> work(
        2, []() -> OrderedWork<Job>::Worker { return [](Job&) {}; },
        [&](Job&) { return ++taken != 0; });
    work.Next();
    work.Submit();
  }
  CHECK(taken == 0);
}

}  // namespace
}  // namespace dmaudit
