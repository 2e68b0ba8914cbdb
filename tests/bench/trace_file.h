#ifndef LARDER_TESTS_BENCH_TRACE_FILE_H_
#define LARDER_TESTS_BENCH_TRACE_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace larder {

// The object ids of a trace, in the order of the requests: a file of little-endian 32-bit numbers (compressed with zstd
// if its name ends in .zst), or `zipf:REQUESTS:OBJECTS:EXPONENT`, which is made up. Throws std::runtime_error saying
// what is wrong with it.
std::vector<uint32_t> ReadTrace(const std::string& name);

}  // namespace larder

#endif  // LARDER_TESTS_BENCH_TRACE_FILE_H_
