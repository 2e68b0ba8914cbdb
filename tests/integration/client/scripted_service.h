// A peer on the wire that answers as a test says.
#ifndef LARDER_TESTS_INTEGRATION_CLIENT_SCRIPTED_SERVICE_H_
#define LARDER_TESTS_INTEGRATION_CLIENT_SCRIPTED_SERVICE_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/message.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/support/status.h"

namespace larder {

enum class Method { kGet, kSet, kRelease, kTouch, kBatchGet, kBatchSet, kInvalidate, kStats, kWarm };

// A call that has arrived.
struct Arrival {
  Method method = Method::kGet;
  int number = 0;                    // among those of its method, from 1
  std::string authorization = {};    // the metadata of that name; empty: none
  std::chrono::nanoseconds left{0};  // until its deadline
  // Of Warm the stream's first message.
  std::shared_ptr<const google::protobuf::Message> request = nullptr;

  template <typename Request>
  const Request& As() const {
    return static_cast<const Request&>(*request);
  }
};

struct Answer {
  grpc::Status status = {};
  // Null: misses, one for each key; writes and touches that succeed; empty Stats.
  std::shared_ptr<const google::protobuf::Message> response = nullptr;
  std::optional<std::string> version = {};  // of the trailing metadata `larder-version`
  bool held = false;                        // until it is released

  template <typename Response>
  static Answer Reply(Response message) {
    Answer answer;
    answer.response = std::make_shared<const Response>(std::move(message));
    return answer;
  }
  static Answer Fail(grpc::StatusCode code, const std::string& message = "as scripted") {
    Answer answer;
    answer.status = grpc::Status(code, message);
    return answer;
  }
  Answer Held() const {
    Answer answer = *this;
    answer.held = true;
    return answer;
  }
};

// Says what becomes of a call. Runs on the service's threads, several at a time.
using Script = std::function<Answer(const Arrival&)>;

// The calls of a method get the answers one after the other; further ones the last.
Script InTurn(std::vector<Answer> answers);

// larder.v1.Cache in this process. Thread-safe.
class ScriptedService {
 public:
  struct Options {
    std::string address = "127.0.0.1:0";                             // or `unix:/path`
    std::shared_ptr<grpc::ServerCredentials> credentials = nullptr;  // null: plaintext
    int max_request_bytes = 4 << 20;
  };

  static absl::StatusOr<std::unique_ptr<ScriptedService>> Start(Options options);
  static absl::StatusOr<std::unique_ptr<ScriptedService>> Start() { return Start(Options{}); }

  // Kills it.
  ~ScriptedService();
  ScriptedService(const ScriptedService&) = delete;
  ScriptedService& operator=(const ScriptedService&) = delete;

  // For ClientOptions: `127.0.0.1:port` or `unix:/path`.
  std::string target() const;
  int port() const { return port_; }

  // For the calls that arrive from now on. Without a script they succeed.
  void On(Method method, Script script);

  // The calls that have arrived, in order. What is held is among them.
  std::vector<Arrival> seen(Method method) const;
  int arrivals(Method method) const { return static_cast<int>(seen(method).size()); }

  // Blocks; false if fewer have arrived within a time that is long.
  bool AwaitArrivals(Method method, int count) const;
  // The same, of held calls that the caller, its deadline or Kill() ended.
  bool AwaitCancelled(int count) const;

  // Answers the calls that have been held longest; all by default.
  void Release();
  void Release(int count);

  // Cuts the connections and what is under way, and takes no more. Blocks until that is done.
  void Kill();

 private:
  class Service;

  explicit ScriptedService(std::string address);

  const std::string address_;
  int port_ = 0;
  const std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace larder

#endif  // LARDER_TESTS_INTEGRATION_CLIENT_SCRIPTED_SERVICE_H_
