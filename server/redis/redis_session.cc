#include "server/redis/redis_session.h"

#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#include <cassert>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

// How long a silent TCP connection lives before the kernel asks whether the other side is still there.
constexpr int kKeepAliveSeconds = 15;

}  // namespace

// `data` of the context and of its events is the session.
struct RedisSession::Hooks {
  static RedisSession* Of(void* session) { return static_cast<RedisSession*>(session); }

  static void AddRead(void* session) { Of(session)->wants_read_ = true; }
  static void DeleteRead(void* session) { Of(session)->wants_read_ = false; }
  static void AddWrite(void* session) { Of(session)->wants_write_ = true; }
  static void DeleteWrite(void* session) { Of(session)->wants_write_ = false; }

  // Before the descriptor is closed.
  static void Cleanup(void* session) { Of(session)->loop_->Watch(Of(session)->fd_, false, false, nullptr); }

  // The context is being freed, whoever wished it.
  static void Freed(void* session) {
    Of(session)->context_ = nullptr;
    Of(session)->connected_ = false;
  }

  static void OnConnect(redisAsyncContext* context, int status) {
    RedisSession* session = Of(context->data);
    if (status != REDIS_OK) return session->NoteFailure(context->errstr);
    // Redis is told nothing before it has shown its certificate: OpenSSL holds back what is sent until then.
    if (session->tls_ != nullptr && !session->tls_->Attach(&context->c)) {
      session->NoteFailure(context->c.errstr);
      return redisAsyncFree(context);
    }
    session->connected_ = true;
    if (context->c.connection_type == REDIS_CONN_TCP) {
      redisEnableKeepAliveWithInterval(&context->c, kKeepAliveSeconds);
    }
    if (session->listener_ != nullptr) session->listener_->OnConnected();
  }

  static void OnDisconnect(const redisAsyncContext* context, int status) {
    if (status != REDIS_OK) Of(context->data)->NoteFailure(context->errstr);
  }

  // hiredis frees it when this has returned.
  static void OnPush(redisAsyncContext* context, void* push) {
    RedisSession* session = Of(context->data);
    if (push == nullptr || session->listener_ == nullptr) return;
    session->listener_->OnPush(RedisReplyView(static_cast<redisReply*>(push)));
  }

  // Null replies come when the context goes: OnClosed speaks for all of them.
  static void OnReply(redisAsyncContext* context, void* reply, void* request) {
    RedisReplyPtr owned(static_cast<redisReply*>(reply));
    RedisSession* session = Of(context->data);
    if (owned == nullptr || session->listener_ == nullptr) return;
    session->answered_ = true;
    session->listener_->OnReply(reinterpret_cast<uintptr_t>(request), std::move(owned));
  }
};

RedisSession::~RedisSession() {
  Close();
  assert(context_ == nullptr);
}

absl::Status RedisSession::Connect(const RedisOptions& options) {
  if (options.tls.enabled) {
    absl::StatusOr<std::unique_ptr<RedisTls>> tls = RedisTls::Create(options.tls, options.host);
    if (!tls.ok()) return tls.status();
    tls_ = *std::move(tls);
  }
  redisOptions wanted{};
  if (options.unix_path.empty()) {
    REDIS_OPTIONS_SET_TCP(&wanted, options.host.c_str(), options.port);
  } else {
    REDIS_OPTIONS_SET_UNIX(&wanted, options.unix_path.c_str());
  }
  wanted.options = REDIS_OPT_NOAUTOFREEREPLIES;
  redisAsyncContext* context = redisAsyncConnectWithOptions(&wanted);
  if (context == nullptr) return absl::UnavailableError("connect: no memory");
  if (context->err != 0) {
    absl::Status status = absl::UnavailableError(absl::StrCat("connect: ", context->errstr));
    redisAsyncFree(context);
    return status;
  }
  context_ = context;
  fd_ = context->c.fd;
  context->data = this;
  context->dataCleanup = Hooks::Freed;
  context->ev.data = this;
  context->ev.addRead = Hooks::AddRead;
  context->ev.delRead = Hooks::DeleteRead;
  context->ev.addWrite = Hooks::AddWrite;
  context->ev.delWrite = Hooks::DeleteWrite;
  context->ev.cleanup = Hooks::Cleanup;
  redisAsyncSetPushCallback(context, Hooks::OnPush);
  redisAsyncSetDisconnectCallback(context, Hooks::OnDisconnect);
  redisAsyncSetConnectCallbackNC(context, Hooks::OnConnect);
  UpdateInterest();
  return absl::OkStatus();
}

