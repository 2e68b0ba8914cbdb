// What this process knows of its own membership.
#ifndef LARDER_SERVER_REDIS_OWN_MEMBERSHIP_H_
#define LARDER_SERVER_REDIS_OWN_MEMBERSHIP_H_

#include <atomic>
#include <cstdint>

#include "server/redis/member_commands.h"

namespace larder {

// Thread-safe: it registers on two connections, each with a thread of its own.
struct OwnMembership {
  const MemberNames names;
  std::atomic<uint64_t> sequence{0};   // of the last registration
  std::atomic<uint64_t> confirmed{0};  // the latest whose answer came
  std::atomic<int64_t> members{0};     // as Redis last said
  // For how long, at most, this process has ever relied on a registration.
  std::atomic<int64_t> longest_hold_nanos{0};

  // What the answer to the registration of that sequence says.
  Registration Take(const RegisterAnswer& answer, uint64_t of_sequence) {
    members.store(answer.members);
    uint64_t last = confirmed.load();
    const Registration registration{.was_member = answer.since <= last, .counts = answer.counts};
    while (answer.counts && last < of_sequence && !confirmed.compare_exchange_weak(last, of_sequence)) {
    }
    return registration;
  }
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_OWN_MEMBERSHIP_H_
