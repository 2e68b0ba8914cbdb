#include "larder/client.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/src/batch_calls.h"
#include "client/src/call_maker.h"
#include "client/src/gatherer.h"
#include "client/src/names_groups.h"
#include "client/src/near_key_text.h"
#include "client/src/options_check.h"
#include "client/src/unary_call.h"
#include "client/src/warm_call.h"
#include "client/src/wire.h"

namespace larder {

using internal::CallEnd;
using internal::CallSpec;
using internal::KeyIdentity;
using internal::PendingGet;

class Client::Impl {
 public:
  Impl(const ClientOptions& options, std::vector<internal::Target> targets) : maker(options, std::move(targets)) {}

  int64_t Now() const { return maker.env.clock.NowNanos(); }

  void Read(std::string key, GetOptions options, bool want_lease, Callback<absl::StatusOr<LeasedRead>> done);

  internal::CallMaker maker;
  internal::Gatherer gatherer{&maker.env};
};

void Client::Impl::Read(std::string key, GetOptions options, bool want_lease,
                        Callback<absl::StatusOr<LeasedRead>> done) {
  KeyIdentity identity = maker.Identify(options.name_space, key);
  const internal::NearTier::Ticket ticket = maker.near.Begin(identity.hash);
  std::shared_ptr<internal::Replica> replica = maker.env.replicas.Pick(identity.route, {});
  maker.watches.Use(replica, options.name_space);
  const CallSpec spec = maker.Spec(options.deadline, /*repeatable=*/true, identity.route, options.wait);

  PendingGet get;
  get.key = std::move(key);
  get.near = options.near && maker.NearMayAnswer(options.name_space, identity, replica.get());
  get.fresh_only = options.fresh_only;
  get.want_lease = want_lease;
  get.wait_until_nanos = spec.wait_until_nanos;
  get.name_space = std::move(options.name_space);
  get.gatherable = !want_lease && options.wait.count() == 0 && options.deadline == maker.env.options.deadline;
  get.deadline_is_own = spec.deadline_is_own;
  get.deadline_nanos = spec.deadline_nanos;
  get.route = spec.route;
  get.done = [this, began = Now(), identity = std::move(identity), ticket, done = std::move(done)](
                 absl::Status status, const v1::GetResponse& response, const CallEnd& end) mutable {
    if (status.ok() && response.status() == v1::STATUS_UNAVAILABLE) {
      status = absl::UnavailableError("the service could not ask its store for this key");
    }
    maker.Report("Get", status, began, end.attempts, 1);
    if (!status.ok()) return std::move(done)(status);
    LeasedRead read = internal::ToLeasedMiss(response);
    if (internal::IsHit(response)) {
      const bool is_kept = maker.near.enabled() && internal::IsFreshHit(response);
      const std::string_view near_key = is_kept ? std::string_view(identity.near_key) : std::string_view();
      EntryRef entry = internal::ToEntry(response, end.sent_nanos, near_key);
      if (is_kept) {
        const uint64_t incarnation = response.incarnation() != 0 ? response.incarnation() : end.incarnation;
        maker.near.Admit(identity.near_key, identity.hash, entry, ticket,
                         maker.SessionOf(internal::NamespaceOf(identity.near_key), incarnation, response));
      }
      read.hit = internal::ToHit(response, std::move(entry));
    }
    std::move(done)(std::move(read));
  };
  gatherer.Get(std::move(replica), std::move(get));
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(ClientOptions options) {
  if (absl::Status status = internal::CheckOptions(options); !status.ok()) return status;
  absl::StatusOr<std::vector<internal::Target>> targets = internal::ParseTargets(options.target);
  if (!targets.ok()) return targets.status();
  Settings settings;
  settings.failed_reads_are_misses = options.failed_reads_are_misses;
  settings.observer = options.observer;
  settings.name_space = options.name_space;
  settings.deadline = options.deadline;
  auto impl = std::make_unique<Impl>(options, *std::move(targets));
  return std::unique_ptr<Client>(new Client(std::move(settings), std::move(impl)));
}

Client::Client(Settings settings, std::unique_ptr<Impl> impl) : Cache(std::move(settings)), impl_(std::move(impl)) {}

Client::~Client() {
  // While the members still stand: callbacks may make calls, which then end at once.
  impl_->maker.env.Close();
}

absl::Status Client::WaitUntilReady(std::chrono::milliseconds timeout) {
  constexpr std::chrono::milliseconds kLookAgain{20};  // replicas come and go while we wait
  const auto deadline = std::chrono::system_clock::now() + timeout;
  while (true) {
    const auto replicas = impl_->maker.env.replicas.All();
    const auto away =
        std::find_if(replicas.begin(), replicas.end(), [](const auto& replica) { return replica->Distance() != 0; });
    if (!replicas.empty() && away == replicas.end()) return absl::OkStatus();
    const auto now = std::chrono::system_clock::now();
    if (now >= deadline) break;
    const auto next = std::min(now + kLookAgain, deadline);
    if (replicas.empty()) {
      impl_->maker.env.resolver.LookSoon();
      std::this_thread::sleep_until(next);
    } else {
      (*away)->channel().WaitForStateChange((*away)->channel().GetState(/*try_to_connect=*/true), next);
    }
  }
  const auto replicas = impl_->maker.env.replicas.All();
  if (std::any_of(replicas.begin(), replicas.end(), [](const auto& replica) { return replica->Distance() == 0; })) {
    return absl::OkStatus();
  }
  return absl::DeadlineExceededError(absl::StrCat("no replica of \"", impl_->maker.env.options.target,
                                                  "\" was ready within ", timeout.count(), " ms"));
}

ServiceState Client::state() const { return impl_->maker.env.breaker.state(); }

std::vector<std::string> Client::Replicas() const {
  std::vector<std::string> addresses;
  for (const auto& replica : impl_->maker.env.replicas.All()) addresses.push_back(replica->address().uri);
  return addresses;
}

MaybeHit Client::GetAtHand(std::string_view key, const GetOptions& options) {
  internal::NearTier& near = impl_->maker.near;
  if (!near.enabled() || !options.near) return std::nullopt;
  const int64_t now = impl_->Now();
  const internal::NearKeyText near_key(options.name_space, key);
  EntryRef entry = near.Find(near_key.text(), NearCache::Hash(near_key.text()), now);
  if (!entry) return std::nullopt;
  return internal::ToNearHit(std::move(entry), now);
}

void Client::DoGet(std::string key, GetOptions options, Callback<absl::StatusOr<MaybeHit>> done) {
  impl_->Read(std::move(key), std::move(options), /*want_lease=*/false,
              [done = std::move(done)](absl::StatusOr<LeasedRead> read) mutable {
                if (!read.ok()) return std::move(done)(read.status());
                std::move(done)(std::move(read->hit));
              });
}

void Client::DoGetOrLease(std::string key, GetOptions options, Callback<absl::StatusOr<LeasedRead>> done) {
  impl_->Read(std::move(key), std::move(options), /*want_lease=*/true, std::move(done));
}

void Client::DoRelease(std::string key, std::string lease, CallOptions options, Callback<absl::StatusOr<bool>> done) {
  internal::CallMaker& maker = impl_->maker;
  const uint64_t route = maker.Identify(options.name_space, key).route;
  v1::ReleaseRequest request;
  request.set_namespace_(std::move(options.name_space));
  request.set_key(std::move(key));
  request.set_lease(std::move(lease));
  internal::ReleaseCall::Start(
      &maker.env, maker.Spec(options.deadline, /*repeatable=*/true, route), std::move(request), nullptr,
      [&maker, began = impl_->Now(), done = std::move(done)](const absl::Status& status, v1::ReleaseResponse&& response,
                                                             const CallEnd& end) mutable {
        maker.Report("Release", status, began, end.attempts, 1);
        if (!status.ok()) return std::move(done)(status);
        std::move(done)(response.released());
      });
}

void Client::DoSet(std::string key, std::string value, SetOptions options, Callback<absl::StatusOr<SetResult>> done) {
  internal::CallMaker& maker = impl_->maker;
  std::vector<KeyIdentity> identities = {maker.Identify(options.name_space, key)};
  maker.BeforeWrite(identities);
  CallSpec spec = maker.Spec(options.deadline, /*repeatable=*/false, identities.front().route);
  internal::SetCall::Start(&maker.env, std::move(spec), internal::ToMessage(std::move(key), std::move(value), options),
                           nullptr,
                           [&maker, began = impl_->Now(), identities = std::move(identities), done = std::move(done)](
                               const absl::Status& status, v1::SetResponse&& response, const CallEnd& end) mutable {
                             maker.AfterWrite(identities, status, end.replica);
                             maker.Report("Set", status, began, end.attempts, 1);
                             if (!status.ok()) return std::move(done)(status);
                             std::move(done)(SetResult{response.version(), std::chrono::milliseconds(response.ttl_ms()),
                                                       response.degraded()});
                           });
}

void Client::DoTouch(std::string key, TouchOptions options, Callback<absl::StatusOr<bool>> done) {
  internal::CallMaker& maker = impl_->maker;
  // What is kept of it has its old expiry.
  std::vector<KeyIdentity> identities = {maker.Identify(options.name_space, key)};
  maker.BeforeWrite(identities);
  CallSpec spec = maker.Spec(options.deadline, /*repeatable=*/true, identities.front().route);
  internal::TouchCall::Start(&maker.env, std::move(spec), internal::ToMessage(std::move(key), options), nullptr,
                             [&maker, began = impl_->Now(), identities = std::move(identities), done = std::move(done)](
                                 const absl::Status& status, v1::TouchResponse&& response, const CallEnd& end) mutable {
                               maker.AfterWrite(identities, status, end.replica);
                               maker.Report("Touch", status, began, end.attempts, 1);
                               if (!status.ok()) return std::move(done)(status);
                               std::move(done)(response.status() == v1::STATUS_HIT);
                             });
}

void Client::DoBatchGet(std::vector<std::string> keys, GetOptions options,
                        Callback<absl::StatusOr<BatchGetResults>> done) {
  internal::StartBatchGet(&impl_->maker, std::move(keys), std::move(options), std::move(done));
}

void Client::DoBatchSet(std::vector<SetItem> items, CallOptions options,
                        Callback<absl::StatusOr<BatchSetResults>> done) {
  internal::StartBatchSet(&impl_->maker, std::move(items), std::move(options), std::move(done));
}

void Client::DoInvalidate(Invalidation what, CallOptions options, Callback<absl::StatusOr<InvalidateResult>> done) {
  internal::CallMaker& maker = impl_->maker;
  std::vector<KeyIdentity> identities;
  for (const std::string& key : what.keys) identities.push_back(maker.Identify(options.name_space, key));
  // Which entries groups concern, the near cache cannot know (COHERENCE W5).
  const bool any_key = what.all || internal::NamesGroups(what);
  maker.BeforeWrite(identities);
  if (any_key) maker.BeforeWriteOfAll();
  const int count = std::max<int>(1, static_cast<int>(identities.size()));
  CallSpec spec = maker.Spec(options.deadline, /*repeatable=*/true, identities.empty() ? 0 : identities.front().route);
  v1::InvalidateRequest request = internal::ToMessage(std::move(what), options.name_space);
  internal::InvalidateCall::Start(
      &maker.env, std::move(spec), std::move(request), nullptr,
      [&maker, began = impl_->Now(), identities = std::move(identities), any_key, count,
       name_space = std::move(options.name_space), done = std::move(done)](
          const absl::Status& status, v1::InvalidateResponse&& response, const CallEnd& end) mutable {
        maker.AfterWrite(identities, status, end.replica);
        if (any_key) maker.AfterWriteOfAll(name_space, status, end.replica);
        maker.Report("Invalidate", status, began, end.attempts, count);
        if (!status.ok()) return std::move(done)(status);
        std::move(done)(InvalidateResult{response.dropped(), response.collapsed(), response.deferred()});
      });
}

void Client::DoWarm(std::shared_ptr<internal::WarmFeed> feed, WarmOptions options,
                    Callback<absl::StatusOr<WarmProgress>> done) {
  internal::CallMaker& maker = impl_->maker;
  internal::WarmCall::Start(&maker.env, std::move(feed), std::move(options),
                            [&maker, began = impl_->Now(), done = std::move(done)](
                                absl::StatusOr<WarmProgress> progress, const CallEnd& end) mutable {
                              maker.Report("Warm", progress.status(), began, end.attempts, 0);
                              std::move(done)(std::move(progress));
                            });
}

void Client::DoStats(StatsOptions options, Callback<absl::StatusOr<ServiceStats>> done) {
  internal::CallMaker& maker = impl_->maker;
  v1::StatsRequest request;
  for (std::string& name : options.name_spaces) request.add_namespaces(std::move(name));
  CallSpec spec = maker.Spec(options.deadline, /*repeatable=*/true, 0);
  internal::StatsCall::Start(&maker.env, std::move(spec), std::move(request), nullptr,
                             [&maker, began = impl_->Now(), done = std::move(done)](
                                 const absl::Status& status, v1::StatsResponse&& response, const CallEnd& end) mutable {
                               maker.Report("Stats", status, began, end.attempts, 0);
                               if (!status.ok()) return std::move(done)(status);
                               std::move(done)(std::make_shared<const v1::StatsResponse>(std::move(response)));
                             });
}

}  // namespace larder
