// A cache as an application sees it.
#ifndef LARDER_CACHE_H_
#define LARDER_CACHE_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "larder/calls.h"
#include "larder/codec.h"
#include "larder/export.h"
#include "larder/load.h"

namespace larder {

class Observer;
class WarmJob;
struct ReadReport;

namespace internal {
class Flight;
class Flights;
class WarmFeed;  // client/src/warm_feed.h
class WarmRun;
struct LoadCall;
struct WriteScope;
}  // namespace internal

// Called exactly once, from any thread, or from within the call where the answer is at hand. It must not block, and so
// must not make blocking calls of the cache; asynchronous ones it may make. Nor may it throw, which would end the
// process; the same goes for progress functions and observers. A chain of calls, each made by the callback of the one
// before, must not rest on near hits alone: those are answered within the call, and use up the stack.
template <typename T>
using Callback = absl::AnyInvocable<void(T) &&>;

// The calls of a cache: `Client` makes them to the service, `testing::FakeCache` keeps entries in memory for the tests
// of an application. Thread-safe. A miss is an empty optional, a failure is a status:
//   INVALID_ARGUMENT    mend the call; the message names the field and the limit
//   ABORTED             the condition of a write does not hold
//   OUT_OF_RANGE        an answer is larger than this client or the service allows; the message names the limit
//   UNAVAILABLE         the service cannot be reached, or its breaker is open (that takes no time); a write may
//                       have landed
//   DEADLINE_EXCEEDED   the time is up; a write may have landed
//   RESOURCE_EXHAUSTED  back off
// Where `failed_reads_are_misses` (the default), the last three are misses to a Get or a BatchGet.
//
// Blocking calls must not be made from a callback. They wait at most their deadline, but for three: a Get with a
// `wait`, which that is added to; GetOrLoad, which says how long; and a write (Set, BatchSet, Invalidate) of a key
// whose loaded value GetOrLoad is sending to the cache. That is itself sent when the other has ended, which takes the
// other's deadline at most; its own counts from there. A deadline out of 1 ms to 24 h is INVALID_ARGUMENT (0: the
// client's).
class LARDER_EXPORT Cache {
 public:
  virtual ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // --- one key --------------------------------------------------------------------------------------------------

  // A known absence is a hit that is `absent`, a stale entry one that is kStale (a miss with `fresh_only`): look before
  // the value is used.
  absl::StatusOr<MaybeHit> Get(std::string_view key, const GetOptions& options = {});
  void GetAsync(std::string key, GetOptions options, Callback<absl::StatusOr<MaybeHit>> done);

  absl::StatusOr<SetResult> Set(std::string_view key, std::string_view value, const SetOptions& options = {});
  void SetAsync(std::string key, std::string value, SetOptions options, Callback<absl::StatusOr<SetResult>> done);

  // A Get by a caller who can load the value, which GetOrLoad does for you. On a miss, a stale hit or a hit that is
  // about to expire, one caller of all processes gets the lease; it loads the value and Sets it with Condition::Lease,
  // or Releases the lease. Where the cache cannot be asked, `failed_reads_are_misses` makes that a miss with neither
  // lease nor `as_of`. Refused (INVALID_ARGUMENT) where the namespace has an origin, which loads by itself.
  absl::StatusOr<LeasedRead> GetOrLease(std::string_view key, const GetOptions& options = {});
  void GetOrLeaseAsync(std::string key, GetOptions options, Callback<absl::StatusOr<LeasedRead>> done);

  // Gives a lease back, so that the next caller may try. False: it had ended, or the key was written or invalidated.
  absl::StatusOr<bool> Release(std::string_view key, std::string_view lease, const CallOptions& options = {});
  void ReleaseAsync(std::string key, std::string lease, CallOptions options, Callback<absl::StatusOr<bool>> done);

  // False: there is no entry.
  absl::StatusOr<bool> Touch(std::string_view key, const TouchOptions& options = {});
  void TouchAsync(std::string key, TouchOptions options, Callback<absl::StatusOr<bool>> done);

  // --- many -----------------------------------------------------------------------------------------------------
  // The status is that of the call; each key has one of its own besides. Keys whose values did not fit into the
  // service's answer have been asked for again.
  absl::StatusOr<BatchGetResults> BatchGet(std::vector<std::string> keys, const GetOptions& options = {});
  void BatchGetAsync(std::vector<std::string> keys, GetOptions options, Callback<absl::StatusOr<BatchGetResults>> done);

