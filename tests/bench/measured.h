#ifndef LARDER_TESTS_BENCH_MEASURED_H_
#define LARDER_TESTS_BENCH_MEASURED_H_

#include <unistd.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace larder {

// What a program measured, by name. `ratios` have goals, or stand beside a reference; `absolute` are of this machine.
struct Measured {
  std::map<std::string, double> ratios;
  std::map<std::string, double> absolute;
};

// Throws std::runtime_error if the file cannot be written.
inline void WriteMeasured(const std::string& path, const Measured& measured) {
  std::ofstream file(path);
  file << nlohmann::json{{"ratios", measured.ratios}, {"absolute", measured.absolute}}.dump(2) << '\n';
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

// Of this process.
inline double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace larder

#endif  // LARDER_TESTS_BENCH_MEASURED_H_
