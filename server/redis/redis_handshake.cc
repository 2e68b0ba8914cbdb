#include "server/redis/redis_handshake.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/redis/control_record.h"

namespace larder {
namespace {

constexpr int64_t kFirstMajorWithScriptFlags = 7;

// The name of the step's error for people. Not the server's own words where the command held the password: old
// servers repeat the arguments of a command that they do not know.
std::string Explain(std::string_view what, RedisReplyView reply) {
  const std::string code(reply.ErrorCode());
  if (code == "NOAUTH") return "Redis requires a password (NOAUTH)";
  if (code == "WRONGPASS") return "Redis refused the user or password (WRONGPASS)";
  if (code == "LOADING") return "Redis is loading its data (LOADING)";
  if (code == "BUSY") return "Redis is busy running somebody's script (BUSY)";
  if (code == "MASTERDOWN") return "Redis is a replica without its master (MASTERDOWN); Larder needs the master";
  if (code == "OOM") return "Redis is out of memory (OOM)";
  return absl::StrCat("Redis refused ", std::string(what), " (", code.empty() ? "no error code" : code, ")");
}

}  // namespace

std::string ServerIdentity(std::string_view server, std::string_view replication) {
  const std::string_view run = InfoField(server, "run_id").value_or("");
  const std::string_view replication_id = InfoField(replication, "master_replid").value_or("");
  if (run.empty() && replication_id.empty()) return "";
  return absl::StrCat(std::string(run), "-", std::string(replication_id));
}

std::string_view RunIdOf(std::string_view identity) {
  const std::string_view run = identity.substr(0, identity.find('-'));
  return run.empty() ? identity : run;
}

bool KnowsScriptFlags(std::string_view server) {
  return InfoNumber(server, "redis_version") >= kFirstMajorWithScriptFlags;
}

RedisHandshake::RedisHandshake(const RedisOptions& options, std::vector<std::string> control_keys, Send send,
                               Scope scope)
    : options_(options), control_keys_(std::move(control_keys)), send_(std::move(send)), scope_(scope) {}

void RedisHandshake::Advance(Step step, const RedisPipeline& pipeline) {
  step_ = step;
  expected_ = pipeline.size();
  replies_.clear();
  if (expected_ == 0) {
    FinishStep();
  } else {
    send_(pipeline);
  }
}

void RedisHandshake::Fail(std::string_view what, RedisReplyView reply) {
  is_loading_ = reply.ErrorCode() == "LOADING";
  needs_configuration_ = IsConfigurationError(reply.ErrorCode());
  status_ = absl::UnavailableError(Explain(what, reply));
}

void RedisHandshake::Refuse(std::string why, bool needs_configuration) {
  needs_configuration_ = needs_configuration;
  status_ = absl::UnavailableError(std::move(why));
}

void RedisHandshake::Start() {
  RedisPipeline pipeline;
  if (options_.password.empty()) {
    pipeline.Add({"HELLO", "3"});
  } else {
    pipeline.Add({"HELLO", "3", "AUTH", options_.user.empty() ? "default" : options_.user, options_.password});
  }
  Advance(Step::kHello, pipeline);
}

void RedisHandshake::OnReply(RedisReplyPtr reply) {
  if (!status_.ok() || done()) return;
  replies_.push_back(std::move(reply));
  if (replies_.size() == expected_) FinishStep();
}

void RedisHandshake::FinishStep() {
  switch (step_) {
    case Step::kHello:
      return FinishHello();
    case Step::kAuth:
      if (const RedisReplyView reply(replies_[0]); reply.IsError()) return Fail("AUTH", reply);
      return FinishLogin();
    case Step::kServer:
      return FinishServer();
    case Step::kScripts:
      return FinishScripts();
    case Step::kControl:
      for (const RedisReplyPtr& reply : replies_) {
        if (RedisReplyView(reply).IsError()) return Fail("to make a control record", RedisReplyView(reply));
      }
      step_ = Step::kDone;
      return;
    case Step::kDone:
      return;
  }
}

void RedisHandshake::FinishHello() {
  const RedisReplyView reply(replies_[0]);
  speaks_resp3_ = !reply.IsError();
  if (speaks_resp3_) return FinishLogin();
  // Before Redis 6 there is no HELLO, and some servers know no RESP3: log in the old way, and speak RESP2.
  const std::string_view code = reply.ErrorCode();
  if (code != "ERR" && code != "NOPROTO") return Fail("HELLO", reply);
  if (options_.password.empty()) return FinishLogin();
  RedisPipeline pipeline;
  if (options_.user.empty()) {
    pipeline.Add({"AUTH", options_.password});
  } else {
    pipeline.Add({"AUTH", options_.user, options_.password});
  }
  Advance(Step::kAuth, pipeline);
}

void RedisHandshake::FinishLogin() {
  if (scope_ == Scope::kLogin) {
    step_ = Step::kDone;
    return;
  }
  RedisPipeline pipeline;
  pipeline.Add({"INFO", "server"}).Add({"INFO", "replication"});
  if (options_.database != 0) pipeline.Add({"SELECT", absl::StrCat(options_.database)});
  Advance(Step::kServer, pipeline);
}

void RedisHandshake::FinishServer() {
  for (size_t i = 0; i < replies_.size(); ++i) {
    const RedisReplyView reply(replies_[i]);
    if (reply.IsError()) return Fail(i < 2 ? "INFO" : absl::StrCat("database ", options_.database), reply);
  }
  const std::string_view server = RedisReplyView(replies_[0]).Text().value_or("");
  const std::string_view replication = RedisReplyView(replies_[1]).Text().value_or("");
  facts_.version = std::string(InfoField(server, "redis_version").value_or(""));
  facts_.scripts = {.knows_flags = KnowsScriptFlags(server), .told_control = !options_.cluster.empty()};
  facts_.identity = ServerIdentity(server, replication);
  // Valkey gives it a name of its own.
  const std::string_view mode = InfoField(server, "redis_mode").value_or(InfoField(server, "server_mode").value_or(""));
  if (mode == "cluster" && options_.cluster.empty()) {
    return Refuse("Redis runs as a Cluster; write redis+cluster:// in the URL", true);
  }
  if (mode != "cluster" && !options_.cluster.empty()) {
    return Refuse("Redis does not run as a Cluster; write redis:// in the URL", true);
  }
  if (mode == "sentinel") {
    return Refuse("this is a Sentinel, not the Redis that it watches; write redis+sentinel:// in the URL", true);
  }
  if (facts_.identity.empty()) return Refuse("Redis tells neither its run_id nor its master_replid", true);
  // What a replica holds may be older than what was acknowledged.
  if (InfoField(replication, "role").value_or("") != "master") {
    return Refuse("Redis is a replica (role:slave); Larder needs the master", false);
  }
  // COHERENCE N1: nor one that its replicas do not hear any more, and which therefore takes no writes, where another
  // may have become the master meanwhile.
  if (!options_.sentinels.empty() && InfoField(replication, "min_slaves_good_slaves").value_or("") == "0") {
    return Refuse("none of the master's replicas hears it (min-replicas-to-write), so it may have been replaced",
                  false);
  }
  RedisPipeline pipeline;
  for (size_t i = 0; i < kScriptCount; ++i) pipeline.AddLoad(static_cast<Script>(i), facts_.scripts);
  Advance(Step::kScripts, pipeline);
}

void RedisHandshake::FinishScripts() {
  for (size_t i = 0; i < kScriptCount; ++i) {
    const RedisReplyView reply(replies_[i]);
    if (reply.IsError()) return Fail("SCRIPT LOAD", reply);
    facts_.hashes[i] = std::string(reply.Text().value_or(""));
    if (facts_.hashes[i].size() != kScriptHashBytes) {
      status_ = absl::UnavailableError("Redis answered SCRIPT LOAD with no hash");
      return;
    }
  }
  RedisPipeline pipeline;
  for (const std::string& key : control_keys_) AddEnsure(pipeline, key, {.there = facts_.identity});
  pipeline.FillHashes(facts_.hashes);
  Advance(Step::kControl, pipeline);
}

}  // namespace larder
