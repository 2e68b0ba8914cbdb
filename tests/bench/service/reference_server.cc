// What larderd is held against: servers of larder.v1.Cache/Get that do no more than they must. And an origin for it.
//
//   reference_server echo      raw messages and completion queues, as larderd has them; the answer is ready beforehand
//   reference_server callback  gRPC's callback API and generated messages; the value is copied into each answer
//   reference_server blocking  a synchronous handler that borrows one of 16 connections to Redis and waits for its
//                              answer, as such services are often written
//   reference_server origin    a larder.v1.Origin that needs a millisecond for each key and does eight calls at once
//
// It listens on loopback at a free port and says `port N`. Every answer has as many bytes as one of larderd's near
// hits.
#include <hiredis/hiredis.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "core/mutex.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "larder/v1/cache.grpc.pb.h"
#include "larder/v1/origin.grpc.pb.h"
#include "tests/bench/service/values.h"

namespace larder::bench {
namespace {

struct Settings {
  std::string mode;
  size_t value_bytes = 100;
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  int redis_port = 0;
  uint64_t wrong_every = 0;  // answers; 0: none is wrong. To see that a wrong value is noticed
};

constexpr size_t kConnections = 16;
constexpr int kArmed = 1'000;  // calls of each queue

// All but the value, as a near hit of larderd has it.
void FillHit(v1::GetResponse& response) {
  response.set_status(v1::STATUS_HIT);
  response.set_tier(v1::TIER_NEAR);
  response.set_freshness(v1::FRESHNESS_FRESH);
  response.set_age_ms(20'000);
  response.set_ttl_ms(3'580'000);
  response.set_hard_ttl_ms(3'580'000);
  response.set_version(0x1234'5678'9abc'def0);
  response.set_incarnation(0x0fed'cba9'8765'4321);
}

v1::GetResponse HitOfKeyZero(size_t value_bytes, bool is_wrong) {
  v1::GetResponse response;
  FillHit(response);
  response.set_value(Values(value_bytes).Of(is_wrong ? 1 : 0));
  return response;
}

grpc::ByteBuffer Serialized(const v1::GetResponse& response) {
  const grpc::Slice slice(response.SerializeAsString());
  return {&slice, 1};
}

// --- echo ---

using EchoService = v1::Cache::WithRawMethod_Get<v1::Cache::Service>;

// One thread's queue and the answers it gives.
struct EchoQueue {
  EchoService* service = nullptr;
  std::unique_ptr<grpc::ServerCompletionQueue> queue;
  grpc::ByteBuffer answer;
  grpc::ByteBuffer wrong_answer;
  uint64_t wrong_every = 0;
  uint64_t answers = 0;
};

// Owns itself, from being armed until it is answered.
class EchoCall {
 public:
  explicit EchoCall(EchoQueue* queue) : queue_(queue) {
    queue->service->RequestGet(&context_, &request_, &responder_, queue->queue.get(), queue->queue.get(), this);
  }

  void Proceed(bool ok) {
    if (!ok || is_answered_) {
      delete this;
      return;
    }
    new EchoCall(queue_);
    is_answered_ = true;
    ++queue_->answers;
    const bool is_wrong = queue_->wrong_every != 0 && queue_->answers % queue_->wrong_every == 0;
    responder_.Finish(is_wrong ? queue_->wrong_answer : queue_->answer, grpc::Status::OK, this);
  }

 private:
  EchoQueue* const queue_;
  bool is_answered_ = false;
  grpc::ServerContext context_;
  grpc::ByteBuffer request_;
  grpc::ServerAsyncResponseWriter<grpc::ByteBuffer> responder_{&context_};
};

void PollEcho(EchoQueue* queue) {
  for (int i = 0; i < kArmed; ++i) new EchoCall(queue);
  void* tag = nullptr;
  bool ok = false;
  while (queue->queue->Next(&tag, &ok)) static_cast<EchoCall*>(tag)->Proceed(ok);
}

// --- callback ---

class CallbackService final : public v1::Cache::CallbackService {
 public:
  explicit CallbackService(size_t value_bytes) : value_(Values(value_bytes).Of(0)) {}

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const v1::GetRequest* /*request*/,
                                v1::GetResponse* response) override {
    FillHit(*response);
    response->set_value(value_);
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  const std::string value_;
};

// --- blocking ---

// Connections to lend. Thread-safe.
class ConnectionPool {
 public:
  explicit ConnectionPool(int port) {
    for (size_t i = 0; i < kConnections; ++i) free_.push_back(redisConnect("127.0.0.1", port));
  }
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;
  ~ConnectionPool() {
    for (redisContext* context : free_) redisFree(context);
  }

  // Waits for one to be free.
  redisContext* Take() {
    MutexLock lock(&mutex_);
    while (free_.empty()) returned_.Wait(&mutex_);
    redisContext* const context = free_.back();
    free_.pop_back();
    return context;
  }
  void Return(redisContext* context) {
    MutexLock lock(&mutex_);
    free_.push_back(context);
    returned_.NotifyOne();
  }

 private:
  Mutex mutex_;
  CondVar returned_;
  std::vector<redisContext*> free_ ABSL_GUARDED_BY(mutex_);
};

class BlockingService final : public v1::Cache::Service {
 public:
  explicit BlockingService(int redis_port) : pool_(redis_port) {}

  grpc::Status Get(grpc::ServerContext* /*context*/, const v1::GetRequest* request,
                   v1::GetResponse* response) override {
    redisContext* const connection = pool_.Take();
    auto* const reply =
        static_cast<redisReply*>(redisCommand(connection, "GET %b", request->key().data(), request->key().size()));
    pool_.Return(connection);
    if (reply == nullptr) return {grpc::StatusCode::UNAVAILABLE, "Redis does not answer"};
    if (reply->type == REDIS_REPLY_STRING) {
      FillHit(*response);
      response->set_tier(v1::TIER_STORE);
      response->set_value(reply->str, reply->len);
    } else {
      response->set_status(v1::STATUS_MISS);
    }
    freeReplyObject(reply);
    return grpc::Status::OK;
  }

 private:
  ConnectionPool pool_;
};

// --- origin ---

// Can do 8,000 keys a second, in as many calls as it likes.
class SlowOrigin final : public v1::Origin::Service {
 public:
  explicit SlowOrigin(size_t value_bytes) : values_(value_bytes) {}

  grpc::Status Load(grpc::ServerContext* /*context*/, const v1::LoadRequest* request,
                    v1::LoadResponse* response) override {
    free_.acquire();
    std::this_thread::sleep_for(std::chrono::milliseconds(request->keys_size()));
    free_.release();
    for (const std::string& text : request->keys()) {
      v1::LoadedKey* const loaded = response->add_results();
      uint64_t key = 0;
      if (text.size() < 4 || !absl::SimpleAtoi(text.substr(4), &key)) {
        loaded->set_error("this is no key");
        continue;
      }
      loaded->set_value(values_.Of(key));
      loaded->set_do_not_cache(true);
    }
    return grpc::Status::OK;
  }

 private:
  const Values values_;
  std::counting_semaphore<8> free_{8};
};

// --- the program ---

// Serves until it is killed.
int Serve(grpc::ServerBuilder& builder, std::vector<EchoQueue> queues) {
  int port = 0;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) return 1;
  std::vector<std::jthread> threads;
  threads.reserve(queues.size());
  for (EchoQueue& queue : queues) threads.emplace_back(PollEcho, &queue);
  std::printf("port %d\n", port);
  std::fflush(stdout);
  server->Wait();
  return 0;
}

int ServeEcho(const Settings& settings) {
  grpc::ServerBuilder builder;
  EchoService service;
  builder.RegisterService(&service);
  std::vector<EchoQueue> queues(static_cast<size_t>(settings.threads));
  for (EchoQueue& queue : queues) {
    queue = {.service = &service,
             .queue = builder.AddCompletionQueue(),
             .answer = Serialized(HitOfKeyZero(settings.value_bytes, /*is_wrong=*/false)),
             .wrong_answer = Serialized(HitOfKeyZero(settings.value_bytes, /*is_wrong=*/true)),
             .wrong_every = settings.wrong_every};
  }
  return Serve(builder, std::move(queues));
}

int ServeWith(grpc::Service& service) {
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  return Serve(builder, {});
}

int Main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Servers that larderd is held against.");
  app.add_option("mode", settings.mode)->required()->check(CLI::IsMember({"echo", "callback", "blocking", "origin"}));
  app.add_option("--value-bytes", settings.value_bytes, "of each answer")->check(CLI::Range(8, 1 << 20));
  app.add_option("--threads", settings.threads, "of the echo: a completion queue each")->check(CLI::Range(1, 64));
  app.add_option("--redis-port", settings.redis_port, "of blocking");
  app.add_option("--wrong-every", settings.wrong_every, "of the echo: each so many answers another value; 0: none");
  CLI11_PARSE(app, argc, argv);

  if (settings.mode == "echo") return ServeEcho(settings);
  if (settings.mode == "callback") {
    CallbackService service(settings.value_bytes);
    return ServeWith(service);
  }
  if (settings.mode == "origin") {
    SlowOrigin service(settings.value_bytes);
    return ServeWith(service);
  }
  BlockingService service(settings.redis_port);
  return ServeWith(service);
}

}  // namespace
}  // namespace larder::bench

int main(int argc, char** argv) { return larder::bench::Main(argc, argv); }
