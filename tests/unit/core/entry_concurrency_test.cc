#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "core/entry.h"

namespace larder {
namespace {

// The last reference is dropped on whichever thread that is, after all reads of the others.
TEST(EntryConcurrencyTest, LastThreadFrees) {
  for (int round = 0; round < 200; ++round) {
    EntryRef entry = Entry::Create({.version = 5}, "t", "value");
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < 4; ++i) {
      threads.emplace_back([copy = entry, i] {
        for (int j = 0; j < 20; ++j) {
          const EntryRef mine = copy;
          mine->set_verdict(i);
          EXPECT_EQ(mine->value(), "value");
          EXPECT_LT(mine->verdict(), 4u);
        }
      });
    }
    entry = nullptr;
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace larder
