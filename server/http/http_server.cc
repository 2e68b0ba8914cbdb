#include "server/http/http_server.h"

#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace larder {
namespace {

struct Listener {
  int socket = -1;
  uint16_t port = 0;
};

absl::Status CannotListen(const std::string& address, const char* why) {
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", why));
}

uint16_t PortOf(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

// An address as it stands; for a name those of its addresses that are of a kind this machine has.
int Resolve(const std::string& host, const std::string& port, AddressList& list) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_NUMERICHOST;
  int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error == EAI_NONAME) {
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_ADDRCONFIG;
    error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  }
  if (error == 0) list.reset(found);
  return error;
}

// A socket that listens at `at`; else minus errno.
int OpenListener(const addrinfo& at) {
  const int listener = socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener < 0) return -errno;
  // A restarted server takes its port over from the connections that its predecessor left behind.
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(listener, at.ai_addr, at.ai_addrlen) == 0 && listen(listener, SOMAXCONN) == 0) return listener;
  const int error = errno;
  close(listener);
  return -error;
}

// The sockets are opened here and not by microhttpd, which does not tell why it could not.
absl::StatusOr<Listener> Listen(const std::string& address) {
  const size_t colon = address.rfind(':');
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  int port_number = 0;
  if (!absl::SimpleAtoi(port, &port_number) || port_number < 0 || port_number > 65'535) {
    return absl::InvalidArgumentError(absl::StrCat(address, " is not host:port"));
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  AddressList list(nullptr, &freeaddrinfo);
  if (const int error = Resolve(host, port, list); error != 0) return CannotListen(address, gai_strerror(error));
  int first_error = 0;
  // IPv4 first: who asks at a name tries that in any case.
  for (const int family : {AF_INET, AF_INET6}) {
    for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
      if (at->ai_family != family) continue;
      const int listener = OpenListener(*at);
      if (listener >= 0) return Listener{listener, PortOf(listener)};
      if (first_error == 0) first_error = -listener;
    }
  }
  return CannotListen(address, first_error == 0 ? "it has no address" : std::strerror(first_error));
}

using Response = std::unique_ptr<MHD_Response, decltype(&MHD_destroy_response)>;

MHD_Result Send(MHD_Connection* connection, const HttpResponse& answer) {
  // The library only reads from a body that it is to copy.
  auto* body = const_cast<char*>(answer.body.data());
  const Response response(MHD_create_response_from_buffer(answer.body.size(), body, MHD_RESPMEM_MUST_COPY),
                          &MHD_destroy_response);
  if (response == nullptr) return MHD_NO;
  MHD_add_response_header(response.get(), MHD_HTTP_HEADER_CONTENT_TYPE, answer.content_type.c_str());
  if (answer.status == MHD_HTTP_METHOD_NOT_ALLOWED) {
    MHD_add_response_header(response.get(), MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
  }
  return MHD_queue_response(connection, static_cast<unsigned int>(answer.status), response.get());
}

}  // namespace

struct HttpServer::Impl {
  explicit Impl(std::vector<HttpRoute> served) : routes(std::move(served)) {}
  ~Impl() {
    if (daemon != nullptr) MHD_stop_daemon(daemon);
  }

  const HttpRoute* Find(std::string_view path) const {
    for (const HttpRoute& route : routes) {
      if (route.path == path) return &route;
    }
    return nullptr;
  }

  // Called for each request once its headers have been read, again for each part of its body, and once more at its end.
  // An answer at the first call makes the library close the connection after it: right for what is refused, whose body
  // is so not waited for.
  static MHD_Result Handle(void* self, MHD_Connection* connection, const char* path, const char* method,
                           const char* /*version*/, const char* /*body*/, size_t* body_size, void** state) {
    const HttpRoute* route = static_cast<const Impl*>(self)->Find(path);
    if (route == nullptr) return Send(connection, {MHD_HTTP_NOT_FOUND, "no such page\n"});
    const std::string_view verb = method;
    if (verb != MHD_HTTP_METHOD_GET && verb != MHD_HTTP_METHOD_HEAD) {
      return Send(connection, {MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD only\n"});
    }
    const bool first_call = *state == nullptr;
    if (first_call || *body_size != 0) {
      *state = self;
      *body_size = 0;
      return MHD_YES;
    }
    return Send(connection, route->handle());
  }

  const std::vector<HttpRoute> routes;
  MHD_Daemon* daemon = nullptr;
  uint16_t port = 0;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address, std::vector<HttpRoute> routes,
                                                              const Options& options) {
  const absl::StatusOr<Listener> listener = Listen(address);
  if (!listener.ok()) return listener.status();
  auto impl = std::make_unique<Impl>(std::move(routes));
  impl->port = listener->port;
  // The daemon owns the socket from here on.
  impl->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, nullptr, nullptr, &Impl::Handle, impl.get(),
                                  MHD_OPTION_LISTEN_SOCKET, listener->socket, MHD_OPTION_CONNECTION_LIMIT,
                                  static_cast<unsigned int>(options.max_connections), MHD_OPTION_CONNECTION_TIMEOUT,
                                  static_cast<unsigned int>(options.idle_timeout_seconds), MHD_OPTION_END);
  if (impl->daemon == nullptr) return CannotListen(address, "the HTTP server does not start");
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& address,
                                                              std::vector<HttpRoute> routes) {
  return Start(address, std::move(routes), Options());
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() = default;

uint16_t HttpServer::port() const { return impl_->port; }

}  // namespace larder
