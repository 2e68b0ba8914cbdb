// The leases that the embedded store has granted and that have not ended.
#ifndef LARDER_SERVER_STORE_LEASE_TABLE_H_
#define LARDER_SERVER_STORE_LEASE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "server/store/store.h"

namespace larder {

// Somebody's right to load what is under a key.
struct HeldLease {
  FillToken fill;
  int64_t until_nanos = 0;
  uint64_t version = 0;  // of the entry that is to be loaded anew; 0: there is none
  bool waited = false;   // somebody was refused the right since
};

// One lease a key, a bounded number of them. Not thread-safe.
class LeaseTable {
 public:
  // Takes a quarter of a KiB and twice the key for each.
  explicit LeaseTable(size_t max_leases) : max_leases_(max_leases) {}

  // The lease under `key`, until the next call that is not const; null if there is none. One that has ended is none.
  HeldLease* Find(std::string_view key, int64_t now_nanos);

  // In place of any other under the key. If the table is full the lease that ends the soonest gives way: the key of one
  // that was waited for is returned.
  std::optional<std::string> Put(std::string_view key, const HeldLease& lease, int64_t now_nanos);

  // True if there was one that was waited for.
  bool Remove(std::string_view key);

  // All that have not ended. `visit` must not call back.
  void ForEach(int64_t now_nanos, absl::FunctionRef<void(std::string_view key, const HeldLease& lease)> visit) const;

  size_t size() const { return leases_.size(); }

 private:
  using Leases = std::map<std::string, HeldLease, std::less<>>;

  bool Erase(Leases::iterator lease);

  const size_t max_leases_;
  Leases leases_;
  std::set<std::pair<int64_t, std::string_view>> by_end_;  // the keys are those of `leases_`
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_LEASE_TABLE_H_
