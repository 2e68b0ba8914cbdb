// GetOrLoad, without its type.
#include "larder/load.h"

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
  GetOptions read;
  absl::FunctionRef<absl::Status(const Value&, std::chrono::milliseconds)> use;
  absl::FunctionRef<absl::StatusOr<Loaded>()> load;
  LoadReport* report;
};

}  // namespace internal

namespace {

using internal::Flight;
using internal::FlightOutcome;
using internal::Flights;
using internal::LoadCall;

constexpr size_t kMaxKeyBytes = KeyBuilder::kMaxBytes;

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

// A stale value is loaded again, as one of another type is.
bool CanUse(const Hit& hit, const LoadCall& call, absl::Status* why_not) {
  if (hit.freshness != Freshness::kFresh) return false;
  absl::Status used = call.use(hit.value, hit.ttl);
  const bool usable = used.ok();
  // A known absence is a miss to a T that has no form for it.
  if (!IsKnownAbsent(hit.value)) *why_not = std::move(used);
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

// What a fill may replace: nothing but what the read found.
Condition Unchanged(const MaybeHit& found) {
  return found.has_value() ? Condition::IfVersion(found->version) : Condition::IfAbsent();
}

absl::Status WaitedTooLong(const LoadCall& call) {
  return absl::DeadlineExceededError(absl::StrCat("key ", internal::Quoted(call.key),
                                                  ": another caller's loader did not end within ",
                                                  call.options.max_wait.count(), " ms"));
}

}  // namespace

absl::Status Cache::GetOrLoadBytes(std::string_view key, const Ttl& ttl, const LoadOptions& options, Use use,
                                   Load load) {
  LoadReport unasked;
  LoadCall call{.key = key,
                .ttl = ttl,
                .options = options,
                .read = {.name_space = options.name_space, .deadline = options.deadline, .near = options.near},
                .use = use,
                .load = load,
                .report = options.report == nullptr ? &unasked : options.report};
  *call.report = LoadReport();
  if (absl::Status refusal = Refusal(call); !refusal.ok()) return LoadAlone(call, std::move(refusal));

  absl::Status unusable;
  if (const MaybeHit hit = AtHand(key, call.read); hit.has_value() && CanUse(*hit, call, &unusable)) {
    Observe({.near_hits = 1});
    return absl::OkStatus();
  }

  call.read = Filled(std::move(call.read));
  std::shared_ptr<Flight> unwanted;
  while (true) {
    const Flights::Place place = flights_->Board(call.read.name_space, key, !options.near, unwanted.get());
    if (place.leads) return Lead(*place.flight, call);
    if (std::optional<absl::Status> joined = Join(*place.flight, call)) return *std::move(joined);
    // It was loaded as another type. It is replaced, as it would be had it been found in the cache.
    unwanted = place.flight;
  }
}

std::optional<absl::Status> Cache::Join(Flight& flight, const LoadCall& call) {
  const SystemClock clock;
  const int64_t began = clock.NowNanos();
  const std::optional<FlightOutcome> outcome = flight.Wait(call.options.max_wait);
  const int64_t waited = clock.NowNanos() - began;
  if (!outcome.has_value()) {
    absl::Status late = WaitedTooLong(call);
    ObserveLoad(call.key, late, waited, /*joined=*/true);
    call.report->source = LoadReport::Source::kJoined;
    return late;
  }

  Observe(outcome->found);
  if (outcome->loaded) ObserveLoad(call.key, outcome->value.status(), waited, /*joined=*/true);
  call.report->source = outcome->loaded ? LoadReport::Source::kJoined : LoadReport::Source::kCache;
  call.report->read = outcome->read;
  if (!outcome->value.ok()) return outcome->value.status();
  if (call.use(*outcome->value, outcome->left).ok()) return absl::OkStatus();
  return std::nullopt;
}

absl::Status Cache::Lead(Flight& flight, const LoadCall& call) {
  Leadership leadership(flights_.get(), &flight);
  FlightOutcome outcome;
  const absl::StatusOr<MaybeHit> read = Fetch(call, &outcome.found);
  outcome.read = read.status();
  if (read.ok() && read->has_value() && CanUse(**read, call, &outcome.read)) {
    call.report->source = LoadReport::Source::kCache;
    outcome.value = (*read)->value;
    outcome.left = (*read)->ttl;
    leadership.Publish(std::move(outcome));
    return absl::OkStatus();
  }

  call.report->read = outcome.read;
  outcome.loaded = true;
  absl::StatusOr<internal::Loaded> loaded = RunLoader(call);
  if (loaded.ok()) {
    outcome.value = Value(loaded->bytes, loaded->content_type);
  } else {
    outcome.value = loaded.status();
  }
  // The others need not wait for the fill.
  leadership.Publish(std::move(outcome));
  if (!loaded.ok()) return loaded.status();
  // A cache that did not answer the read would not answer the write; and on what condition to write is not known.
  if (read.ok()) Fill(flight, call, *std::move(loaded), Unchanged(*read));
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

void Cache::Fill(const Flight& flight, const LoadCall& call, internal::Loaded loaded, Condition condition) {
  if (loaded.absent && !call.options.absent_ttl.has_value()) return;
  if (!flights_->BeginFill(flight)) return;
  internal::Awaited<SetResult> answer;
  DoSet(std::string(call.key), std::move(loaded.bytes),
        {.name_space = call.read.name_space,
         .deadline = call.read.deadline,
         .ttl = loaded.absent ? *call.options.absent_ttl : call.ttl,
         .condition = condition,
         .content_type = std::move(loaded.content_type)},
        answer.Setter());
  const absl::StatusOr<SetResult> stored = answer.Take();
  call.report->stored = stored.ok();
  // ABORTED: somebody else has stored a value meanwhile.
  if (!absl::IsAborted(stored.status())) call.report->write = stored.status();
}

absl::StatusOr<MaybeHit> Cache::Fetch(const LoadCall& call, ReadReport* found) {
  internal::Awaited<MaybeHit> answer;
  DoGet(std::string(call.key), call.read, answer.Setter());
  absl::StatusOr<MaybeHit> read = answer.Take();
  internal::CountRead(read, found);
  Observe(*found);
  return read;
}

void Cache::ObserveLoad(std::string_view key, const absl::Status& status, int64_t nanos, bool joined) const {
  if (settings_.observer == nullptr) return;
  settings_.observer->OnLoad(
      {.key = key, .code = status.code(), .duration = std::chrono::nanoseconds(nanos), .joined = joined});
}

}  // namespace larder