  absl::StatusOr<BatchSetResults> BatchSet(std::vector<SetItem> items, const CallOptions& options = {});
  void BatchSetAsync(std::vector<SetItem> items, CallOptions options, Callback<absl::StatusOr<BatchSetResults>> done);

  // Once it has succeeded, nothing older that was fresh is read through this object, nor can a value that GetOrLoad was
  // loading meanwhile come back, here or in another process.
  absl::StatusOr<InvalidateResult> Invalidate(Invalidation what, const CallOptions& options = {});
  void InvalidateAsync(Invalidation what, CallOptions options, Callback<absl::StatusOr<InvalidateResult>> done);

  // Writes what the source gives and nobody has cached yet; ends with the totals, or with the source's failure once
  // what it gave before has been dealt with. The source runs on one thread at a time: the caller's in Warm, where it
  // may block (for longer than the deadline, if it must), the client's in WarmAsync, where it must not.
  // Not yet closed: an entry that the source has given but that is still on its way is written also where its key was
  // invalidated by name meanwhile, by this object or by others; an invalidation of the whole namespace does stop it. So
  // invalidate after the warm-up what was changed during it.
  absl::StatusOr<WarmProgress> Warm(WarmSource source, WarmOptions options = {});
  void WarmAsync(WarmSource source, WarmOptions options, Callback<absl::StatusOr<WarmProgress>> done);

  // Of one replica. larder/v1/cache.pb.h says what is in it.
  absl::StatusOr<ServiceStats> Stats(const StatsOptions& options = {});
  void StatsAsync(StatsOptions options, Callback<absl::StatusOr<ServiceStats>> done);

  // --- by type ---------------------------------------------------------------------------------------------------
  // T is a std::string, a protobuf message, or any type with a larder::Codec<T>; larder/json.h brings JSON.

  // FAILED_PRECONDITION: what is cached is no T. A known absence reads as a miss.
  template <typename T>
  absl::StatusOr<std::optional<T>> GetAs(std::string_view key, const GetOptions& options = {});

  template <typename T>
  absl::StatusOr<SetResult> SetAs(std::string_view key, const T& value, SetOptions options = {});

  // Cache-aside in one call: the cached value, or else what `loader` returns, which is then cached. `loader` is called
  // as `T()`, `absl::StatusOr<T>()`; it runs on the calling thread and may block.
  //   One loader runs per key at a time, of all processes (COHERENCE P3). Others who want the key wait for it, for
  //   `options.max_wait` at most. Who waits in this object for longer gets DEADLINE_EXCEEDED; who waits in the service
  //   then runs its own loader, and what that gives is stored if nothing else was meanwhile. In this object nobody
  //   waits for another who wants another type or `near` = false, nor once a write has come between. A stale value is
  //   returned at once while another caller loads it anew; unless `options.fresh_only`. The loader failed: its status
  //   is returned, to all who waited, and nothing is cached; the next caller may try. But where there was a cached
  //   value to be refreshed, that is returned, and `options.report` tells. The cache failed: the loader's value is
  //   returned and not cached; `options.report` and the observer tell. The key is refused (empty, over 512 bytes), or
  //   the deadline, or the namespace has an origin: the same. The cached value is no T: it is dropped,
  //   and loaded with a lease; `options.report` tells. T is a std::optional<U> and the loader returns none: cached as
  //   known to be absent if `options.absent_ttl` is given; if not, what there was is dropped. The key, or a group that
  //   it belongs to, was invalidated or the key set, by anyone, while the loader ran: its value is returned, not cached
  //   (COHERENCE P2).
  // The call takes a read's and a write's deadline, the loader's time, and `max_wait`, counted from its start, with one
  // more read, at most; and where a cached value is of no use, an invalidation and those reads again.
  // An exception that leaves the loader becomes INTERNAL.
  // A loader must not ask for its own key in the same way, nor two loaders for each other's: they would wait for
  // themselves, for `max_wait`.
  template <typename T, typename Loader>
  absl::StatusOr<T> GetOrLoad(std::string_view key, Ttl ttl, Loader&& loader, const LoadOptions& options = {});

 protected:
  struct Settings {
    bool failed_reads_are_misses = true;
    Observer* observer = nullptr;  // not owned; null: nobody listens
    std::string name_space = "default";
    std::chrono::milliseconds deadline{250};
  };

