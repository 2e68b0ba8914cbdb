// Who serves near entries without asking the store, and so must be waited for by a STRONG write (COHERENCE S1, S2).
#ifndef LARDER_SERVER_STORE_MEMBERSHIP_H_
#define LARDER_SERVER_STORE_MEMBERSHIP_H_

#include <cstdint>
#include <vector>

namespace larder {

// What a member tells the others of itself.
struct MemberTerms {
  // It is told of changes, and says so once it has taken them in.
  bool acknowledges = false;
  // Without having said so it serves nothing that was read before a write for longer than this after that write.
  int64_t bound_nanos = 0;
  // It relies on a registration for this long from its sending; the store keeps one for longer.
  int64_t hold_nanos = 0;
};

struct Member {
  uint64_t id = 0;  // random, of one life of one process
  MemberTerms terms;
};

struct Registration {
  // It has been registered without a gap since the last registration whose answer it had. Otherwise STRONG writes may
  // have gone by that did not wait for it.
  bool was_member = false;
  // False: a later registration of the same process has overtaken this one, which is worth nothing.
  bool counts = true;
};

// Who was registered when the question was executed, and was asked to acknowledge what was written before it.
struct SyncResult {
  std::vector<Member> others;
  // For how long the record has existed. Who had registered in an earlier one relies on that still.
  int64_t record_age_nanos = 0;
  // Of all members, this process included.
  int64_t longest_hold_nanos = 0;
};

}  // namespace larder

#endif  // LARDER_SERVER_STORE_MEMBERSHIP_H_
