// An application's own unit test: a cache in memory, and a clock that it sets.
#include <larder/testing/fake_cache.h>

#include <chrono>
#include <iostream>

int main() {
  larder::testing::FakeCache cache;
  if (!cache.Set("k", "v", {.ttl = std::chrono::minutes(5)}).ok()) return 1;
  if (!cache.Get("k")->has_value()) return 2;
  cache.Advance(std::chrono::minutes(5));
  if (cache.Get("k")->has_value()) return 3;
  std::cout << "as expected\n";
  return 0;
}
