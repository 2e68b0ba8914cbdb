#include "server/app/application.h"

#include <atomic>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/mutex.h"
#include "server/config/describe.h"
#include "server/config/resources.h"
#include "server/engine/cache_engine.h"
#include "server/engine/deferrals.h"
#include "server/engine/inspector.h"
#include "server/engine/near_leases.h"
#include "server/engine/near_membership.h"
#include "server/engine/sweeper.h"
#include "server/engine/timer_thread.h"
#include "server/engine/warm_jobs.h"
#include "server/http/http_server.h"
#include "server/metrics/metrics.h"
#include "server/metrics/process_metrics.h"
#include "server/origin/grpc_origin.h"
#include "server/origin/origin_loop.h"
#include "server/redis/redis_options.h"
#include "server/redis/redis_store.h"
#include "server/redis/redis_tls.h"
#include "server/rpc/admin_service.h"
#include "server/rpc/cache_service.h"
#include "server/rpc/health_service.h"
#include "server/rpc/rpc_server.h"
#include "server/store/embedded_store.h"
#include "server/store/journaled_store.h"
#include "server/store/measured_store.h"
#include "server/store/random_bits.h"
#include "server/store/store_gauges.h"

namespace larder {

// In the order of construction; destroyed in the reverse. What answers calls goes first, what they need last.
struct Application::Parts {
  ServerSettings settings;
  const Clock* clock = nullptr;
  Logger* logger = nullptr;
  Mutex readiness;
  std::atomic<bool> ready{false};  // changed under `readiness`
  bool draining ABSL_GUARDED_BY(readiness) = false;
  bool stopped = false;
  Registry registry;
  std::unique_ptr<JournaledStore> store;
  std::unique_ptr<StoreGauges> store_gauges;
  std::unique_ptr<TimerThread> scheduler;
  std::unique_ptr<OriginLoop> origin_loop;
  std::map<std::string, std::unique_ptr<GrpcOrigin>> origins;  // by namespace
  std::unique_ptr<CacheEngine> engine;
  std::unique_ptr<NearMembership> near_membership;
  std::unique_ptr<NearLeases> near_leases;
  std::unique_ptr<Deferrals> deferrals;
  std::unique_ptr<Sweeper> sweeper;
  std::unique_ptr<Inspector> inspector;
  std::unique_ptr<WarmJobs> warm_jobs;
  std::unique_ptr<CacheService> cache_service;
  std::unique_ptr<AdminService> admin_service;
  std::unique_ptr<HealthService> health_service;
  std::unique_ptr<RpcServer> rpc;
  std::unique_ptr<HttpServer> http;
};

namespace {

constexpr char kVersion[] = LARDER_VERSION;
constexpr int64_t kRenewalsPerLease = 4;  // so that one that is late, or lost, costs no near hit
constexpr int64_t kNotePatienceNanos = kNanosPerSecond;
constexpr char kPlainText[] = "text/plain; charset=utf-8";
constexpr char kExpositionFormat[] = "text/plain; version=0.0.4; charset=utf-8";

const char* StateName(StoreInfo::State state) {
  switch (state) {
    case StoreInfo::State::kReady:
      return "ready";
    case StoreInfo::State::kConnecting:
      return "connecting";
    case StoreInfo::State::kDown:
      return "down";
  }
  return "";
}

absl::StatusOr<RedisOptions> ToRedisOptions(const ServerSettings& settings) {
  absl::StatusOr<RedisOptions> options = ParseRedisUrl(settings.redis.url);
  if (!options.ok()) return absl::InvalidArgumentError(absl::StrCat("store.redis.url: ", options.status().message()));
  const ServerSettings::Redis& redis = settings.redis;
  if (redis.user) options->user = *redis.user;
  if (redis.password) options->password = *redis.password;
  if (redis.database) options->database = *redis.database;
  options->sentinel_user = redis.sentinel.user;
  options->sentinel_password = redis.sentinel.password.value_or("");
  if (redis.tls.enabled) options->tls.enabled = *redis.tls.enabled;
  options->tls.ca_file = redis.tls.ca_file;
  options->tls.ca_path = redis.tls.ca_path;
  options->tls.cert_file = redis.tls.cert_file;
  options->tls.key_file = redis.tls.key_file;
  options->tls.server_name = redis.tls.server_name;
  options->prefix = redis.prefix;
  options->connect_timeout_nanos = redis.connect_timeout_ms * kNanosPerMilli;
  options->operation_timeout_nanos = redis.operation_timeout_ms * kNanosPerMilli;
  options->min_backoff_nanos = redis.min_backoff_ms * kNanosPerMilli;
  options->max_backoff_nanos = redis.max_backoff_ms * kNanosPerMilli;
  options->renew_every_nanos = settings.near.lease_ms * kNanosPerMilli / kRenewalsPerLease;
  options->tracks = settings.near.coherence == NearCoherence::kTracking;
  options->near_lease_nanos = settings.near.lease_ms * kNanosPerMilli;
  options->max_pending = static_cast<size_t>(redis.max_pending);
  options->connections = static_cast<size_t>(redis.connections);
  options->compress_from_bytes = static_cast<size_t>(redis.compress_from_bytes);
  absl::Status status = CheckRedisOptions(*options);
  if (status.ok() && options->tls.enabled) status = CheckTlsFiles(options->tls);
  if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat("store.redis.", status.message()));
  return options;
}

// The policies as a running server can take them: its namespaces, their shares of the near tier, their
// origins and their warm-ups stay.
std::vector<NamespacePolicy> Applicable(const std::vector<NamespacePolicy>& in_force,
                                        const std::vector<NamespacePolicy>& wanted) {
  std::vector<NamespacePolicy> policies = in_force;
  for (NamespacePolicy& policy : policies) {
    for (const NamespacePolicy& other : wanted) {
      if (other.name != policy.name) continue;
      NamespacePolicy next = other;
      next.near_share = policy.near_share;
      next.origin = std::move(policy.origin);
      next.warm_jobs = std::move(policy.warm_jobs);
      policy = std::move(next);
    }
  }
  return policies;
}

absl::StatusOr<std::unique_ptr<Store>> MakeStore(const ServerSettings& settings, const Clock* clock, Logger* logger) {
  if (settings.redis.url.empty()) {
    return std::make_unique<EmbeddedStore>(
        clock, EmbeddedStore::Options{.capacity_bytes = static_cast<size_t>(settings.embedded.capacity_bytes)});
  }
  absl::StatusOr<RedisOptions> options = ToRedisOptions(settings);
  if (!options.ok()) return options.status();
  std::vector<std::string> namespaces;
  for (const NamespacePolicy& policy : settings.namespaces) namespaces.push_back(policy.name);
  auto store = std::make_unique<RedisStore>(
      clock, RedisStore::Parts{.options = *std::move(options),
                               .namespaces = std::move(namespaces),
                               .warn = [logger](std::string_view message) { logger->Warning(message); },
                               .inform = [logger](std::string_view message) { logger->Info(message); }});
  if (absl::Status status = store->Start(); !status.ok()) return status;
  return store;
}

HttpResponse Readiness(const std::atomic<bool>& ready, const WarmJobs& warm_jobs, const JournaledStore& store) {
  const std::vector<std::string> held_by = warm_jobs.Holding();
  std::string advice;
  for (const std::string& sentence : store.Advice()) absl::StrAppend(&advice, "advice: ", sentence, "\n");
  if (const std::string news = store.CoherenceAdvice(); !news.empty()) absl::StrAppend(&advice, "advice: ", news, "\n");
  // Not a question of the store: without it near hits are still served, and taking every replica out of service
  // because Redis is away would make it worse.
  return {.status = ready ? 200 : 503,
          .body = absl::StrCat(ready ? "ready" : "not ready",
                               held_by.empty() ? "" : absl::StrCat("\nwarming up: ", absl::StrJoin(held_by, ", ")),
                               "\nstore: ", StateName(store.state()), "\n", advice),
          .content_type = kPlainText};
}

bool HearsOfChanges(const ServerSettings& settings) { return settings.near.coherence != NearCoherence::kAge; }

// Who tells of all that changes, so that it can be watched.
ChangeLog::Source WatchedSource(const ServerSettings& settings, const Store& store) {
  if (store.exclusive()) return ChangeLog::Source::kWrites;
  return HearsOfChanges(settings) ? ChangeLog::Source::kTold : ChangeLog::Source::kNone;
}

void LogWarmUp(Logger& logger, const WarmJobStatus& job) {
  const bool failed = job.state == WarmJobStatus::State::kFailed;
  logger.Log(failed ? LogLevel::kWarning : LogLevel::kInfo, failed ? "a warm-up failed" : "a warm-up has ended",
             {{"namespace", job.name_space},
              {"job", job.job},
              {"written", job.counts.written},
              {"skipped", job.counts.skipped},
              {"failed", job.counts.failed},
              {"elapsed_ms", job.elapsed_nanos / kNanosPerMilli},
              {"detail", job.detail}});
}

}  // namespace

