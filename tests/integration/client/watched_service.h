// A replica that is watched, and says what a test wants it to.
#ifndef LARDER_TESTS_INTEGRATION_CLIENT_WATCHED_SERVICE_H_
#define LARDER_TESTS_INTEGRATION_CLIENT_WATCHED_SERVICE_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/mutex.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "larder/v1/cache.grpc.pb.h"

namespace larder {

// larder.v1.Cache in this process: every key has the value that is in force, for an hour. Thread-safe.
class WatchedService final : public v1::Cache::Service {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Listens on loopback.
  WatchedService() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~WatchedService() override {
    EndStream(grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone"));
    Hold(false);
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  }

  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }

  // Of what answers Gets.
  void SetValue(const std::string& value, uint64_t incarnation) {
    MutexLock lock(&mutex_);
    value_ = value;
    incarnation_ = incarnation;
  }
  void SetSliding(bool sliding) {
    MutexLock lock(&mutex_);
    sliding_ = sliding;
  }
  // Gets that arrive from now on are answered, with what is in force now, when that is over.
  void Hold(bool hold) {
    MutexLock lock(&mutex_);
    hold_ = hold;
    changed_.NotifyAll();
  }
  int gets() const {
    MutexLock lock(&mutex_);
    return gets_;
  }
  v1::GetRequest last_get() const {
    MutexLock lock(&mutex_);
    return last_get_;
  }

  // What renewals are answered, after a time. None: UNAVAILABLE.
  void SetRenewal(std::optional<v1::RenewWatchResponse> answer, std::chrono::milliseconds after = {}) {
    MutexLock lock(&mutex_);
    renewal_ = std::move(answer);
    renewal_after_ = after;
    renewals_ = 0;
  }
  // Since they were set.
  int renewals() const {
    MutexLock lock(&mutex_);
    return renewals_;
  }
  Time last_renewal() const {
    MutexLock lock(&mutex_);
    return last_renewal_;
  }

  // On the stream that is open, or the next one.
  void Tell(v1::WatchResponse message) {
    MutexLock lock(&mutex_);
    to_tell_.push_back(std::move(message));
    changed_.NotifyAll();
  }
  // Ends the stream that is open, or the next one, once everything has been told.
  void EndStream(grpc::Status status) {
    MutexLock lock(&mutex_);
    end_ = std::move(status);
    changed_.NotifyAll();
  }
  std::vector<v1::WatchRequest> streams() const {
    MutexLock lock(&mutex_);
    return streams_;
  }

  grpc::Status Get(grpc::ServerContext* /*context*/, const v1::GetRequest* request,
                   v1::GetResponse* response) override {
    MutexLock lock(&mutex_);
    ++gets_;
    last_get_ = *request;
    Fill(response);
    response->set_incarnation(incarnation_);
    while (hold_) changed_.Wait(&mutex_);
    return grpc::Status::OK;
  }

  grpc::Status BatchGet(grpc::ServerContext* /*context*/, const v1::BatchGetRequest* request,
                        v1::BatchGetResponse* response) override {
    MutexLock lock(&mutex_);
    for (int i = 0; i < request->keys_size(); ++i) Fill(response->add_results());
    response->set_incarnation(incarnation_);
    return grpc::Status::OK;
  }

  grpc::Status Watch(grpc::ServerContext* context, const v1::WatchRequest* request,
                     grpc::ServerWriter<v1::WatchResponse>* writer) override {
    constexpr int64_t kLook = 10'000'000;
    MutexLock lock(&mutex_);
    streams_.push_back(*request);
    while (!context->IsCancelled()) {
      if (!to_tell_.empty()) {
        const v1::WatchResponse message = to_tell_.front();
        to_tell_.pop_front();
        writer->Write(message);
      } else if (end_.has_value()) {
        const grpc::Status status = *end_;
        end_.reset();
        return status;
      } else {
        changed_.WaitFor(&mutex_, kLook);
      }
    }
    return grpc::Status::CANCELLED;
  }

  grpc::Status RenewWatch(grpc::ServerContext* /*context*/, const v1::RenewWatchRequest* /*request*/,
                          v1::RenewWatchResponse* response) override {
    MutexLock lock(&mutex_);
    ++renewals_;
    last_renewal_ = std::chrono::steady_clock::now();
    const auto until = last_renewal_ + renewal_after_;
    const std::optional<v1::RenewWatchResponse> answer = renewal_;
    for (auto now = last_renewal_; now < until; now = std::chrono::steady_clock::now()) {
      changed_.WaitFor(&mutex_, std::chrono::nanoseconds(until - now).count());
    }
    if (!answer.has_value()) return {grpc::StatusCode::UNAVAILABLE, "as scripted"};
    *response = *answer;
    return grpc::Status::OK;
  }

 private:
  void Fill(v1::GetResponse* response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    response->set_status(v1::STATUS_HIT);
    response->set_freshness(v1::FRESHNESS_FRESH);
    response->set_tier(v1::TIER_STORE);
    response->set_ttl_ms(3'600'000);
    response->set_hard_ttl_ms(3'600'000);
    response->set_version(1);
    response->set_value(value_);
    response->set_sliding(sliding_);
  }

  int port_ = 0;
  mutable Mutex mutex_;
  CondVar changed_;
  std::string value_ ABSL_GUARDED_BY(mutex_) = "value";
  uint64_t incarnation_ ABSL_GUARDED_BY(mutex_) = 0;
  bool sliding_ ABSL_GUARDED_BY(mutex_) = false;
  bool hold_ ABSL_GUARDED_BY(mutex_) = false;
  int gets_ ABSL_GUARDED_BY(mutex_) = 0;
  v1::GetRequest last_get_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::RenewWatchResponse> renewal_ ABSL_GUARDED_BY(mutex_);
  std::chrono::milliseconds renewal_after_ ABSL_GUARDED_BY(mutex_){0};
  int renewals_ ABSL_GUARDED_BY(mutex_) = 0;
  Time last_renewal_ ABSL_GUARDED_BY(mutex_);
  std::deque<v1::WatchResponse> to_tell_ ABSL_GUARDED_BY(mutex_);
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::WatchRequest> streams_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace larder

#endif  // LARDER_TESTS_INTEGRATION_CLIENT_WATCHED_SERVICE_H_
