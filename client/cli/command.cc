#include "client/cli/command.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/cli/text.h"
#include "core/lines/duration.h"

namespace larder {
namespace {

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

absl::StatusOr<std::string> ReadStream(std::FILE* file, const std::string& name) {
  std::string contents;
  std::array<char, 65536> chunk{};
  for (;;) {
    const size_t got = std::fread(chunk.data(), 1, chunk.size(), file);
    contents.append(chunk.data(), got);
    if (got < chunk.size()) break;
  }
  if (std::ferror(file) != 0) return absl::NotFoundError(absl::StrCat(name, ": ", std::strerror(errno)));
  return contents;
}

}  // namespace

CLI::Option* AddDuration(CLI::App& app, const std::string& name, std::optional<int64_t>& millis,
                         const std::string& help) {
  CLI::Option* option = app.add_option_function<std::string>(
      name, [&millis](const std::string& text) { millis = ParseDurationMillis(text).value_or(0); }, help);
  option->type_name("DURATION");
  option->check([](const std::string& text) { return std::string(ParseDurationMillis(text).status().message()); });
  return option;
}

CLI::Option* AddVerbatim(CLI::App& app, const std::string& name, std::optional<std::string>& text,
                         const std::string& help) {
  CLI::callback_t store = [&text](const CLI::results_t& results) {
    text = results.at(0);
    return true;
  };
  CLI::Option* option = app.add_option(name, std::move(store), help);
  option->type_name("TEXT");
  return option;
}

CLI::Option* AddTexts(CLI::App& app, const std::string& name, std::vector<std::string>& texts,
                      const std::string& help) {
  CLI::callback_t store = [&texts](const CLI::results_t& results) {
    texts = results;
    return true;
  };
  CLI::Option* option = app.add_option(name, std::move(store), help);
  option->type_name("TEXT")->expected(1, CLI::detail::expected_max_vector_size);
  return option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
}

std::string CheckUtf8(const std::string& text) { return IsUtf8(text) ? "" : Quoted(text) + " is not UTF-8"; }

void AddExpiry(CLI::App& app, Expiry& expiry) {
  CLI::Option* ttl = AddDuration(app, "--ttl", expiry.ttl_ms, "Time to live, such as 30s, 5m or 1h30m");
  app.add_option("--class", expiry.ttl_class, "TTL class of the namespace, such as user or static")
      ->check(CheckUtf8)
      ->excludes(ttl);
}

absl::StatusOr<std::string> ReadAll(const std::string& path) {
  if (path == "-") return ReadStream(stdin, "stdin");
  const std::unique_ptr<std::FILE, FileCloser> file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return absl::NotFoundError(absl::StrCat(path, ": ", std::strerror(errno)));
  return ReadStream(file.get(), path);
}

}  // namespace larder
