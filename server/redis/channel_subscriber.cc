#include "server/redis/channel_subscriber.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"

namespace larder {
namespace {

constexpr uint64_t kHandshakeId = 0;
constexpr uint64_t kSubscribeId = 1;
// Of the operation timeout: how often it is made sure that the other side is there.
constexpr int64_t kTimeoutsPerCheck = 4;

}  // namespace

ChannelSubscriber::ChannelSubscriber(RedisLoop* loop, const Clock* clock, const RedisOptions& options, Where where,
                                     std::vector<std::string> channels, OnMessage on_message, OnTrouble on_trouble)
    : loop_(loop),
      clock_(clock),
      options_(options),
      where_(std::move(where)),
      channels_(std::move(channels)),
      on_message_(std::move(on_message)),
      on_trouble_(std::move(on_trouble)),
      backoff_(options.min_backoff_nanos, options.max_backoff_nanos) {}

ChannelSubscriber::~ChannelSubscriber() { assert(session_ == nullptr); }

void ChannelSubscriber::Connect() {
  if (closed_ || channels_.empty()) return;
  target_ = options_;
  if (where_) {
    const std::optional<RedisEndpoint> place = where_();
    if (!place.has_value()) return Lose("nobody knows where Redis is");
    target_ = OptionsFor(options_, *place);
  }
  RedisSession::Listener* const listener = this;
  session_ = std::make_unique<RedisSession>(loop_, listener);
  unconfirmed_ = channels_.size();
  if (absl::Status status = session_->Connect(target_); !status.ok()) return Lose(std::string(status.message()));
  timer_ = loop_->AddTimer(clock_->NowNanos() + options_.connect_timeout_nanos, [this] {
    timer_ = {};
    Lose("not subscribed in time");
  });
}

void ChannelSubscriber::OnConnected() {
  handshake_ = std::make_unique<RedisHandshake>(
      target_, std::vector<std::string>(),
      [this](const RedisPipeline& pipeline) {
        for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kHandshakeId, pipeline.command(i));
      },
      RedisHandshake::Scope::kLogin);
  handshake_->Start();
}

void ChannelSubscriber::Follow() {
  const std::optional<RedisEndpoint> place = where_ ? where_() : std::nullopt;
  if (closed_ || !place.has_value()) return;
  const bool is_there = session_ != nullptr && *place == RedisEndpoint{target_.host, target_.port};
  if (is_there) return;
  if (session_ != nullptr) Lose("Redis is elsewhere");
  loop_->CancelTimer(timer_);
  timer_ = {};
  Connect();
}

void ChannelSubscriber::Subscribe() {
  RedisPipeline pipeline;
  pipeline.Begin(1 + channels_.size()).Arg("SUBSCRIBE");
  for (const std::string& channel : channels_) pipeline.Arg(channel);
  session_->Send(kSubscribeId, pipeline.command(0));
}

void ChannelSubscriber::OnReply(uint64_t id, RedisReplyPtr reply) {
  if (id == kSubscribeId) return OnChannelNews(RedisReplyView(reply));
  if (handshake_ == nullptr) return;
  handshake_->OnReply(std::move(reply));
  if (!handshake_->status().ok()) return Lose(std::string(handshake_->status().message()));
  if (!handshake_->done()) return;
  handshake_.reset();
  Subscribe();
}

void ChannelSubscriber::OnChannelNews(RedisReplyView push) {
  const std::string_view kind = push.size() == 3 ? push[0].Text().value_or("") : "";
  if (kind == "message") return on_message_(push[1].Text().value_or(""), push[2].Text().value_or(""));
  if (kind != "subscribe" || unconfirmed_ == 0 || --unconfirmed_ != 0) return;
  backoff_.Reset();
  told_trouble_ = false;
  loop_->CancelTimer(timer_);
  ArmCheck();
  subscribed_.store(true);
  on_message_("", "");
}

void ChannelSubscriber::ArmCheck() {
  timer_ = loop_->AddTimer(clock_->NowNanos() + kTimeoutsPerCheck * options_.operation_timeout_nanos,
                           [this] { CheckSilence(); });
}

// The other side may be gone without a word, and a subscriber asks nothing that would find it out.
void ChannelSubscriber::CheckSilence() {
  timer_ = {};
  if (!heard_) return Lose("nothing came from Redis");
  heard_ = false;
  Subscribe();
  ArmCheck();
}

void ChannelSubscriber::DropSession() {
  loop_->CancelTimer(timer_);
  timer_ = {};
  handshake_.reset();
  if (session_ == nullptr) return;
  session_->Close();
  loop_->DestroyLater(std::move(session_));
}

void ChannelSubscriber::Lose(const std::string& reason) {
  const bool was_subscribed = subscribed_.exchange(false);
  DropSession();
  timer_ = loop_->AddTimer(clock_->NowNanos() + backoff_.Next(), [this] {
    timer_ = {};
    Connect();
  });
  // Anything else is told of by the store's own connection.
  if (on_trouble_ && !told_trouble_ && reason.starts_with("NOPERM")) {
    told_trouble_ = true;
    on_trouble_(reason);
  }
  if (was_subscribed) on_message_("", "");
}

void ChannelSubscriber::Close() {
  closed_ = true;
  subscribed_.store(false);
  DropSession();
}

}  // namespace larder
