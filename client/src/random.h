// Randomness for jitter.
#ifndef LARDER_CLIENT_SRC_RANDOM_H_
#define LARDER_CLIENT_SRC_RANDOM_H_

#include <cstdint>
#include <random>

namespace larder::internal {

// 64 random bits; thread-safe. Not for secrets.
inline uint64_t RandomBits() {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return generator();
}

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_RANDOM_H_
