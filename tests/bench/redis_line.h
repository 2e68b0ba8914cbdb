// A plain connection to Redis for measurements.
#ifndef LARDER_TESTS_BENCH_REDIS_LINE_H_
#define LARDER_TESTS_BENCH_REDIS_LINE_H_

#include <hiredis/hiredis.h>

#include <memory>
#include <string>
#include <vector>

namespace larder {

// On loopback. Not thread-safe; Run() blocks until the answer is there.
class RedisLine {
 public:
  explicit RedisLine(int port) : context_(redisConnect("127.0.0.1", port)) {
    ok_ = context_ != nullptr && context_->err == 0;
  }

  void Run(const std::vector<std::string>& args) {
    if (!ok_) return;
    std::vector<const char*> pointers;
    std::vector<size_t> sizes;
    for (const std::string& arg : args) {
      pointers.push_back(arg.data());
      sizes.push_back(arg.size());
    }
    auto* const reply = static_cast<redisReply*>(
        redisCommandArgv(context_.get(), static_cast<int>(args.size()), pointers.data(), sizes.data()));
    ok_ = reply != nullptr && reply->type != REDIS_REPLY_ERROR;
    freeReplyObject(reply);
  }

  // No command has failed yet.
  bool ok() const { return ok_; }

 private:
  struct Free {
    void operator()(redisContext* context) const { redisFree(context); }
  };
  std::unique_ptr<redisContext, Free> context_;
  bool ok_ = false;
};

}  // namespace larder

#endif  // LARDER_TESTS_BENCH_REDIS_LINE_H_
