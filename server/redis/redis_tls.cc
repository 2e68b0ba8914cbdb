#include "server/redis/redis_tls.h"

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, FreeContext>;

bool IsIpAddress(const std::string& host) {
  in6_addr ignored{};
  return inet_pton(AF_INET, host.c_str(), &ignored) == 1 || inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

std::string OpenSslReason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason == nullptr ? "not in PEM form" : reason;
}

// A file that is not there is said so, and not in OpenSSL's words.
absl::Status CannotUse(const char* field, const std::string& path) {
  const std::string place = absl::StrCat("tls.", field, ": cannot use \"", path, "\": ");
  struct stat found = {};
  if (stat(path.c_str(), &found) != 0 || (!S_ISDIR(found.st_mode) && !std::ifstream(path))) {
    return absl::InvalidArgumentError(absl::StrCat(place, std::strerror(errno)));
  }
  return absl::InvalidArgumentError(absl::StrCat(place, OpenSslReason()));
}

absl::Status TakeAuthorities(const RedisTlsOptions& options, SSL_CTX* context) {
  if (options.ca_file.empty() && options.ca_path.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) == 1) return absl::OkStatus();
    return absl::InvalidArgumentError("tls.ca_file: the system's CA certificates cannot be read; name a file");
  }
  if (!options.ca_file.empty() && SSL_CTX_load_verify_file(context, options.ca_file.c_str()) != 1) {
    return CannotUse("ca_file", options.ca_file);
  }
  if (options.ca_path.empty()) return absl::OkStatus();
  struct stat found = {};
  if (stat(options.ca_path.c_str(), &found) != 0) return CannotUse("ca_path", options.ca_path);
  if (!S_ISDIR(found.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("tls.ca_path: \"", options.ca_path, "\" is not a folder"));
  }
  return SSL_CTX_load_verify_dir(context, options.ca_path.c_str()) == 1 ? absl::OkStatus()
                                                                        : CannotUse("ca_path", options.ca_path);
}

absl::Status TakeCertificate(const RedisTlsOptions& options, SSL_CTX* context) {
  if (options.cert_file.empty()) return absl::OkStatus();
  if (SSL_CTX_use_certificate_chain_file(context, options.cert_file.c_str()) != 1) {
    return CannotUse("cert_file", options.cert_file);
  }
  // Nobody is asked for a passphrase: a key that has one cannot be used.
  SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return -1; });
  const bool taken = SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) == 1;
  if (taken && SSL_CTX_check_private_key(context) == 1) return absl::OkStatus();
  if (ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_X509) {
    return absl::InvalidArgumentError(
        absl::StrCat("tls.key_file: \"", options.key_file, "\" is not the key of \"", options.cert_file, "\""));
  }
  return CannotUse("key_file", options.key_file);
}

absl::StatusOr<ContextPtr> MakeContext(const RedisTlsOptions& options) {
  RedisTls::ForgetErrors();
  ContextPtr context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
    return absl::InternalError("cannot set up TLS");
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  absl::Status status = TakeAuthorities(options, context.get());
  if (status.ok()) status = TakeCertificate(options, context.get());
  RedisTls::ForgetErrors();
  if (!status.ok()) return status;
  return context;
}

// What the other side said before it closed, or what we found wrong with what it said. Empty if it is nothing that a
// configuration would cause.
std::string ExplainRefusal(int reason) {
  switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
      return "Redis does not speak TLS on this port";
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
      return "Redis demands a client certificate (tls.cert_file)";
    // So does TLS 1.2 say that, and that there is no cipher in common.
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
      return "Redis refused the TLS handshake; it may demand a client certificate (tls.cert_file)";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
      return "Redis does not know the CA of our certificate (tls.cert_file)";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
      return "our certificate (tls.cert_file) has expired, says Redis";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
      return "our certificate (tls.cert_file) is revoked, says Redis";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
      return "Redis refused our certificate (tls.cert_file)";
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
    case SSL_R_UNSUPPORTED_PROTOCOL:
      return "Redis speaks no version of TLS from 1.2 on";
    default:
      return "";
  }
}

}  // namespace