void Application::MakeOrigins(Parts& parts) {
  for (const NamespacePolicy& policy : parts.settings.namespaces) {
    if (!policy.origin.has_value()) continue;
    if (parts.origin_loop == nullptr) parts.origin_loop = std::make_unique<OriginLoop>();
    parts.origins[policy.name] = std::make_unique<GrpcOrigin>(policy, parts.origin_loop.get(), parts.scheduler.get(),
                                                              parts.clock, &parts.registry);
  }
}

void Application::SetReady(Parts& parts, bool ready) {
  MutexLock lock(&parts.readiness);
  if (parts.draining) return;  // a warm-up that ends now does not make it ready again
  parts.draining = !ready;
  parts.ready = ready;
  parts.health_service->SetServing(ready);
}

std::unique_ptr<JournaledStore> Application::MakeJournal(Parts& parts, std::unique_ptr<Store> store) {
  JournaledStore::Parts needed{
      .name_spaces = {},
      .max_entries = static_cast<size_t>(parts.settings.redis.journal_entries),
      .later = [scheduler = parts.scheduler.get()](
                   int64_t when_nanos,
                   absl::AnyInvocable<void() &&> task) { scheduler->At(when_nanos, std::move(task)); },
      .warn = [logger = parts.logger](std::string_view message) { logger->Warning(message); },
      .inform = [logger = parts.logger](std::string_view message) { logger->Info(message); }};
  for (const NamespacePolicy& policy : parts.settings.namespaces) needed.name_spaces.push_back(policy.name);
  auto measured = std::make_unique<MeasuredStore>(std::move(store), parts.clock, &parts.registry);
  return std::make_unique<JournaledStore>(std::move(measured), std::move(needed), parts.clock, &parts.registry);
}

