// Random numbers that must not repeat between processes.
#ifndef LARDER_SERVER_STORE_RANDOM_BITS_H_
#define LARDER_SERVER_STORE_RANDOM_BITS_H_

#include <cstdint>

namespace larder {

// 64 random bits from the operating system, never 0. Thread-safe; a system call.
uint64_t RandomNonZeroBits();

}  // namespace larder

#endif  // LARDER_SERVER_STORE_RANDOM_BITS_H_
