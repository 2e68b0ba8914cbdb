#include "server/redis/redis_reply.h"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/store/refusal.h"

namespace larder {
namespace {

// Errors carry parts of commands in some releases of Redis; they are cut and made printable.
constexpr size_t kMaxErrorBytes = 160;

constexpr std::array<std::string_view, 12> kRefusals = {"LOADING",  "READONLY",   "MASTERDOWN", "CLUSTERDOWN",
                                                        "MISCONF",  "NOREPLICAS", "BUSY",       "TRYAGAIN",
                                                        "NOSCRIPT", "MOVED",      "ASK",        "CROSSSLOT"};
// Of a server that was a good one when the connection was made.
constexpr std::array<std::string_view, 6> kEndsOfUse = {"READONLY",   "NOAUTH", "LOADING",
                                                        "MASTERDOWN", "MOVED",  "CLUSTERDOWN"};
constexpr std::array<std::string_view, 3> kConfigurationErrors = {"NOAUTH", "WRONGPASS", "NOPERM"};

// Of a server that goes on reading, for as long as nobody changes something.
constexpr std::array<std::string_view, 3> kOfWrites = {"MISCONF", "NOREPLICAS", "NOPERM"};

template <size_t N>
bool IsOneOf(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string_view FirstWord(std::string_view text) { return text.substr(0, text.find(' ')); }

// Redis before 7: `ERR Error running script (call to f_<hash>): @user_script:12: @user_script: 12: -OOM ...`, with one
// place or two, with a dash or none. Empty if this is something else, or what the command said begins with no code.
std::string_view CodeInsideScript(std::string_view text) {
  constexpr std::string_view kFailed = "ERR Error running script (";
  constexpr std::string_view kEndOfCall = "): ";
  constexpr std::string_view kPlace = "@user_script:";
  constexpr std::string_view kEndOfPlace = ": ";
  if (!text.starts_with(kFailed)) return {};
  const size_t call = text.find(kEndOfCall);
  if (call == std::string_view::npos) return {};
  text.remove_prefix(call + kEndOfCall.size());
  if (!text.starts_with(kPlace)) return {};
  while (text.starts_with(kPlace)) {
    const size_t place = text.find(kEndOfPlace, kPlace.size());
    if (place == std::string_view::npos) return {};
    text.remove_prefix(place + kEndOfPlace.size());
  }
  if (text.starts_with('-')) text.remove_prefix(1);
  const std::string_view code = FirstWord(text);
  return std::all_of(code.begin(), code.end(), [](char c) { return c >= 'A' && c <= 'Z'; }) ? code : std::string_view();
}

}  // namespace

void FreeRedisReply::operator()(redisReply* reply) const { freeReplyObject(reply); }

bool RedisReplyView::IsError() const { return reply_->type == REDIS_REPLY_ERROR; }
bool RedisReplyView::IsNull() const { return reply_->type == REDIS_REPLY_NIL; }
bool RedisReplyView::IsArray() const {
  return reply_->type == REDIS_REPLY_ARRAY || reply_->type == REDIS_REPLY_MAP || reply_->type == REDIS_REPLY_SET ||
         reply_->type == REDIS_REPLY_PUSH;
}

std::string_view RedisReplyView::ErrorCode() const {
  if (!IsError()) return {};
  const std::string_view text(reply_->str, reply_->len);
  // A script's missing right is told without its code: by Redis 7, and by Redis 8 and Valkey.
  if (text.starts_with("ERR The user executing the script can't ")) return "NOPERM";
  if (text.starts_with("ERR ACL failure in script: ")) return "NOPERM";
  const std::string_view inside = CodeInsideScript(text);
  return inside.empty() ? FirstWord(text) : inside;
}

std::optional<std::string_view> RedisReplyView::Text() const {
  switch (reply_->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
    case REDIS_REPLY_VERB:
      return std::string_view(reply_->str, reply_->len);
    default:
      return std::nullopt;
  }
}

std::optional<int64_t> RedisReplyView::Integer() const {
  if (reply_->type == REDIS_REPLY_INTEGER) return reply_->integer;
  if (reply_->type != REDIS_REPLY_STRING) return std::nullopt;
  int64_t number = 0;
  const char* end = reply_->str + reply_->len;
  const auto [stop, error] = std::from_chars(reply_->str, end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::optional<double> RedisReplyView::Number() const {
  if (reply_->type == REDIS_REPLY_DOUBLE) return reply_->dval;
  if (reply_->type == REDIS_REPLY_INTEGER) return static_cast<double>(reply_->integer);
  if (reply_->type != REDIS_REPLY_STRING || reply_->len == 0) return std::nullopt;
  // Redis' strings end with a NUL here, as hiredis makes them.
  char* stop = nullptr;
  const double number = std::strtod(reply_->str, &stop);
  if (stop != reply_->str + reply_->len) return std::nullopt;
  return number;
}

size_t RedisReplyView::size() const { return IsArray() ? reply_->elements : 0; }

RedisReplyView RedisReplyView::operator[](size_t i) const { return RedisReplyView(reply_->element[i]); }

absl::Status StatusOfReply(RedisReplyView reply) {
  if (!reply.IsError()) return absl::OkStatus();
  const std::string_view code = reply.ErrorCode();
  const std::string text = absl::CHexEscape(std::string(reply.Text().value_or("").substr(0, kMaxErrorBytes)));
  if (code == "OOM") return absl::ResourceExhaustedError("Redis is out of memory");
  if (IsOneOf(kRefusals, code) || IsConfigurationError(code)) {
    absl::Status status = absl::UnavailableError(absl::StrCat("Redis refuses to serve: ", text));
    return IsOneOf(kOfWrites, code) ? Refused(std::move(status)) : status;
  }
  return absl::InternalError(absl::StrCat("Redis answered with an error: ", text));
}

bool NeedsNewLogin(std::string_view error_code) { return IsOneOf(kEndsOfUse, error_code); }

bool IsConfigurationError(std::string_view error_code) { return IsOneOf(kConfigurationErrors, error_code); }

std::optional<std::string_view> InfoField(std::string_view info, std::string_view name) {
  while (!info.empty()) {
    const size_t end = info.find("\r\n");
    const std::string_view line = info.substr(0, end);
    if (line.size() > name.size() && line[name.size()] == ':' && line.substr(0, name.size()) == name) {
      return line.substr(name.size() + 1);
    }
    if (end == std::string_view::npos) break;
    info.remove_prefix(end + 2);
  }
  return std::nullopt;
}

int64_t InfoNumber(std::string_view info, std::string_view name) {
  const std::string_view text = InfoField(info, name).value_or("");
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace larder