void Application::MakeWarmJobs(Parts& parts) {
  WarmJobs::Parts needed{
      .engine = parts.engine.get(),
      .store = parts.store.get(),
      .clock = parts.clock,
      .scheduler = parts.scheduler.get(),
      .registry = &parts.registry,
      .on_ended = [logger = parts.logger](const WarmJobStatus& job) { LogWarmUp(*logger, job); },
      .on_ready = [&parts] { SetReady(parts, true); },
  };
  for (const auto& [name, origin] : parts.origins) needed.origins[name] = origin.get();
  parts.warm_jobs = std::make_unique<WarmJobs>(parts.settings.namespaces, std::move(needed));
}

Application::Application(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

absl::Status Application::Check(const ServerSettings& settings) {
  if (settings.redis.url.empty()) return absl::OkStatus();
  return ToRedisOptions(settings).status();
}

absl::StatusOr<std::unique_ptr<Application>> Application::Start(const ServerSettings& settings, const Clock* clock,
                                                                Logger* logger) {
  auto parts = std::make_unique<Parts>();
  parts->settings = settings;
  parts->clock = clock;
  parts->logger = logger;
  absl::StatusOr<std::unique_ptr<Store>> store = MakeStore(settings, clock, logger);
  if (!store.ok()) return store.status();
  parts->scheduler = std::make_unique<TimerThread>(clock);
  parts->store = MakeJournal(*parts, *std::move(store));
  MakeOrigins(*parts);
  CacheEngine::Options engine{.near_capacity_bytes = static_cast<size_t>(settings.near.capacity_bytes),
                              .namespaces = settings.namespaces,
                              .version_seed = RandomNonZeroBits(),
                              .origins = {},
                              .max_strong_waits = static_cast<size_t>(settings.near.max_strong_waits)};
  for (const auto& [name, origin] : parts->origins) engine.origins[name] = origin.get();
  parts->engine = std::make_unique<CacheEngine>(std::move(engine), parts->store.get(), clock, parts->scheduler.get(),
                                                &parts->registry);
  // Before the store is called, or may tell of anything.
  parts->deferrals = std::make_unique<Deferrals>(parts->engine.get(), clock);
  parts->store->SetListener(parts->deferrals.get());
  const ChangeLog::Source watched = WatchedSource(settings, *parts->store);
  for (Keyspace* space : parts->engine->keyspaces()) {
    space->changes().Configure({.source = watched, .capacity = static_cast<size_t>(settings.watch.buffer_events)},
                               clock);
  }
  const int64_t near_lease = settings.near.lease_ms * kNanosPerMilli;
  parts->near_membership = std::make_unique<NearMembership>(parts->engine.get(), parts->store.get(), clock,
                                                            parts->scheduler.get(), near_lease);
  if (!parts->store->exclusive()) parts->near_membership->Start();
  parts->near_leases =
      std::make_unique<NearLeases>(parts->engine.get(), near_lease, &parts->registry, parts->near_membership.get());
  if (HearsOfChanges(settings)) parts->store->SetNearHolder(parts->near_leases.get());
  parts->sweeper = std::make_unique<Sweeper>(
      Sweeper::Options{.interval_nanos = settings.sweep.interval_ms * kNanosPerMilli,
                       .max_keys_per_second = settings.sweep.max_keys_per_second,
                       .step_keys = settings.sweep.step_keys,
                       .id = RandomNonZeroBits()},
      parts->engine.get(), parts->store.get(), clock, parts->scheduler.get(), &parts->registry);
  parts->cache_service = std::make_unique<CacheService>(
      CacheService::Options{.server_version = kVersion,
                            .max_response_bytes = static_cast<size_t>(settings.grpc.max_response_bytes),
                            .incarnation = watched == ChangeLog::Source::kNone ? 0 : RandomNonZeroBits(),
                            .max_watchers = static_cast<size_t>(settings.watch.max_watchers),
                            .max_pipeline_operations = static_cast<size_t>(settings.grpc.max_pipeline_operations),
                            .max_pipeline_bytes = static_cast<size_t>(settings.grpc.max_pipeline_bytes)},
      parts->engine.get(), parts->store.get(), clock, parts->scheduler.get(), &parts->registry);
  parts->inspector = std::make_unique<Inspector>(
      Inspector::Options{.max_page_bytes = static_cast<size_t>(settings.grpc.max_response_bytes) / 2},
      parts->engine.get(), parts->store.get(), clock);
  MakeWarmJobs(*parts);
  parts->admin_service =
      std::make_unique<AdminService>(parts->engine.get(), parts->inspector.get(), parts->sweeper.get(),
                                     parts->warm_jobs.get(), parts->scheduler.get(), &parts->registry);
  parts->health_service =
      std::make_unique<HealthService>(std::set<std::string>{"larder.v1.Cache", "larder.v1.Admin"}, &parts->registry);

  // From here on ~Application takes down whatever has been started.
  std::unique_ptr<Application> application(new Application(std::move(parts)));
  application->AddMetrics();
  if (absl::Status status = application->Listen(); !status.ok()) return status;
  return application;
}

void Application::AddMetrics() {
  Parts& parts = *parts_;
  AddProcessMetrics(&parts.registry);
  parts.registry.AddGauge("larder_memory_limit_bytes", "Memory that the container or the machine lets the process use.",
                          {}, [limit = static_cast<double>(DetectResources().memory_bytes)] { return limit; });
  parts.registry.AddGauge("larder_build_info", "1, with the release in the label.", {{"version", kVersion}},
                          [] { return 1.0; });
  for (const char* mode : {"exclusive", "tracking", "pubsub", "age"}) {
    parts.registry.AddGauge("cache_coherence_mode", "1 for the way in which near tiers are kept coherent just now.",
                            {{"mode", mode}}, [mode = std::string_view(mode), store = parts.store.get()] {
                              return mode == CoherenceMode(*store) ? 1.0 : 0.0;
                            });
  }
  parts.registry.AddGauge("cache_members", "Registered replicas, for which STRONG writes wait, this one included.", {},
                          [store = parts.store.get()] { return static_cast<double>(store->members()); });
  parts.store_gauges = std::make_unique<StoreGauges>(parts.store.get(), parts.clock, &parts.registry);
  parts.store_gauges->Refresh();
}

absl::Status Application::Listen() {
  Parts& parts = *parts_;
  const ServerSettings::Grpc& grpc = parts.settings.grpc;
  // Before the gRPC server: once that listens, calls come.
  int http_port = 0;
  if (!parts.settings.operations.listen.empty()) {
    absl::StatusOr<std::unique_ptr<HttpServer>> http = HttpServer::Start(
        parts.settings.operations.listen,
        {{"/metrics",
          [&parts]() -> HttpResponse {
            return {.status = 200, .body = parts.registry.RenderText(), .content_type = kExpositionFormat};
          }},
         {"/healthz", []() -> HttpResponse { return {.status = 200, .body = "ok\n", .content_type = kPlainText}; }},
         {"/readyz", [&parts] { return Readiness(parts.ready, *parts.warm_jobs, *parts.store); }}});
    if (!http.ok()) return absl::UnavailableError(absl::StrCat("operations.listen: ", http.status().message()));
    parts.http = *std::move(http);
    http_port = parts.http->port();
  }

  absl::StatusOr<std::unique_ptr<RpcServer>> rpc =
      RpcServer::Start({.listen = grpc.listen,
                        .threads = grpc.threads,
                        .max_request_bytes = grpc.max_request_bytes,
                        .max_concurrent_streams = grpc.max_concurrent_streams,
                        .max_connection_age_ms = grpc.max_connection_age_ms},
                       {parts.cache_service.get(), parts.admin_service.get(), parts.health_service.get()}, parts.clock);
  if (!rpc.ok()) return rpc.status();
  parts.rpc = *std::move(rpc);
  parts.sweeper->Start();
  parts.warm_jobs->Start(parts.settings.warming_enabled);  // and be ready, unless one of them holds that
  parts.logger->Info("serving", {{"version", kVersion},
                                 {"grpc_port", parts.rpc->port()},
                                 {"operations_port", http_port},
                                 {"store", parts.store->exclusive() ? "embedded" : "redis"},
                                 {"threads", grpc.threads},
                                 {"near_capacity_bytes", parts.settings.near.capacity_bytes}});
  return absl::OkStatus();
}

void Application::Reload(const ServerSettings& settings) {
  Parts& parts = *parts_;
  const ConfigDiff diff = DiffPolicies(parts.settings, settings);
  for (const std::string& line : diff.needs_restart) {
    parts.logger->Warning("changed in the configuration, but needs a restart", {{"change", line}});
  }
  for (const std::string& line : diff.policy) parts.logger->Info("applying a change of policy", {{"change", line}});
  parts.settings.namespaces = Applicable(parts.settings.namespaces, settings.namespaces);
  for (const NamespacePolicy& policy : parts.settings.namespaces) {
    const auto origin = parts.origins.find(policy.name);
    if (origin != parts.origins.end()) origin->second->ReplacePolicy(policy);
  }
  parts.engine->ReplacePolicies(
      parts.settings.namespaces, std::numeric_limits<int64_t>::max(),
      [logger = parts.logger](absl::StatusOr<bool> done) {
        if (done.ok()) return logger->Info("policies are in force");
        logger->Error("a namespace stays off: no barrier could be raised before switching it on; reload again",
                      {{"error", std::string(done.status().message())}});
      });
}

void Application::Housekeep() { parts_->store_gauges->Refresh(); }

void Application::Stop() {
  Parts& parts = *parts_;
  if (parts.stopped) return;
  parts.stopped = true;
  parts.warm_jobs->Stop();
  SetReady(parts, false);
  const bool served = parts.rpc != nullptr;
  if (served) {
    parts.logger->Info("draining", {{"timeout_ms", parts.settings.grpc.drain_timeout_ms}});
    parts.health_service->EndWatches();
    parts.cache_service->EndStreams();
    parts.engine->StopWaiting();
    parts.rpc->Shutdown(parts.settings.grpc.drain_timeout_ms);
  }
  parts.warm_jobs->NoteHotKeys(kNotePatienceNanos);
  // What waits for the store ends here.
  for (const std::string& sentence : parts.store->Advice()) {
    parts.logger->Warning(absl::StrCat("stopping although ", sentence));
  }
  // Only now: calls under way needed them. What an origin still had to load gives its lease back to the store.
  parts.scheduler->Stop();
  for (const auto& [name, origin] : parts.origins) origin->Shutdown();
  parts.store->Shutdown();
  // Calls that were cut off just now may have added to it.
  if (const size_t lost = parts.store->waiting(); lost > 0) {
    parts.logger->Warning(
        absl::StrCat(lost, " invalidations that the store was never told of are lost with this process"));
  }
  parts.http.reset();
  if (served) parts.logger->Info("stopped");
}

Application::~Application() { Stop(); }

}  // namespace larder
