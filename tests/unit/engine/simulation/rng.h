#ifndef LARDER_TESTS_UNIT_ENGINE_SIMULATION_RNG_H_
#define LARDER_TESTS_UNIT_ENGINE_SIMULATION_RNG_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "server/engine/version_source.h"

namespace larder::simulation {

// The same numbers from the same seed on every machine, which the distributions of <random> do not promise.
class Rng {
 public:
  explicit Rng(uint64_t seed) : source_(seed) {}

  uint64_t Next() { return source_.Next(); }
  size_t Below(size_t end) { return static_cast<size_t>((Next() >> 16) % end); }
  bool Chance(int percent) { return Below(100) < static_cast<size_t>(percent); }

  template <typename T>
  T OneOf(std::initializer_list<T> choices) {
    return choices.begin()[Below(choices.size())];
  }

 private:
  VersionSource source_;
};

}  // namespace larder::simulation

#endif  // LARDER_TESTS_UNIT_ENGINE_SIMULATION_RNG_H_
