#include "server/redis/change_listener.h"

#include <cassert>
#include <utility>

namespace larder {
namespace {

constexpr uint64_t kHandshakeId = 0;
constexpr uint64_t kServerId = 1;
constexpr uint64_t kSubscribeId = 2;

}  // namespace

ChangeListener::~ChangeListener() { assert(session_ == nullptr); }

void ChangeListener::Open(const RedisOptions& options, std::string identity, std::vector<std::string> channels) {
  options_ = options;
  identity_ = std::move(identity);
  channels_ = std::move(channels);
  facts_.clear();
  unconfirmed_ = channels_.size();
  RedisSession::Listener* const listener = this;
  session_ = std::make_unique<RedisSession>(loop_, listener);
  if (absl::Status status = session_->Connect(options_); !status.ok()) {
    events_.on_lost(std::string(status.message()));
  }
}

void ChangeListener::OnConnected() {
  handshake_ = std::make_unique<RedisHandshake>(
      options_, std::vector<std::string>(),
      [this](const RedisPipeline& pipeline) {
        for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kHandshakeId, pipeline.command(i));
      },
      RedisHandshake::Scope::kLogin);
  handshake_->Start();
}

void ChangeListener::OnReply(uint64_t id, RedisReplyPtr reply) {
  if (id == kSubscribeId) return OnChannelNews(RedisReplyView(reply));
  if (id == kServerId) return OnServer(std::move(reply));
  if (handshake_ == nullptr) return;
  handshake_->OnReply(std::move(reply));
  if (!handshake_->status().ok()) {
    const std::string reason(handshake_->status().message());
    return events_.on_lost(reason);
  }
  if (!handshake_->done()) return;
  handshake_.reset();
  RedisPipeline pipeline;
  pipeline.Add({"INFO", "server"}).Add({"INFO", "replication"});
  for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(kServerId, pipeline.command(i));
}

// Something in between, a balancer for one, may have led the two connections to two servers.
void ChangeListener::OnServer(RedisReplyPtr reply) {
  if (RedisReplyView(reply).IsError()) return events_.on_error(RedisReplyView(reply));
  facts_.push_back(std::move(reply));
  if (facts_.size() < 2) return;
  const std::string_view server = RedisReplyView(facts_[0]).Text().value_or("");
  const std::string_view replication = RedisReplyView(facts_[1]).Text().value_or("");
  if (ServerIdentity(server, replication) != identity_) return events_.on_lost("another server");
  if (InfoField(replication, "role").value_or("") != "master") return events_.on_lost("Redis is not the master");
  RedisPipeline pipeline;
  pipeline.Begin(1 + channels_.size()).Arg("SUBSCRIBE");
  for (const std::string& channel : channels_) pipeline.Arg(channel);
  session_->Send(kSubscribeId, pipeline.command(0));
}

void ChangeListener::OnChannelNews(RedisReplyView news) {
  if (news.IsError()) return events_.on_error(news);
  const std::string_view kind = news.size() == 3 ? news[0].Text().value_or("") : "";
  if (kind == "message") return events_.on_message(news[1].Text().value_or(""), news[2].Text().value_or(""));
  if (kind == "subscribe" && unconfirmed_ > 0 && --unconfirmed_ == 0) events_.on_ready();
}

void ChangeListener::Close() {
  handshake_.reset();
  if (session_ == nullptr) return;
  session_->Close();
  loop_->DestroyLater(std::move(session_));
}

}  // namespace larder