bool RedisSession::Send(uint64_t request, std::string_view command) {
  if (context_ == nullptr) return false;
  return redisAsyncFormattedCommand(context_, Hooks::OnReply, reinterpret_cast<void*>(uintptr_t{request}),
                                    command.data(), command.size()) == REDIS_OK;
}

size_t RedisSession::unwritten_bytes() const { return context_ == nullptr ? 0 : sdslen(context_->c.obuf); }

void RedisSession::Close() {
  listener_ = nullptr;
  // Inside one of its own callbacks hiredis only notes this, and frees the context when that has returned.
  if (context_ != nullptr) redisAsyncFree(context_);
}

std::string RedisSession::Awaited() const {
  if (!connected_) return "the connection";
  return tls_ != nullptr && !tls_->is_agreed() ? "the TLS handshake (does Redis speak TLS on this port?)" : "";
}

void RedisSession::NoteFailure(const std::string& what) {
  reason_ = tls_ == nullptr ? what : tls_->Explain(what, answered_);
  needs_configuration_ = tls_ != nullptr && tls_->needs_configuration();
  // What a server that speaks TLS says of plaintext, if it says anything, begins with the byte of an alert.
  const bool is_alert = what.find("got \"\\x15\" as reply type byte") != std::string::npos;
  if (tls_ == nullptr && connected_ && (!answered_ || is_alert)) {
    absl::StrAppend(&reason_, ", before anything was answered; if Redis speaks TLS on this port, write rediss://");
  }
}

void RedisSession::Read() {
  do {
    if (tls_ != nullptr) RedisTls::ForgetErrors();
    redisAsyncHandleRead(context_);
  } while (context_ != nullptr && tls_ != nullptr && tls_->has_pending());
}

void RedisSession::Write() {
  if (tls_ != nullptr) RedisTls::ForgetErrors();
  redisAsyncHandleWrite(context_);
  // hiredis takes it that TLS waits for the other side whenever the last attempt to read did, and would then write no
  // more before something is read.
  if (context_ != nullptr && tls_ != nullptr && unwritten_bytes() != 0 && tls_->wants_write()) wants_write_ = true;
}

void RedisSession::OnReadable() {
  if (context_ == nullptr) return;
  if (connected_ && listener_ != nullptr) listener_->OnBytes();
  Read();
  TellIfClosed();
}

void RedisSession::OnWritable() {
  if (context_ == nullptr) return;
  // What TLS itself has to say, for want of which it cannot read.
  const bool must_read = connected_ && tls_ != nullptr && unwritten_bytes() == 0 && tls_->wants_write();
  must_read ? Read() : Write();
  if (connected_ && listener_ != nullptr) listener_->OnWritten();
  TellIfClosed();
}

void RedisSession::OnTurnEnd() {
  // Tried at once rather than when epoll says so: a socket is nearly always writable. Once it has taken everything
  // nobody watches it any more, so that what the listener held back must follow here. Ends with the socket's room or
  // the listener's supply, since nothing is accepted or answered meanwhile.
  while (connected_ && wants_write_) {
    Write();
    if (!connected_ || unwritten_bytes() != 0) break;
    if (listener_ != nullptr) listener_->OnWritten();
  }
  UpdateInterest();
  TellIfClosed();
}

void RedisSession::UpdateInterest() {
  if (context_ == nullptr) return;
  const bool tls_wants_write = connected_ && tls_ != nullptr && tls_->wants_write();
  loop_->Watch(fd_, connected_ || wants_read_, wants_write_ || tls_wants_write, this);
}

void RedisSession::TellIfClosed() {
  if (context_ != nullptr || listener_ == nullptr) return;
  Listener* listener = listener_;
  listener_ = nullptr;
  listener->OnClosed(reason_.empty() ? "the connection was closed" : reason_);
}

}  // namespace larder
