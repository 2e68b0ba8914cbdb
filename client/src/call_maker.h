// From the application's calls to calls of the service: what is done before one is sent and after it has ended.
#ifndef LARDER_CLIENT_SRC_CALL_MAKER_H_
#define LARDER_CLIENT_SRC_CALL_MAKER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "client/src/call_env.h"
#include "client/src/near_tier.h"
#include "client/src/unary_call.h"
#include "client/src/watch_set.h"
#include "client/src/written_keys.h"

namespace larder::internal {

// What one key of a call is known by: to the near tier, to WrittenKeys, and where routing goes by key. The empty key,
// which no entry has, stands there for its whole namespace.
struct KeyIdentity {
  KeyIdentity(std::string_view name_space, std::string_view key, bool by_key)
      : near_key(NearKey(name_space, key)),
        hash(NearCache::Hash(near_key)),
        route(by_key ? StableHash(name_space, key) : 0) {}

  std::string near_key;
  uint64_t hash;
  uint64_t route;
};

// The parts of a client that its calls share. Thread-safe.
class CallMaker {
 public:
  CallMaker(const ClientOptions& options, std::vector<Target> targets)
      : env(options, std::move(targets)), near(options.near, &env.clock), watches(&env, &near) {}

  KeyIdentity Identify(std::string_view name_space, std::string_view key) const {
    return KeyIdentity(name_space, key, env.replicas.by_key());
  }

  // `wait`: for how long the service may keep the call waiting on purpose, before its deadline begins.
  CallSpec Spec(std::chrono::milliseconds deadline, bool repeatable, uint64_t route,
                std::chrono::milliseconds wait = std::chrono::milliseconds(0)) const;

  // May the near tier of `replica` answer a Get of the key?
  bool NearMayAnswer(std::string_view name_space, const KeyIdentity& key, const Replica* replica) const;

  // The session under which an answer may enter the near cache; none where only its age may bound it.
  WatchSessions::Session SessionOf(std::string_view name_space, uint64_t incarnation, const v1::GetResponse& answer) {
    // The service must see that such an entry is read.
    return answer.sliding() ? WatchSessions::Session() : near.sessions().Of(name_space, incarnation);
  }

  // Around a write of keys: drops them here, at its start and at its end.
  void BeforeWrite(const std::vector<KeyIdentity>& keys);
  // `status` says whether it took place, did not, or may have; `replica`: the one that was asked last.
  void AfterWrite(const std::vector<KeyIdentity>& keys, const absl::Status& status, uint16_t replica);
  // The same, of a write that may concern any key of a namespace; the near cache drops those of the others too.
  void BeforeWriteOfAll() { near.DropAll(); }
  void AfterWriteOfAll(std::string_view name_space, const absl::Status& status, uint16_t replica);

  // Tells the observer of a call that ended.
  void Report(std::string_view method, const absl::Status& status, int64_t began_nanos, int attempts, int keys) const;

  CallEnv env;
  NearTier near;
  WatchSet watches;

 private:
  // Always before the near cache's drop: a read that begins after the drop may be kept (COHERENCE N3), and so must know
  // by then whose near tier may not answer it.
  void Record(const std::vector<KeyIdentity>& keys, const absl::Status& status, uint16_t replica);

  WrittenKeys written_;
};

}  // namespace larder::internal

#endif  // LARDER_CLIENT_SRC_CALL_MAKER_H_
