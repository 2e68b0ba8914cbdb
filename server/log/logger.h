// Structured logs: one line an event, with named fields.
#ifndef LARDER_SERVER_LOG_LOGGER_H_
#define LARDER_SERVER_LOG_LOGGER_H_

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "core/clock.h"

namespace larder {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kAuto, kJson, kText };

// `debug`, `info`, `warning`, `error`; `auto`, `json`, `text`. Nothing for any other word.
std::optional<LogLevel> ParseLogLevel(std::string_view word);
std::optional<LogFormat> ParseLogFormat(std::string_view word);
std::string_view ToString(LogLevel level);
std::string_view ToString(LogFormat format);

// A fact about the event. Never a cached value, a password or a token; keys of entries only where they are the point.
class LogField {
 public:
  LogField(std::string_view name, std::string_view value) : name_(name), value_(value) {}
  LogField(std::string_view name, const char* value) : name_(name), value_(std::string_view(value)) {}
  LogField(std::string_view name, const std::string& value) : name_(name), value_(std::string_view(value)) {}
  LogField(std::string_view name, bool value) : name_(name), value_(value) {}
  LogField(std::string_view name, double value) : name_(name), value_(value) {}
  LogField(std::string_view name, int value) : name_(name), value_(int64_t{value}) {}
  LogField(std::string_view name, int64_t value) : name_(name), value_(value) {}
  LogField(std::string_view name, uint64_t value) : name_(name), value_(value) {}

  using Value = std::variant<std::string_view, bool, double, int64_t, uint64_t>;
  std::string_view name() const { return name_; }
  const Value& value() const { return value_; }

 private:
  std::string_view name_;  // views live as long as the call that takes them
  Value value_;
};

using LogFields = std::initializer_list<LogField>;

// Thread-safe; a call writes its line before it returns, and so may block on standard error. Lines are whole, in the
// order in which the writes were made. Bytes that are not UTF-8 are replaced.
class Logger {
 public:
  struct Options {
    LogLevel level = LogLevel::kInfo;     // what is below is dropped
    LogFormat format = LogFormat::kAuto;  // auto: text on a terminal, else JSON
  };

  // Writes to standard error. `clock` must outlive the logger.
  Logger(const Options& options, const Clock* clock);
  // Writes to `out`, which must outlive the logger; auto is JSON.
  Logger(const Options& options, const Clock* clock, std::ostream* out);
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  void Debug(std::string_view message, LogFields fields = {}) { Log(LogLevel::kDebug, message, fields); }
  void Info(std::string_view message, LogFields fields = {}) { Log(LogLevel::kInfo, message, fields); }
  void Warning(std::string_view message, LogFields fields = {}) { Log(LogLevel::kWarning, message, fields); }
  void Error(std::string_view message, LogFields fields = {}) { Log(LogLevel::kError, message, fields); }
  void Log(LogLevel level, std::string_view message, LogFields fields = {});

  bool Enabled(LogLevel level) const { return level >= options_.level; }

 private:
  struct Sink;

  const Options options_;
  const Clock* const clock_;
  const std::unique_ptr<Sink> sink_;
};

// Lets one call in each interval through, and counts the others; one object for each place that logs. Thread-safe,
// lock-free.
class RateLimited {
 public:
  // `clock` must outlive this.
  RateLimited(const Clock* clock, int64_t interval_nanos) : clock_(clock), interval_nanos_(interval_nanos) {}

  // How many calls were held back since the last one let through, if this one may log; else nothing.
  std::optional<uint64_t> Pass();

 private:
  const Clock* const clock_;
  const int64_t interval_nanos_;
  std::atomic<int64_t> next_nanos_{INT64_MIN};
  std::atomic<uint64_t> suppressed_{0};
};

}  // namespace larder

#endif  // LARDER_SERVER_LOG_LOGGER_H_