absl::Status CheckTlsFiles(const RedisTlsOptions& options) { return MakeContext(options).status(); }

void RedisTls::FreeSsl::operator()(ssl_st* ssl) const { SSL_free(ssl); }

RedisTls::RedisTls(std::unique_ptr<ssl_st, FreeSsl> ssl, std::string wanted_name)
    : ssl_(std::move(ssl)), wanted_name_(std::move(wanted_name)) {}

RedisTls::~RedisTls() = default;

absl::StatusOr<std::unique_ptr<RedisTls>> RedisTls::Create(const RedisTlsOptions& options, const std::string& host) {
  absl::StatusOr<ContextPtr> context = MakeContext(options);
  if (!context.ok()) return context.status();
  std::unique_ptr<ssl_st, FreeSsl> ssl(SSL_new(context->get()));
  if (ssl == nullptr) return absl::InternalError("cannot set up TLS");
  const std::string& wanted = options.server_name.empty() ? host : options.server_name;
  // hiredis would ask for the name but not compare it. Addresses are compared with addresses only, and not asked for.
  X509_VERIFY_PARAM* const verification = SSL_get0_param(ssl.get());
  bool is_set = false;
  if (IsIpAddress(wanted)) {
    is_set = X509_VERIFY_PARAM_set1_ip_asc(verification, wanted.c_str()) == 1;
  } else {
    X509_VERIFY_PARAM_set_hostflags(verification, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    is_set = X509_VERIFY_PARAM_set1_host(verification, wanted.c_str(), wanted.size()) == 1 &&
             SSL_set_tlsext_host_name(ssl.get(), wanted.c_str()) == 1;
  }
  ForgetErrors();
  if (!is_set) return absl::InvalidArgumentError("tls.server_name: not a name that a certificate can be for");
  return std::unique_ptr<RedisTls>(new RedisTls(std::move(ssl), wanted));
}

bool RedisTls::Attach(redisContext* context) {
  ForgetErrors();
  // One for hiredis, which frees its own with the context.
  SSL_up_ref(ssl_.get());
  if (redisInitiateSSL(context, ssl_.get()) == REDIS_OK) return true;
  SSL_free(ssl_.get());
  return false;
}

void RedisTls::ForgetErrors() { ERR_clear_error(); }

bool RedisTls::has_pending() const { return SSL_pending(ssl_.get()) > 0; }

bool RedisTls::wants_write() const { return SSL_want_write(ssl_.get()); }

bool RedisTls::is_agreed() const { return SSL_is_init_finished(ssl_.get()) == 1; }

std::string RedisTls::Explain(const std::string& otherwise, bool answered) {
  // Where writing failed first, what the other side said before it closed is still to be read.
  if (ERR_peek_error() == 0) {
    char ignored = 0;
    static_cast<void>(SSL_peek(ssl_.get(), &ignored, 1));
  }
  const unsigned long error = ERR_peek_error();  // NOLINT: OpenSSL's type
  const long verified = SSL_get_verify_result(ssl_.get());
  std::string refusal;
  if (verified != X509_V_OK) {
    refusal = ExplainVerification(verified);
  } else if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
    refusal = ExplainRefusal(ERR_GET_REASON(error));
  }
  needs_configuration_ = !refusal.empty();
  if (refusal.empty() && !answered) {
    const char* reason = ERR_reason_error_string(error);
    refusal = absl::StrCat("the TLS handshake failed: ", reason == nullptr ? otherwise : std::string(reason));
  }
  ForgetErrors();
  return refusal.empty() ? otherwise : refusal;
}

std::string RedisTls::ExplainVerification(long result) const {  // NOLINT: OpenSSL's type
  switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "the server's certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "the server's certificate is not valid yet";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return absl::StrCat("the server's certificate is not for \"", wanted_name_,
                          "\"; tls.server_name can say which name it is for");
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "the server's certificate is of a CA that is not trusted here (tls.ca_file)";
    default:
      return absl::StrCat("the server's certificate is not good: ", X509_verify_cert_error_string(result));
  }
}

}  // namespace larder
