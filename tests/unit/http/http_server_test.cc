#include "server/http/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace larder {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

// One connection to the loopback address.
class Client {
 public:
  explicit Client(uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // A test that would wait for ever fails instead.
    const timeval limit{30, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    connected_ = connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Client() { Close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  void Send(const std::string& text) { ASSERT_EQ(send(socket_, text.data(), text.size(), MSG_NOSIGNAL), text.size()); }

  // Sends what the server takes; it may close before it has read all of it.
  void TrySend(const std::string& text) { std::ignore = send(socket_, text.data(), text.size(), MSG_NOSIGNAL); }
  void EndSending() { shutdown(socket_, SHUT_WR); }

  // Up to the end of the first answer's body, which must be `body`.
  void ReadOne(const std::string& body) {
    std::string text;
    for (char c = 0; !text.ends_with(body) && recv(socket_, &c, 1, 0) == 1;) text.push_back(c);
    EXPECT_THAT(text, EndsWith(body));
  }

  // Everything up to the end of the connection.
  std::string ReadAll() {
    std::string text;
    char buffer[4096];
    for (ssize_t size = 0; (size = recv(socket_, buffer, sizeof(buffer), 0)) > 0;) {
      text.append(buffer, static_cast<size_t>(size));
    }
    return text;
  }
  void Close() {
    if (socket_ >= 0) close(std::exchange(socket_, -1));
  }

 private:
  int socket_;
  bool connected_ = false;
};

std::string Ask(uint16_t port, const std::string& request) {
  Client client(port);
  EXPECT_TRUE(client.connected());
  client.Send(request + "\r\nHost: here\r\nConnection: close\r\n\r\n");
  return client.ReadAll();
}

std::unique_ptr<HttpServer> StartServer(std::vector<HttpRoute> routes, const HttpServer::Options& options = {}) {
  auto server = HttpServer::Start("127.0.0.1:0", std::move(routes), options);
  EXPECT_TRUE(server.ok()) << server.status();
  return std::move(server).value();
}

std::vector<HttpRoute> Routes() {
  return {{"/healthz",
           [] {
             return HttpResponse{200, "ok\n"};
           }},
          {"/readyz",
           [] {
             return HttpResponse{503, "draining\n"};
           }},
          {"/metrics", [] {
             return HttpResponse{200, std::string(1 << 20, 'm'), "text/plain; version=0.0.4"};
           }}};
}

TEST(HttpServerTest, AnswersGet) {
  const auto server = StartServer(Routes());
  EXPECT_NE(server->port(), 0);
  const std::string answer = Ask(server->port(), "GET /healthz HTTP/1.1");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; charset=utf-8\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 3\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\nok\n"));
  EXPECT_THAT(Ask(server->port(), "GET /healthz?verbose=1 HTTP/1.1"), EndsWith("\r\n\r\nok\n"));
}

TEST(HttpServerTest, PassesOnWhatTheHandlerSays) {
  const auto server = StartServer(Routes());
  EXPECT_THAT(Ask(server->port(), "GET /readyz HTTP/1.1"), StartsWith("HTTP/1.1 503 "));
  const std::string metrics = Ask(server->port(), "GET /metrics HTTP/1.1");
  EXPECT_THAT(metrics, HasSubstr("Content-Type: text/plain; version=0.0.4\r\n"));
  EXPECT_EQ(metrics.size() - metrics.find("\r\n\r\n") - 4, 1 << 20);
}

TEST(HttpServerTest, AnswersHeadWithoutABody) {
  const auto server = StartServer(Routes());
  const std::string answer = Ask(server->port(), "HEAD /healthz HTTP/1.1");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 3\r\n"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST(HttpServerTest, RefusesOtherPathsAndMethods) {
  const auto server = StartServer(Routes());
  for (const std::string path : {"/", "/healthz/", "/HEALTHZ", "//healthz", "/metrics/../healthz"}) {
    const std::string answer = Ask(server->port(), "GET " + path + " HTTP/1.1");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 404 Not Found\r\n")) << path;
    EXPECT_THAT(answer, EndsWith("\r\n\r\nno such page\n")) << path;
  }
  for (const std::string method : {"POST", "PUT", "DELETE", "OPTIONS", "get", "X"}) {
    const std::string answer = Ask(server->port(), method + " /healthz HTTP/1.1");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 405 Method Not Allowed\r\n")) << method;
    EXPECT_THAT(answer, HasSubstr("Allow: GET, HEAD\r\n")) << method;
  }
  // A body that is announced is not waited for.
  EXPECT_THAT(Ask(server->port(), "POST /healthz HTTP/1.1\r\nContent-Length: 1000000"), StartsWith("HTTP/1.1 405 "));
}

TEST(HttpServerTest, SurvivesNonsense) {
  const auto server = StartServer(Routes(), {64, 1});
  for (const std::string& nonsense :
       {std::string("\r\n\r\n"), std::string("\0\xff\x16\x03\x01", 5), std::string("GET"), std::string(100'000, 'x'),
        "GET /" + std::string(100'000, 'x') + " HTTP/1.1\r\n\r\n", std::string("GET /healthz HTTP/9.9\r\n\r\n")}) {
    Client client(server->port());
    ASSERT_TRUE(client.connected());
    client.TrySend(nonsense);
    client.EndSending();
    client.ReadAll();
  }
  EXPECT_THAT(Ask(server->port(), "GET /healthz HTTP/1.1"), EndsWith("ok\n"));
}

TEST(HttpServerTest, KeepsAConnectionForSeveralRequests) {
  const auto server = StartServer(Routes());
  Client client(server->port());
  client.Send(
      "GET /healthz HTTP/1.1\r\nHost: here\r\n\r\nGET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
  const std::string answers = client.ReadAll();
  EXPECT_NE(answers.find("ok\n"), answers.rfind("ok\n")) << answers;
}

TEST(HttpServerTest, BoundsItsConnections) {
  std::atomic<int> late{0};
  std::vector<HttpRoute> routes = Routes();
  routes.push_back({"/late", [&late] {
                      ++late;
                      return HttpResponse{200, "late\n"};
                    }});
  const auto server = StartServer(routes, {2, 10});
  const std::string one_and_a_half = "/healthz HTTP/1.1\r\nHost: here\r\n\r\nGET ";
  Client first(server->port());
  Client second(server->port());
  for (Client* client : {&first, &second}) {
    client->Send("GET " + one_and_a_half);
    client->ReadOne("ok\n");
  }
  Client third(server->port());
  third.Send("GET /late HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
  // Two more turns of the server, in which it would have come to the third.
  for (int turn = 0; turn < 2; ++turn) {
    second.Send(one_and_a_half);
    second.ReadOne("ok\n");
  }
  EXPECT_EQ(late, 0);
  first.Close();
  EXPECT_THAT(third.ReadAll(), EndsWith("late\n"));
}

TEST(HttpServerTest, ClosesIdleConnections) {
  const auto server = StartServer(Routes(), {64, 1});
  Client client(server->port());
  client.Send("GET /heal");
  client.ReadAll();  // ends once the server has closed
  EXPECT_THAT(Ask(server->port(), "GET /healthz HTTP/1.1"), EndsWith("ok\n"));
}

TEST(HttpServerTest, ServesManyAtOnceAndEndsWithNoHandlerRunning) {
  std::atomic<int> handled{0};
  {
    const auto server = StartServer({{"/count", [&handled] {
                                        ++handled;
                                        return HttpResponse{200, "counted\n"};
                                      }}});
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([port = server->port()] {
        for (int i = 0; i < 20; ++i) EXPECT_THAT(Ask(port, "GET /count HTTP/1.1"), EndsWith("counted\n"));
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(handled, 160);
}

TEST(HttpServerTest, FreesItsPortAtItsEnd) {
  auto server = StartServer(Routes());
  const std::string address = "127.0.0.1:" + std::to_string(server->port());
  // A connection that the server closes first leaves its port in TIME_WAIT.
  EXPECT_THAT(Ask(server->port(), "GET /healthz HTTP/1.1"), EndsWith("ok\n"));
  server.reset();
  EXPECT_TRUE(HttpServer::Start(address, Routes()).ok());
}

TEST(HttpServerTest, ListensOnTheIpv4AddressOfAName) {
  const auto named = HttpServer::Start("localhost:0", Routes());
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_THAT(Ask((*named)->port(), "GET /healthz HTTP/1.1"), EndsWith("\r\n\r\nok\n"));
}

TEST(HttpServerTest, ListensOnIpv6) {
  const auto ipv6 = HttpServer::Start("[::1]:0", Routes());
  if (ipv6.ok()) {
    EXPECT_NE((*ipv6)->port(), 0);
  } else {
    // A machine without IPv6.
    EXPECT_EQ(ipv6.status().code(), absl::StatusCode::kUnavailable);
  }
}

TEST(HttpServerTest, SaysWhatItCannotListenOn) {
  const auto server = StartServer(Routes());
  const std::string taken = "127.0.0.1:" + std::to_string(server->port());
  const absl::Status status = HttpServer::Start(taken, Routes()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(std::string(status.message()), "cannot listen on " + taken + ": Address already in use");

  const absl::Status elsewhere = HttpServer::Start("192.0.2.1:0", Routes()).status();
  EXPECT_EQ(elsewhere.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(std::string(elsewhere.message()), "cannot listen on 192.0.2.1:0: Cannot assign requested address");

  for (const std::string address :
       {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1"}) {
    const absl::Status invalid = HttpServer::Start(address, Routes()).status();
    EXPECT_EQ(invalid.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_EQ(std::string(invalid.message()), address + " is not host:port");
  }
}

}  // namespace
}  // namespace larder
