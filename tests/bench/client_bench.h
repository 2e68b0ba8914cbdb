// What the measurements of the client library share.
#ifndef LARDER_TESTS_BENCH_CLIENT_BENCH_H_
#define LARDER_TESTS_BENCH_CLIENT_BENCH_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "larder/client.h"
#include "tests/support/larder_server.h"

namespace larder::bench {

struct Settings {
  int keys = 100'000;
  int laps = 9;              // of each side, in turns
  int lap_millis = 400;      // of a lap of Gets that the service answers
  int near_gets = 300'000;   // a thread, in a lap of Gets that the near cache answers
  int concurrent_gets = 64;  // under way at a time where the service answers
};

// One side's medians beside the other's.
struct Outcome {
  double ratio = 0;
  std::map<std::string, double> absolute = {};  // by name, with the unit in it
};

// The entries that are read: 100 bytes each, none like another.
class Entries {
 public:
  explicit Entries(int count);

  const std::vector<std::string>& keys() const { return keys_; }
  const std::vector<std::string>& values() const { return values_; }
  // Stops the program where a value is another's.
  void StoreIn(Client* client) const;
  // Looks at as much of it as tells the values apart.
  bool IsValueOf(size_t i, std::string_view value) const;

 private:
  std::vector<std::string> keys_;
  std::vector<std::string> values_;
};

// Ends the program, saying why.
[[noreturn]] void Die(const std::string& why);

double Median(std::vector<double> numbers);

// A client of `server`, whose calls have time.
std::unique_ptr<Client> ConnectOrDie(const LarderServer& server, ClientOptions options = {});

// A hit of the client's own near cache against a find in a bare absl::flat_hash_map: nanoseconds each, on so many
// threads at once. `skew`: of Zipf's distribution, 0 for a uniform one.
Outcome MeasureNear(const Settings& settings, const Entries& entries, const LarderServer& server, double skew,
                    int threads);

// Gets a second with gathering against the same without it. In chains, in each of which the callback of one GetAsync
// makes the next one; or on a thread each, which waits for its Get.
enum class Callers { kChains, kThreads };
Outcome MeasureGathering(const Settings& settings, const Entries& entries, const LarderServer& server, Callers callers);

}  // namespace larder::bench

#endif  // LARDER_TESTS_BENCH_CLIENT_BENCH_H_
