#include "server/log/logger.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

namespace larder {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::pair<LogLevel, std::string_view>, 4> kLevels = {{{LogLevel::kDebug, "debug"},
                                                                           {LogLevel::kInfo, "info"},
                                                                           {LogLevel::kWarning, "warning"},
                                                                           {LogLevel::kError, "error"}}};
constexpr std::array<std::pair<LogFormat, std::string_view>, 3> kFormats = {
    {{LogFormat::kAuto, "auto"}, {LogFormat::kJson, "json"}, {LogFormat::kText, "text"}}};

template <typename Table>
auto Find(const Table& table, std::string_view word) -> std::optional<decltype(table[0].first)> {
  for (const auto& [value, name] : table) {
    if (name == word) return value;
  }
  return std::nullopt;
}

template <typename Table, typename Value>
std::string_view NameOf(const Table& table, Value value) {
  for (const auto& [candidate, name] : table) {
    if (candidate == value) return name;
  }
  return "";
}

// RFC 3339 in UTC, with milliseconds.
std::string Timestamp(int64_t wall_millis) {
  const auto seconds = static_cast<std::time_t>(wall_millis / 1'000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> date{};
  const size_t size = std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(wall_millis % 1'000));
  return std::string(date.data(), size) + fraction.data();
}

Json ToJson(const LogField::Value& value) {
  return std::visit([](const auto& held) { return Json(held); }, value);
}

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string JsonLine(std::string_view time, LogLevel level, std::string_view message, LogFields fields) {
  Json line = {{"time", time}, {"level", ToString(level)}, {"message", message}};
  for (const LogField& field : fields) line[std::string(field.name())] = ToJson(field.value());
  return Dump(line);
}

// Fields as name=value. A string is quoted where it would not read as one word, and the message has its control
// characters escaped, so that an event is always one line.
bool IsWord(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == '\x7f') return false;
  }
  return !text.empty();
}

std::string TextLine(std::string_view time, LogLevel level, std::string_view message, LogFields fields) {
  const std::string quoted = Dump(Json(message));
  std::string line = std::string(time) + " " + std::string(ToString(level)) + " " + quoted.substr(1, quoted.size() - 2);
  for (const LogField& field : fields) {
    const auto* text = std::get_if<std::string_view>(&field.value());
    const bool bare = text != nullptr && IsWord(*text);
    line += " " + std::string(field.name()) + "=" + (bare ? std::string(*text) : Dump(ToJson(field.value())));
  }
  return line;
}

LogFormat Resolve(LogFormat format, bool terminal) {
  if (format != LogFormat::kAuto) return format;
  return terminal ? LogFormat::kText : LogFormat::kJson;
}

}  // namespace

std::optional<LogLevel> ParseLogLevel(std::string_view word) { return Find(kLevels, word); }

std::optional<LogFormat> ParseLogFormat(std::string_view word) { return Find(kFormats, word); }

std::string_view ToString(LogLevel level) { return NameOf(kLevels, level); }

std::string_view ToString(LogFormat format) { return NameOf(kFormats, format); }

// spdlog writes lines whole and in order; what stands in them is made above.
struct Logger::Sink {
  explicit Sink(spdlog::sink_ptr sink) : logger("larder", std::move(sink)) {
    logger.set_pattern("%v", spdlog::pattern_time_type::utc);
    logger.set_level(spdlog::level::trace);
    logger.flush_on(spdlog::level::trace);
  }

  spdlog::logger logger;
};

Logger::Logger(const Options& options, const Clock* clock)
    : options_{options.level, Resolve(options.format, isatty(STDERR_FILENO) == 1)},
      clock_(clock),
      sink_(std::make_unique<Sink>(std::make_shared<spdlog::sinks::stderr_sink_mt>())) {}

Logger::Logger(const Options& options, const Clock* clock, std::ostream* out)
    : options_{options.level, Resolve(options.format, false)},
      clock_(clock),
      sink_(std::make_unique<Sink>(std::make_shared<spdlog::sinks::ostream_sink_mt>(*out))) {}

Logger::~Logger() = default;

void Logger::Log(LogLevel level, std::string_view message, LogFields fields) {
  if (!Enabled(level)) return;
  const std::string time = Timestamp(clock_->WallMillis());
  const std::string line = options_.format == LogFormat::kJson ? JsonLine(time, level, message, fields)
                                                               : TextLine(time, level, message, fields);
  sink_->logger.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

std::optional<uint64_t> RateLimited::Pass() {
  const int64_t now = clock_->NowNanos();
  int64_t next = next_nanos_.load(std::memory_order_relaxed);
  if (now < next || !next_nanos_.compare_exchange_strong(next, now + interval_nanos_, std::memory_order_relaxed)) {
    suppressed_.fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  return suppressed_.exchange(0, std::memory_order_relaxed);
}

}  // namespace larder
