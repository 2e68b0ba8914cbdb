// GetOrLoad, without its type.
#include "larder/load.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/awaited.h"
#include "client/src/call_deadline.h"
#include "client/src/count_read.h"
#include "client/src/flights.h"
#include "client/src/quote.h"
#include "core/clock.h"
#include "larder/cache.h"
#include "larder/key_builder.h"
#include "larder/observer.h"

namespace larder {

namespace internal {

// A call of GetOrLoad.
struct LoadCall {
  std::string_view key;
  const Ttl& ttl;
  const LoadOptions& options;
  InvalidationMode make_way;
  int64_t wait_until_nanos;  // for others, whatever they are waited for with
  GetOptions read;
  absl::FunctionRef<absl::Status(const Known&)> use;
  absl::FunctionRef<absl::StatusOr<Loaded>()> load;
  LoadReport* report;
};

}  // namespace internal

namespace {

using internal::Flight;
using internal::FlightOutcome;
using internal::Flights;
using internal::Known;
using internal::LoadCall;

constexpr size_t kMaxKeyBytes = KeyBuilder::kMaxBytes;
constexpr std::chrono::milliseconds kShortestTtl{1};

// The leader's duties towards a flight, done on all paths.
class Leadership {
 public:
  Leadership(Flights* flights, Flight* flight) : flights_(flights), flight_(flight) {}
  Leadership(const Leadership&) = delete;
  Leadership& operator=(const Leadership&) = delete;
  ~Leadership() {
    if (!published_) {
      Publish({.value = absl::InternalError("the caller that was to load the value gave up"), .loaded = true});
    }
    flights_->End(*flight_);
  }

  void Publish(FlightOutcome outcome) {
    published_ = true;
    flight_->Publish(std::move(outcome));
  }

 private:
  Flights* const flights_;
  Flight* const flight_;
  bool published_ = false;
};

bool IsStale(const Hit& hit) { return hit.freshness != Freshness::kFresh; }

Known ToKnown(const Hit& hit) { return {.value = hit.value, .absent = hit.absent, .left = hit.ttl}; }

// What is left of `max_wait`, rounded up.
std::chrono::milliseconds LeftToWait(const LoadCall& call) {
  const int64_t left = call.wait_until_nanos - SystemClock().NowNanos();
  return std::chrono::ceil<std::chrono::milliseconds>(std::chrono::nanoseconds(std::max<int64_t>(left, 0)));
}

// A caller that is to refresh a stale entry finds that another is at it.
bool IsLeftToOthers(const LeasedRead& read, const LoadCall& call) {
  return call.make_way == InvalidationMode::kSoft && IsStale(*read.hit) && !read.lease.has_value();
}

bool CanUse(const Hit& hit, const LoadCall& call, absl::Status* why_not) {
  if (IsStale(hit) && call.options.fresh_only) return false;
  absl::Status used = call.use(ToKnown(hit));
  const bool usable = used.ok();
  // A known absence is a miss to a T that has no form for it.
  if (!hit.absent) *why_not = std::move(used);
  return usable;
}

// Why no cache would take the call, where that can be told from here. Calls that have no key want no one value.
absl::Status Refusal(const LoadCall& call) {
  if (call.key.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("key: empty, must be 1 to ", kMaxKeyBytes, " bytes"));
  }
  if (call.key.size() > kMaxKeyBytes) {
    return absl::InvalidArgumentError(absl::StrCat("key: ", call.key.size(), " bytes, the limit is ", kMaxKeyBytes));
  }
  return internal::CheckCallDeadline(call.options.deadline);
}

bool CanUse(const LeasedRead& read, const LoadCall& call, absl::Status* why_not) {
  return read.hit.has_value() && (IsLeftToOthers(read, call) || CanUse(*read.hit, call, why_not));
}

// What was found is of no use, being of another type or due to a warm-up, and there is no lease to replace it with.
// That it is still there would be no condition to store on: an invalidation of its group does not change it.
bool IsInTheWay(const LeasedRead& read, const LoadCall& call) {
  return read.hit.has_value() && !read.lease.has_value() && !(IsStale(*read.hit) && call.options.fresh_only);
}

// What a fill is stored with (COHERENCE E4): its lease, or the miss that it began with. Empty: it is not stored.
std::string FillToken(const LeasedRead& read) { return read.lease.has_value() ? read.lease->token : read.as_of; }

// The value was not stored, and the lease may stand in the way of others: it is gone where something else was stored,
// and nothing is known of it where the write's outcome is not.
bool LeavesLease(const absl::Status& write) {
  if (absl::IsAborted(write)) return !CurrentVersion(write).has_value();
  return !write.ok() && !absl::IsUnavailable(write) && !absl::IsDeadlineExceeded(write) && !absl::IsCancelled(write);
}

absl::Status WaitedTooLong(const LoadCall& call) {
  return absl::DeadlineExceededError(absl::StrCat("key ", internal::Quoted(call.key),
                                                  ": another caller's loader did not end within ",
                                                  call.options.max_wait.count(), " ms"));
}

}  // namespace

