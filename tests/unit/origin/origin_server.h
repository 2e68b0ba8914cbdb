#ifndef LARDER_TESTS_UNIT_ORIGIN_ORIGIN_SERVER_H_
#define LARDER_TESTS_UNIT_ORIGIN_ORIGIN_SERVER_H_

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/mutex.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "larder/v1/origin.grpc.pb.h"

namespace larder {

// A Load that has reached the origin and waits there for its answer.
class HeldLoad {
 public:
  explicit HeldLoad(const v1::LoadRequest& request) : request_(request) {}

  const v1::LoadRequest& request() const { return request_; }
  std::vector<std::string> keys() const { return {request_.keys().begin(), request_.keys().end()}; }

  void Answer(const v1::LoadResponse& response) { End(grpc::Status::OK, response); }
  // Each key with "<key>'s value".
  void AnswerWithValues() {
    v1::LoadResponse response;
    for (const std::string& key : request_.keys()) response.add_results()->set_value(key + "'s value");
    Answer(response);
  }
  void Fail(grpc::StatusCode code, const std::string& message) { End(grpc::Status(code, message), {}); }

  grpc::Status AwaitAnswer(v1::LoadResponse* response) {
    MutexLock lock(&mutex_);
    while (!ended_) changed_.Wait(&mutex_);
    *response = response_;
    return status_;
  }

 private:
  void End(const grpc::Status& status, const v1::LoadResponse& response) {
    MutexLock lock(&mutex_);
    if (ended_) return;
    ended_ = true;
    status_ = status;
    response_ = response;
    changed_.NotifyAll();
  }

  const v1::LoadRequest request_;
  Mutex mutex_;
  CondVar changed_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mutex_);
  v1::LoadResponse response_ ABSL_GUARDED_BY(mutex_);
};

// A real gRPC server on loopback whose answers are the test's.
class OriginServer final : private v1::Origin::Service {
 public:
  // Says what the stream is to be; runs on the server's thread.
  using Stream = std::function<grpc::Status(grpc::ServerContext*, const v1::EnumerateRequest&,
                                            grpc::ServerWriter<v1::EnumerateResponse>*)>;

  explicit OriginServer(int port = 0) { Start(port); }
  ~OriginServer() { Stop(); }
  OriginServer(const OriginServer&) = delete;
  OriginServer& operator=(const OriginServer&) = delete;

  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }

  // From now on every Load is answered at once, with values.
  void AnswerByItself() { by_itself_ = true; }
  void set_stream(Stream stream) {
    MutexLock lock(&mutex_);
    stream_ = std::move(stream);
  }
  // What the last stream was asked for with.
  v1::EnumerateRequest enumerate_request() {
    MutexLock lock(&mutex_);
    return enumerate_request_;
  }

  // The next one, in the order of arrival; null, and a failure, if it does not come.
  std::shared_ptr<HeldLoad> AwaitLoad() {
    MutexLock lock(&mutex_);
    while (arrived_.empty()) {
      if (changed_.WaitFor(&mutex_, 10 * kNanosPerSecond)) continue;
      ADD_FAILURE() << "no Load has come";
      return nullptr;
    }
    std::shared_ptr<HeldLoad> load = arrived_.front();
    arrived_.pop_front();
    return load;
  }
  // Loads that have arrived and were not taken by AwaitLoad().
  size_t arrived() {
    MutexLock lock(&mutex_);
    return arrived_.size();
  }

  void Stop() {
    if (server_ == nullptr) return;
    {
      MutexLock lock(&mutex_);
      stopped_ = true;
      for (const std::shared_ptr<HeldLoad>& load : held_) load->Fail(grpc::StatusCode::UNAVAILABLE, "stopped");
    }
    server_->Shutdown(gpr_time_0(GPR_CLOCK_REALTIME));
    server_.reset();
  }
  // On the same port.
  void Restart() { Start(port_); }

 private:
  void Start(int port) {
    {
      MutexLock lock(&mutex_);
      stopped_ = false;
      arrived_.clear();
      held_.clear();
    }
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    builder.SetMaxReceiveMessageSize(-1);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }

  grpc::Status Load(grpc::ServerContext*, const v1::LoadRequest* request, v1::LoadResponse* response) override {
    const auto load = std::make_shared<HeldLoad>(*request);
    if (by_itself_) {
      load->AnswerWithValues();
      return load->AwaitAnswer(response);
    }
    {
      MutexLock lock(&mutex_);
      if (stopped_) return {grpc::StatusCode::UNAVAILABLE, "stopped"};
      arrived_.push_back(load);
      held_.push_back(load);
      changed_.NotifyAll();
    }
    return load->AwaitAnswer(response);
  }

  grpc::Status Enumerate(grpc::ServerContext* context, const v1::EnumerateRequest* request,
                         grpc::ServerWriter<v1::EnumerateResponse>* writer) override {
    Stream stream;
    {
      MutexLock lock(&mutex_);
      stream = stream_;
      enumerate_request_ = *request;
    }
    return stream(context, *request, writer);
  }

  int port_ = 0;
  std::atomic<bool> by_itself_{false};
  Mutex mutex_;
  CondVar changed_;
  Stream stream_ ABSL_GUARDED_BY(mutex_);
  v1::EnumerateRequest enumerate_request_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::shared_ptr<HeldLoad>> arrived_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<HeldLoad>> held_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace larder

#endif  // LARDER_TESTS_UNIT_ORIGIN_ORIGIN_SERVER_H_
