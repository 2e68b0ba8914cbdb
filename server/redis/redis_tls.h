// TLS on a connection to Redis.
#ifndef LARDER_SERVER_REDIS_REDIS_TLS_H_
#define LARDER_SERVER_REDIS_REDIS_TLS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/redis/redis_options.h"

struct redisContext;
struct ssl_st;

namespace larder {

// Reads all that the options name, as a connection would. INVALID_ARGUMENT naming the field as `tls.ca_file: ...` if
// something cannot be used. Blocks on reading files.
absl::Status CheckTlsFiles(const RedisTlsOptions& options);

// The TLS side of one connection: from version 1.2 on, and with a peer whose certificate is good and for the name that
// was wanted, or not at all. Belongs to one thread.
class RedisTls {
 public:
  // Reads the files anew, so that one that was replaced counts from the next connection on; they are short and local.
  // INVALID_ARGUMENT as CheckTlsFiles(). `host`: what is connected to, and the wanted name unless the options have one.
  static absl::StatusOr<std::unique_ptr<RedisTls>> Create(const RedisTlsOptions& options, const std::string& host);
  ~RedisTls();
  RedisTls(const RedisTls&) = delete;
  RedisTls& operator=(const RedisTls&) = delete;

  // Begins to speak TLS on a connected context, whose reading and writing then does the rest. Once. False if that
  // failed at once.
  bool Attach(redisContext* context);

  // To be called before each step of the context: what OpenSSL says of a step is mixed with what it said before.
  static void ForgetErrors();

  // Decrypted bytes are waiting: the socket may be quiet, and the context has more to read.
  bool has_pending() const;
  // The last step could not go on because the socket takes no more, whether it was to read or to write.
  bool wants_write() const;
  // The two sides have agreed, on a connection that has not failed.
  bool is_agreed() const;

  // Why the connection failed, if that is TLS' doing; else `otherwise`. `answered`: Redis had said something by then.
  // To be called before the context is gone.
  std::string Explain(const std::string& otherwise, bool answered);
  // Only a change of a configuration or a certificate mends what Explain() told.
  bool needs_configuration() const { return needs_configuration_; }

 private:
  struct FreeSsl {
    void operator()(ssl_st* ssl) const;
  };

  RedisTls(std::unique_ptr<ssl_st, FreeSsl> ssl, std::string wanted_name);
  std::string ExplainVerification(long result) const;  // NOLINT: OpenSSL's type

  const std::unique_ptr<ssl_st, FreeSsl> ssl_;
  const std::string wanted_name_;
  bool needs_configuration_ = false;
};

}  // namespace larder

#endif  // LARDER_SERVER_REDIS_REDIS_TLS_H_