absl::Status Cache::GetOrLoadBytes(std::string_view key, const Ttl& ttl, const LoadOptions& options,
                                   InvalidationMode make_way, Use use, Load load) {
  const std::chrono::nanoseconds max_wait =
      std::clamp(options.max_wait, std::chrono::milliseconds(0), internal::kMaxCallDeadline);
  LoadReport unasked;
  LoadCall call{.key = key,
                .ttl = ttl,
                .options = options,
                .make_way = make_way,
                .wait_until_nanos = SystemClock().NowNanos() + max_wait.count(),
                .read = {.name_space = options.name_space,
                         .deadline = options.deadline,
                         .near = options.near,
                         .fresh_only = options.fresh_only},
                .use = use,
                .load = load,
                .report = options.report == nullptr ? &unasked : options.report};
  *call.report = LoadReport();
  if (absl::Status refusal = Refusal(call); !refusal.ok()) return LoadAlone(call, std::move(refusal));

  absl::Status unusable;
  if (const MaybeHit hit = AtHand(key, call.read); hit.has_value() && !IsStale(*hit) && CanUse(*hit, call, &unusable)) {
    Observe({.near_hits = 1});
    return absl::OkStatus();
  }

  call.read = Filled(std::move(call.read));
  std::shared_ptr<Flight> unwanted;
  while (true) {
    const Flights::Place place = flights_->Board(call.read.name_space, key, !options.near, unwanted.get());
    if (place.leads) return Lead(*place.flight, call);
    if (std::optional<absl::Status> joined = Join(*place.flight, call)) return *std::move(joined);
    // It is of another type, and replaced, as it would be had it been found in the cache; or it is stale.
    unwanted = place.flight;
  }
}

std::optional<absl::Status> Cache::Join(Flight& flight, const LoadCall& call) {
  const SystemClock clock;
  const int64_t began = clock.NowNanos();
  const std::optional<FlightOutcome> outcome = flight.Wait(LeftToWait(call));
  const int64_t waited = clock.NowNanos() - began;
  if (!outcome.has_value()) {
    absl::Status late = WaitedTooLong(call);
    ObserveLoad(call.key, late, waited, /*joined=*/true);
    call.report->source = LoadReport::Source::kJoined;
    return late;
  }

  Observe(outcome->found);
  if (outcome->loaded) ObserveLoad(call.key, outcome->value.status(), waited, /*joined=*/true);
  call.report->source = outcome->loaded  ? LoadReport::Source::kJoined
                        : outcome->stale ? LoadReport::Source::kStale
                                         : LoadReport::Source::kCache;
  call.report->read = outcome->read;
  call.report->load_error = outcome->load_error;
  if (!outcome->value.ok()) return outcome->value.status();
  if (outcome->stale && call.options.fresh_only) return std::nullopt;
  if (call.use(*outcome->value).ok()) return absl::OkStatus();
  return std::nullopt;
}

absl::Status Cache::Lead(Flight& flight, const LoadCall& call) {
  Leadership leadership(flights_.get(), &flight);
  FlightOutcome outcome;
  absl::StatusOr<LeasedRead> read = Fetch(&flight, call);
  internal::CountRead(read, &outcome.found);
  Observe(outcome.found);
  outcome.read = read.status();
  bool usable = read.ok() && CanUse(*read, call, &outcome.read);
  if (read.ok() && !usable && IsInTheWay(*read, call)) {
    read = MakeWay(&flight, call);
    usable = CanUse(*read, call, &outcome.read);
  }
  absl::StatusOr<internal::Loaded> loaded;
  if (!usable || read->lease.has_value()) loaded = RunLoader(call);
  call.report->read = outcome.read;

  if (usable && !loaded.ok()) {
    outcome.value = ToKnown(*read->hit);
    outcome.stale = IsStale(*read->hit);
    if (read->lease.has_value()) {
      // Stale-if-error. The loader may have left a value that could not be encoded.
      static_cast<void>(call.use(*outcome.value));
      outcome.load_error = loaded.status();
    }
    call.report->source = outcome.stale ? LoadReport::Source::kStale : LoadReport::Source::kCache;
    call.report->load_error = outcome.load_error;
    leadership.Publish(std::move(outcome));
    GiveUp(call, *read);
    return absl::OkStatus();
  }

  outcome.loaded = true;
  if (loaded.ok()) {
    outcome.value = Known{.value = Value(loaded->bytes, loaded->content_type), .absent = loaded->absent};
  } else {
    outcome.value = loaded.status();
  }
  // The others need not wait for the fill.
  leadership.Publish(std::move(outcome));
  // A cache that did not answer the read would not answer the write; and on what condition to write is not known.
  if (!read.ok()) return loaded.status();
  if (!loaded.ok()) {
    GiveUp(call, *read);
    return loaded.status();
  }
  Fill(flight, call, *read, *std::move(loaded));
  return absl::OkStatus();
}

