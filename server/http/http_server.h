// A small HTTP server for people's and machines' looks at the process: metrics, health.
#ifndef LARDER_SERVER_HTTP_HTTP_SERVER_H_
#define LARDER_SERVER_HTTP_HTTP_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace larder {

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string content_type = "text/plain; charset=utf-8";
};

// Answers GET and HEAD of `path`, which is matched whole; the query is not looked at. `handle` is called on the
// server's thread, one call at a time; while it runs nobody else is served.
struct HttpRoute {
  std::string path;
  std::function<HttpResponse()> handle;
};

// Serves from the time it is made until it is destroyed, on one thread of its own. Other paths get 404, other methods
// 405. Knows neither TLS nor callers' identities: what it answers must be fit for everybody who can reach it.
class HttpServer {
 public:
  struct Options {
    int max_connections = 64;       // more wait to be accepted
    int idle_timeout_seconds = 10;  // a connection on which nothing moves is closed
  };

  // `address` is host:port, the host a name, an IPv4 address or an IPv6 address in brackets; port 0 takes a free one.
  // INVALID_ARGUMENT if it is none; UNAVAILABLE, naming it, if it cannot be listened on.
  // May look up the host's name; of its addresses the first that can be listened on is taken, IPv4 before IPv6.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address, std::vector<HttpRoute> routes,
                                                           const Options& options);
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& address, std::vector<HttpRoute> routes);

  // Closes every connection and waits for a handler that is running. No handler is called after it.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace larder

#endif  // LARDER_SERVER_HTTP_HTTP_SERVER_H_
