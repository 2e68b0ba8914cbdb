#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/progress_bar.h"
#include "client/cli/text.h"
#include "client/cli/warm_jobs.h"
#include "client/cli/warm_lines.h"
#include "client/cli/warm_stream.h"
#include "core/clock.h"

namespace larder {
namespace {

// The server reports ten times a second while it works.
constexpr int64_t kPatienceMillis = 30'000;

struct WarmOptions {
  std::string file;
  std::string job;
  bool list_jobs = false;
};

// Counts and shows what becomes of the lines.
class WarmReport {
 public:
  WarmReport(Output* output, ProgressBar* bar) : output_(output), bar_(bar) {}

  void AddSent(uint64_t line) { lines_.Add(line); }

  void AddMalformed(uint64_t line, std::string_view message) {
    ++malformed_;
    WriteFailure(line, grpc::StatusCode::INVALID_ARGUMENT, message);
  }

  void AddProgress(const v1::WarmProgress& progress) {
    for (const v1::WarmFailure& failure : progress.failures()) {
      const uint64_t line = lines_.LineOf(failure.index());
      ++listed_;
      WriteFailure(line, failure.code(),
                   absl::StrCat("line ", line, ": key ", Quoted(failure.key()), ": ", failure.message()));
    }
    last_ = progress;
    last_.clear_failures();
    bar_->Update(dealt_with(), share_);
  }

  // The share of the input that has been read.
  void SetShare(std::optional<double> share) {
    share_ = share;
    bar_->Update(dealt_with(), share_);
  }

  uint64_t failed() const { return static_cast<uint64_t>(last_.failed()) + malformed_; }

  void WriteSummary() {
    bar_->Clear();
    if (output_->json()) {
      output_->Json({{"written", last_.written()},
                     {"skipped", last_.skipped()},
                     {"failed", failed()},
                     {"written_bytes", last_.written_bytes()},
                     {"elapsed_ms", last_.elapsed_ms()},
                     {"entries_per_second", last_.entries_per_second()}});
      return;
    }
    const auto unlisted = last_.failed() - listed_;
    if (unlisted > 0) output_->Complain(absl::StrCat(unlisted, " more entries failed than the server listed"));
    output_->Line(absl::StrCat("written ", last_.written(), ", skipped ", last_.skipped(), " (already there), failed ",
                               failed(), "; ", HumanBytes(static_cast<double>(last_.written_bytes())), " in ",
                               HumanMillis(last_.elapsed_ms()), ", ",
                               WithCommas(static_cast<uint64_t>(last_.entries_per_second())), " entries/s"));
  }

 private:
  uint64_t dealt_with() const {
    return static_cast<uint64_t>(last_.written() + last_.skipped() + last_.failed()) + malformed_;
  }

  void WriteFailure(uint64_t line, int code, std::string_view message) {
    bar_->Clear();
    if (output_->json()) {
      output_->Json({{"line", line}, {"code", CodeName(code)}, {"message", std::string(message)}});
    } else {
      output_->Complain(absl::StrCat(CodeName(code), ": ", std::string(message)));
    }
  }

  Output* const output_;
  ProgressBar* const bar_;
  LineIndex lines_;
  v1::WarmProgress last_;
  std::optional<double> share_;
  uint64_t malformed_ = 0;
  int64_t listed_ = 0;
};

// Sends every line that can be read; stops early only if the call has ended.
void SendLines(std::istream& input, std::optional<double> total_bytes, const Connection& connection, WarmStream& stream,
               WarmReport& report) {
  std::string text;
  double read_bytes = 0;
  for (uint64_t line = 1; std::getline(input, text); ++line) {
    read_bytes += static_cast<double>(text.size()) + 1;
    if (total_bytes.has_value()) report.SetShare(read_bytes / *total_bytes);
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    absl::StatusOr<v1::WarmRequest> entry = ParseWarmLine(line, text);
    if (!entry.ok()) {
      report.AddMalformed(line, std::string(entry.status().message()));
      continue;
    }
    entry->set_namespace_(connection.name_space());
    report.AddSent(line);
    if (!stream.Write(*entry)) return;
  }
}

std::optional<double> SizeOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) return std::nullopt;
  return static_cast<double>(info.st_size);
}

ExitCode RunWarmFile(const WarmOptions& options, int64_t patience_ms, const Connection& connection, Output& output) {
  std::ifstream file;
  const bool from_stdin = options.file == "-";
  if (!from_stdin) {
    file.open(options.file, std::ios::binary);
    if (!file) return output.Refuse(absl::StrCat(options.file, ": ", std::strerror(errno)));
  }
  std::istream& input = from_stdin ? std::cin : file;
  const SystemClock clock;
  ProgressBar bar(stderr, &clock, "entries");
  WarmReport report(&output, &bar);
  WarmStream stream(connection, patience_ms, [&](const v1::WarmProgress& progress) { report.AddProgress(progress); });
  SendLines(input, from_stdin ? std::nullopt : SizeOf(options.file), connection, stream, report);
  const bool unreadable = input.bad();
  const grpc::Status status = stream.Finish();
  report.WriteSummary();
  if (!status.ok()) return output.Fail(status);
  if (unreadable) return output.Refuse(absl::StrCat(options.file, ": cannot be read to its end"));
  return report.failed() == 0 ? ExitCode::kOk : ExitCode::kService;
}

ExitCode RunWarm(const WarmOptions& options, const Connection& connection, Output& output) {
  const int64_t patience_ms = connection.timeout_given() ? connection.timeout_ms() : kPatienceMillis;
  if (options.list_jobs) return ListWarmJobs(connection, output);
  if (!options.job.empty()) return RunWarmJob(options.job, patience_ms, connection, output);
  return RunWarmFile(options, patience_ms, connection, output);
}

}  // namespace

void AddWarm(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("warm", "Fill the cache from a file of JSON lines, or run a warm-up job");
  const auto options = std::make_shared<WarmOptions>();
  CLI::Option* const file = command->add_option("FILE", options->file, "The file; -: stdin")->type_name("FILE");
  CLI::Option* const job =
      command->add_option("--job", options->job, "Run this job of the server's configuration, or join it if it runs")
          ->type_name("NAME")
          ->excludes(file);
  command->add_flag("--jobs", options->list_jobs, "List the jobs of the server's configuration and how they stand")
      ->excludes(file)
      ->excludes(job);
  command->footer(
      "Each line is an object: {\"key\": ..., \"value\": ...}, or key_base64 and value_base64 for bytes that are not\n"
      "text; optionally one of ttl (\"5m\"), ttl_ms and class; optionally content_type. Entries that are cached "
      "already\n"
      "are left as they are. A line that fails does not stop the others; the exit code is then 3. --timeout is the\n"
      "longest time without any sign of progress from the server (default here: 30s). A job goes on though the tool "
      "is\n"
      "ended; the exit code is 3 if the job failed or could not load all of its keys.");
  command->callback([options, &action] {
    if (options->file.empty() && options->job.empty() && !options->list_jobs) {
      throw CLI::RequiredError("FILE, --job or --jobs");
    }
    action = [options](const Connection& connection, Output& output) { return RunWarm(*options, connection, output); };
  });
}

}  // namespace larder
