#ifndef LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_ORIGIN_H_
#define LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_ORIGIN_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "server/engine/origin.h"
#include "tests/unit/engine/simulation/rng.h"
#include "tests/unit/engine/simulation/truth.h"

namespace larder::simulation {

// A system of record that reads its value some time after it was asked, and answers some time after that. Not
// thread-safe.
class SimOrigin final : public Origin {
 public:
  SimOrigin(Rng* rng, Truth* truth) : rng_(*rng), truth_(*truth) {}

  void Load(std::string key, absl::AnyInvocable<void(absl::StatusOr<OriginValue>) &&> done) override {
    ++loads;
    asked_.push_back({std::move(key), {}, std::move(done)});
  }
  void Enumerate(std::string /*prefix*/, int64_t /*limit*/, absl::AnyInvocable<bool(std::vector<std::string>)> /*take*/,
                 absl::AnyInvocable<void(absl::Status) &&> done) override {
    std::move(done)(absl::OkStatus());
  }
  void Shutdown() override {}

  size_t asked() const { return asked_.size(); }
  size_t loaded() const { return loaded_.size(); }

  // Reads for one of those that were asked for. Its description.
  std::string LoadOne() {
    Loading load = Take(asked_);
    const bool tagged = rng_.Chance(50);
    load.value.content_type = truth_.NewValue(load.key, tagged, truth_.now());
    if (tagged) load.value.tags = {"t"};
    load.value.absent = rng_.Chance(15);
    if (!load.value.absent) load.value.value = load.value.content_type;
    load.value.ttl.ttl_ms = rng_.OneOf<int64_t>({800, 3'000, 150'000});
    load.value.do_not_cache = rng_.Chance(20);
    std::string what = load.key + "=" + load.value.content_type + (load.value.do_not_cache ? " not to be cached" : "");
    loaded_.push_back(std::move(load));
    return what;
  }

  void AnswerOne() {
    Loading load = Take(loaded_);
    if (rng_.Chance(10)) return std::move(load.done)(absl::UnavailableError("no"));
    std::move(load.done)(std::move(load.value));
  }

  size_t loads = 0;

 private:
  struct Loading {
    std::string key;
    OriginValue value;
    absl::AnyInvocable<void(absl::StatusOr<OriginValue>) &&> done;
  };

  Loading Take(std::vector<Loading>& from) {
    const auto chosen = from.begin() + static_cast<std::ptrdiff_t>(rng_.Below(from.size()));
    Loading load = std::move(*chosen);
    from.erase(chosen);
    return load;
  }

  Rng& rng_;
  Truth& truth_;
  std::vector<Loading> asked_;
  std::vector<Loading> loaded_;
};

}  // namespace larder::simulation

#endif  // LARDER_TESTS_UNIT_ENGINE_SIMULATION_SIM_ORIGIN_H_
