#include "server/redis/tracked_node.h"

#include <cassert>
#include <string_view>
#include <utility>

#include "server/redis/control_record.h"
#include "server/redis/tracking_commands.h"

namespace larder {
namespace {

constexpr uint64_t kHandshakeId = 0;
constexpr uint64_t kFactId = 1;
constexpr uint64_t kScriptId = 2;
constexpr uint64_t kTrackingId = 3;
constexpr uint64_t kQuestionId = 4;
constexpr uint64_t kToldId = 5;

}  // namespace

TrackedNode::TrackedNode(RedisLoop* loop, const RedisOptions& options, std::string life,
                         const std::map<std::string, NamespaceKeys>* namespaces, Events events)
    : loop_(loop), options_(options), life_(std::move(life)), namespaces_(*namespaces), events_(std::move(events)) {}

TrackedNode::~TrackedNode() { assert(session_ == nullptr); }

absl::Status TrackedNode::Connect() {
  RedisSession::Listener* const listener = this;
  session_ = std::make_unique<RedisSession>(loop_, listener);
  return session_->Connect(options_);
}

void TrackedNode::Close() {
  ready_ = false;
  handshake_.reset();
  if (session_ == nullptr) return;
  session_->Close();
  loop_->DestroyLater(std::move(session_));
}

void TrackedNode::Send(uint64_t id, const RedisPipeline& pipeline) {
  for (size_t i = 0; i < pipeline.size(); ++i) session_->Send(id, pipeline.command(i));
}

void TrackedNode::Ask(RedisPipeline questions) {
  questions.FillHashes(hashes_);
  Send(kQuestionId, questions);
}

void TrackedNode::Tell(const RedisPipeline& commands) { Send(kToldId, commands); }

void TrackedNode::OnConnected() {
  handshake_ = std::make_unique<RedisHandshake>(
      options_, std::vector<std::string>(), [this](const RedisPipeline& pipeline) { Send(kHandshakeId, pipeline); },
      RedisHandshake::Scope::kLogin);
  handshake_->Start();
}

void TrackedNode::OnReply(uint64_t id, RedisReplyPtr reply) {
  if (id == kToldId) return;
  if (id == kQuestionId) return events_.on_answer(RedisReplyView(reply));
  if (id == kFactId) return OnFact(std::move(reply));
  if (id == kScriptId) return OnScript(RedisReplyView(reply));
  if (id == kTrackingId) return OnTracking(RedisReplyView(reply));
  if (handshake_ == nullptr) return;
  handshake_->OnReply(std::move(reply));
  if (!handshake_->status().ok()) return events_.on_lost(std::string(handshake_->status().message()), false);
  if (!handshake_->done()) return;
  const bool speaks_resp3 = handshake_->speaks_resp3();
  handshake_.reset();
  // In the old protocol Redis would agree, and say nothing.
  if (!speaks_resp3) return events_.on_lost("it does not speak RESP3 here", true);
  RedisPipeline pipeline;
  pipeline.Add({"INFO", "server"}).Add({"INFO", "replication"});
  Send(kFactId, pipeline);
}

// COHERENCE C3: it must be in the life in which entries are read from it.
void TrackedNode::OnFact(RedisReplyPtr reply) {
  if (RedisReplyView(reply).IsError()) return GiveUp(RedisReplyView(reply));
  facts_.push_back(std::move(reply));
  if (facts_.size() < 2) return;
  const std::string_view server = RedisReplyView(facts_[0]).Text().value_or("");
  const std::string_view replication = RedisReplyView(facts_[1]).Text().value_or("");
  if (RunIdOf(ServerIdentity(server, replication)) != life_) {
    return events_.on_lost("another server than the store's", false);
  }
  RedisPipeline pipeline;
  pipeline.AddLoad(Script::kRegister, {.knows_flags = KnowsScriptFlags(server)});
  Send(kScriptId, pipeline);
}

void TrackedNode::OnScript(RedisReplyView reply) {
  if (reply.IsError()) return GiveUp(reply);
  hashes_[static_cast<size_t>(Script::kRegister)] = std::string(reply.Text().value_or(""));
  RedisPipeline pipeline;
  AddTracking(pipeline, namespaces_);
  Send(kTrackingId, pipeline);
}

void TrackedNode::OnTracking(RedisReplyView reply) {
  if (reply.ErrorCode() == "ERR") return events_.on_lost(std::string(StatusOfReply(reply).message()), true);
  if (reply.IsError()) return GiveUp(reply);
  ready_ = true;
  events_.on_ready();
}

void TrackedNode::OnPush(RedisReplyView push) {
  if (ready_ && push.size() == 2 && push[0].Text().value_or("") == "invalidate") events_.on_push(push[1]);
}

void TrackedNode::GiveUp(RedisReplyView error) {
  events_.on_lost(std::string(StatusOfReply(error).message()), IsConfigurationError(error.ErrorCode()));
}

}  // namespace larder
