// One Redis server that is always out of memory, and evicts.
#ifndef LARDER_TESTS_CHAOS_EVICTING_FORM_H_
#define LARDER_TESTS_CHAOS_EVICTING_FORM_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>

#include "tests/chaos/single_form.h"

namespace larder::chaos {

// Somebody else writes into it all the time, more than it has room for: so entries go, leases with them, and with
// `allkeys-*` control and members records (COHERENCE C3, C6, S1).
class EvictingForm final : public SingleForm {
 public:
  // `policy`: a maxmemory-policy, of allkeys-* or volatile-*.
  explicit EvictingForm(std::string_view policy);
  ~EvictingForm() override;

  absl::Status Start() override;
  absl::Status Break(std::string_view fault, Random& random) override;
  absl::StatusOr<std::string> Proof() override;

 private:
  void Fill();
  // How many keys the server has evicted since it was started; 0 if it cannot be asked.
  int64_t Evicted();

  const bool evicts_records_;
  std::atomic<bool> stopping_{false};
  // How often the filler found that another control record was there, and how often a fault was the reason.
  std::atomic<int64_t> records_lost_{0};
  std::atomic<int64_t> lost_to_faults_{0};
  int64_t evicted_before_ = 0;  // by the processes before this one
  std::thread filler_;
};

}  // namespace larder::chaos

#endif  // LARDER_TESTS_CHAOS_EVICTING_FORM_H_