  explicit Cache(Settings settings);

  // What an implementation does. Options come with the namespace and deadline filled in. Each calls `done` exactly
  // once.
  virtual void DoGet(std::string key, GetOptions options, Callback<absl::StatusOr<MaybeHit>> done) = 0;
  virtual void DoGetOrLease(std::string key, GetOptions options, Callback<absl::StatusOr<LeasedRead>> done) = 0;
  virtual void DoRelease(std::string key, std::string lease, CallOptions options,
                         Callback<absl::StatusOr<bool>> done) = 0;
  virtual void DoSet(std::string key, std::string value, SetOptions options,
                     Callback<absl::StatusOr<SetResult>> done) = 0;
  virtual void DoTouch(std::string key, TouchOptions options, Callback<absl::StatusOr<bool>> done) = 0;
  virtual void DoBatchGet(std::vector<std::string> keys, GetOptions options,
                          Callback<absl::StatusOr<BatchGetResults>> done) = 0;
  virtual void DoBatchSet(std::vector<SetItem> items, CallOptions options,
                          Callback<absl::StatusOr<BatchSetResults>> done) = 0;
  virtual void DoInvalidate(Invalidation what, CallOptions options,
                            Callback<absl::StatusOr<InvalidateResult>> done) = 0;
  // The feed never blocks and never fails: it ends early where the source has failed.
  virtual void DoWarm(std::shared_ptr<internal::WarmFeed> feed, WarmOptions options,
                      Callback<absl::StatusOr<WarmProgress>> done) = 0;
  virtual void DoStats(StatsOptions options, Callback<absl::StatusOr<ServiceStats>> done) = 0;

  // An answer that is at hand without a call, never a stale one, or none. Asked first by Get, GetAsync and GetOrLoad
  // where `options.near`; nothing else of the options says anything here but the namespace.
  virtual MaybeHit GetAtHand(std::string_view key, const GetOptions& options);

 private:
  friend class WarmJob;
  friend class internal::WarmRun;

  // Takes what is known, and says whether it is of the wanted type.
  using Use = absl::FunctionRef<absl::Status(const internal::Known& known)>;
  // Runs the loader and returns the value's bytes, or none for "absent".
  using Load = absl::FunctionRef<absl::StatusOr<internal::Loaded>()>;

  // GetOrLoad without its type. `make_way`: how a fresh entry that is of no use is invalidated, so that a lease may be
  // had to load it anew with. Where that is kSoft, a stale entry is left to who loads it already.
  absl::Status GetOrLoadBytes(std::string_view key, const Ttl& ttl, const LoadOptions& options,
                              InvalidationMode make_way, Use use, Load load);

  // GetOrLoad that leaves what is there: an entry of another type, one that lives on for `due_under` at least, or a
  // stale one that another caller is to load anew. What is due is stale while it is loaded, and where that fails.
  // False: the loader knows that there is none.
  template <typename T, typename Loader>
  absl::StatusOr<bool> LoadIfDue(std::string_view key, const Ttl& ttl, std::chrono::milliseconds due_under,
                                 Loader&& loader, const LoadOptions& options);

  // BatchGet of which the observer is told nothing, and whose failures are failures.
  absl::StatusOr<BatchGetResults> Look(std::vector<std::string> keys, const GetOptions& options);

  // ... by waiting for another caller's flight. None: what came of it is of another type, or stale where that is not
  // wanted.
  std::optional<absl::Status> Join(internal::Flight& flight, const internal::LoadCall& call);
  // ... by reading, loading and storing for all who wait for the flight.
  absl::Status Lead(internal::Flight& flight, const internal::LoadCall& call);
  // ... past the cache, which would refuse the call.
  absl::Status LoadAlone(const internal::LoadCall& call, absl::Status refusal);
  absl::StatusOr<internal::Loaded> RunLoader(const internal::LoadCall& call);
  absl::StatusOr<LeasedRead> Fetch(internal::Flight* flight, const internal::LoadCall& call);
  absl::StatusOr<LeasedRead> ReadOnce(internal::Flight* flight, const internal::LoadCall& call,
                                      std::chrono::milliseconds wait);
  // Invalidates what is there and reads again: a lease, as a rule, or what somebody has stored meanwhile.
  LeasedRead MakeWay(internal::Flight* flight, const internal::LoadCall& call);
  void Fill(const internal::Flight& flight, const internal::LoadCall& call, const LeasedRead& read,
            internal::Loaded loaded);
  void GiveUp(const internal::LoadCall& call, const LeasedRead& read);