absl::Status Cache::LoadAlone(const LoadCall& call, absl::Status refusal) {
  Observe({.failures = 1});
  call.report->read = std::move(refusal);
  return RunLoader(call).status();
}

absl::StatusOr<internal::Loaded> Cache::RunLoader(const LoadCall& call) {
  call.report->source = LoadReport::Source::kLoader;
  const SystemClock clock;
  const int64_t began = clock.NowNanos();
  absl::StatusOr<internal::Loaded> loaded = call.load();
  ObserveLoad(call.key, loaded.status(), clock.NowNanos() - began, /*joined=*/false);
  return loaded;
}

void Cache::Fill(const Flight& flight, const LoadCall& call, const LeasedRead& read, internal::Loaded loaded) {
  std::string token = FillToken(read);
  // An absence that is not to be cached still replaces a value, which is known to be wrong and would be served on: for
  // the shortest time there is, and on the same condition, since what was stored meanwhile may be right.
  const bool passing = loaded.absent && !call.options.absent_ttl.has_value();
  const bool needless = passing && (!read.hit.has_value() || read.hit->absent);
  if (token.empty() || needless || !flights_->BeginFill(flight)) return GiveUp(call, read);
  const Ttl ttl = passing ? Ttl(kShortestTtl) : loaded.absent ? *call.options.absent_ttl : call.ttl;
  internal::Awaited<SetResult> answer;
  DoSet(std::string(call.key), std::move(loaded.bytes),
        {.name_space = call.read.name_space,
         .deadline = call.read.deadline,
         .ttl = ttl,
         .condition = Condition::Lease(std::move(token)),
         .content_type = std::move(loaded.content_type),
         .tags = call.options.tags,
         .stale_for = passing ? std::chrono::milliseconds(0) : call.options.stale_for,
         .sliding = call.options.sliding && !passing,
         .absent = loaded.absent},
        answer.Setter());
  const absl::StatusOr<SetResult> stored = answer.Take();
  call.report->stored = stored.ok() && !passing;
  // ABORTED: it was stored or invalidated by somebody else meanwhile.
  if (!absl::IsAborted(stored.status())) call.report->write = stored.status();
  if (LeavesLease(stored.status())) GiveUp(call, read);
}

void Cache::GiveUp(const LoadCall& call, const LeasedRead& read) {
  if (!read.lease.has_value()) return;
  internal::Awaited<bool> answer;
  DoRelease(std::string(call.key), read.lease->token,
            {.name_space = call.read.name_space, .deadline = call.read.deadline}, answer.Setter());
  // Not released, it ends by itself.
  static_cast<void>(answer.Take());
}

absl::StatusOr<LeasedRead> Cache::ReadOnce(Flight* flight, const LoadCall& call, std::chrono::milliseconds wait) {
  GetOptions options = call.read;
  options.wait = wait;
  const int64_t sent = SystemClock().NowNanos();
  internal::Awaited<LeasedRead> answer;
  DoGetOrLease(std::string(call.key), std::move(options), answer.Setter());
  absl::StatusOr<LeasedRead> read = answer.Take();
  if (read.ok() && read->lease.has_value()) {
    // COHERENCE W5. It was given when the read was sent at the earliest.
    flight->CloseAt(sent + std::chrono::nanoseconds(std::min(read->lease->ttl, internal::kMaxCallDeadline)).count());
  }
  return read;
}

LeasedRead Cache::MakeWay(Flight* flight, const LoadCall& call) {
  internal::Awaited<InvalidateResult> gone;
  DoInvalidate({.keys = {std::string(call.key)}, .mode = call.make_way},
               {.name_space = call.read.name_space, .deadline = call.read.deadline}, gone.Setter());
  call.report->write = gone.Take().status();
  if (!call.report->write.ok()) return LeasedRead();
  LoadCall again = call;
  again.read.near = false;  // a near tier may not have heard of it yet
  absl::StatusOr<LeasedRead> read = Fetch(flight, again);
  call.report->write = read.status();
  return read.ok() ? *std::move(read) : LeasedRead();
}

absl::StatusOr<LeasedRead> Cache::Fetch(Flight* flight, const LoadCall& call) {
  // The first read waits for nobody, so that a service that hangs costs a deadline and no `max_wait`.
  absl::StatusOr<LeasedRead> read = ReadOnce(flight, call, std::chrono::milliseconds(0));
  const bool somebody_loads = read.ok() && !read->hit.has_value() && !read->as_of.empty();
  const std::chrono::milliseconds left = LeftToWait(call);
  if (somebody_loads && left.count() > 0) read = ReadOnce(flight, call, left);
  return read;
}

void Cache::ObserveLoad(std::string_view key, const absl::Status& status, int64_t nanos, bool joined) const {
  if (settings_.observer == nullptr) return;
  settings_.observer->OnLoad(
      {.key = key, .code = status.code(), .duration = std::chrono::nanoseconds(nanos), .joined = joined});
}

}  // namespace larder