  MaybeHit AtHand(std::string_view key, const GetOptions& options);
  void Read(std::string key, GetOptions options, Callback<absl::StatusOr<MaybeHit>> done);
  // Seals the flights of the scope, has `send` make the call when that may be, and seals them again before `done`.
  template <typename T>
  void Write(internal::WriteScope scope, Callback<T> done, absl::AnyInvocable<void(Callback<T>) &&> send);

  void Observe(const ReadReport& found) const;
  void ObserveLoad(std::string_view key, const absl::Status& status, int64_t nanos, bool joined) const;

  // The options with the namespace and deadline filled in.
  template <typename Options>
  Options Filled(Options options) const {
    if (options.name_space.empty()) options.name_space = settings_.name_space;
    if (options.deadline == std::chrono::milliseconds::zero()) options.deadline = settings_.deadline;
    return options;
  }

  const Settings settings_;
  // Of calls that name no namespace: made once, so that a near hit allocates nothing.
  const GetOptions at_hand_options_;
  const std::unique_ptr<internal::Flights> flights_;
};

template <typename T>
absl::StatusOr<std::optional<T>> Cache::GetAs(std::string_view key, const GetOptions& options) {
  absl::StatusOr<MaybeHit> hit = Get(key, options);
  if (!hit.ok()) return hit.status();
  if (!hit->has_value() || (*hit)->absent) return std::optional<T>();
  absl::StatusOr<T> value = internal::Decode<T>(key, (*hit)->value);
  if (!value.ok()) return value.status();
  return std::optional<T>(*std::move(value));
}

template <typename T>
absl::StatusOr<SetResult> Cache::SetAs(std::string_view key, const T& value, SetOptions options) {
  static_assert(!std::is_array_v<T> && !std::is_pointer_v<T> && !std::is_same_v<T, std::string_view>,
                "a text is cached as a std::string: give SetAs one, or give Set the bytes");
  absl::StatusOr<internal::Encoded> encoded = internal::Encode<T>(value);
  if (!encoded.ok()) return encoded.status();
  if (options.content_type.empty()) options.content_type = std::move(encoded->content_type);
  return Set(key, encoded->bytes, options);
}

template <typename T, typename Loader>
absl::StatusOr<T> Cache::GetOrLoad(std::string_view key, Ttl ttl, Loader&& loader, const LoadOptions& options) {
  std::optional<T> result;
  auto use = [&](const internal::Known& known) -> absl::Status {
    absl::StatusOr<T> decoded = internal::DecodeKnown<T>(key, known);
    if (decoded.ok()) result = *std::move(decoded);
    return decoded.status();
  };
  auto load = [&]() -> absl::StatusOr<internal::Loaded> {
    absl::StatusOr<T> loaded = internal::RunLoader<T>(loader);
    if (!loaded.ok()) return loaded.status();
    result = *std::move(loaded);
    return internal::EncodeLoaded<T>(*result);
  };
  absl::Status status = GetOrLoadBytes(key, ttl, options, InvalidationMode::kHard, use, load);
  if (!status.ok()) return status;
  return *std::move(result);
}

template <typename T, typename Loader>
absl::StatusOr<bool> Cache::LoadIfDue(std::string_view key, const Ttl& ttl, std::chrono::milliseconds due_under,
                                      Loader&& loader, const LoadOptions& options) {
  auto use = [&](const internal::Known& known) -> absl::Status {
    const bool due = known.left < due_under && internal::DecodeKnown<T>(key, known).ok();
    return due ? absl::FailedPreconditionError("it expires too soon") : absl::OkStatus();
  };
  bool present = true;
  auto load = [&]() -> absl::StatusOr<internal::Loaded> {
    absl::StatusOr<T> value = internal::RunLoader<T>(loader);
    if (!value.ok()) return value.status();
    absl::StatusOr<internal::Loaded> loaded = internal::EncodeLoaded<T>(*value);
    if (loaded.ok()) present = !loaded->absent;
    return loaded;
  };
  absl::Status status = GetOrLoadBytes(key, ttl, options, InvalidationMode::kSoft, use, load);
  if (!status.ok()) return status;
  return present;
}

}  // namespace larder

#endif  // LARDER_CACHE_H_
