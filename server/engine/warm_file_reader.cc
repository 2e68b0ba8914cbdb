#include "server/engine/warm_file_reader.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/lines/entry_line.h"

namespace larder {
namespace {

// Only a regular file ends by itself.
absl::Status CheckFile(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return absl::NotFoundError(absl::StrCat(path, ": ", std::strerror(errno)));
  if (!S_ISREG(info.st_mode)) return absl::FailedPreconditionError(absl::StrCat(path, ": not a regular file"));
  return absl::OkStatus();
}

absl::Status ReadFile(const std::string& path, WarmJobRun& run) {
  if (absl::Status status = CheckFile(path); !status.ok()) return status;
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::FailedPreconditionError(absl::StrCat(path, ": ", std::strerror(errno)));
  std::string text;
  for (int64_t line = 1; std::getline(file, text); ++line) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    absl::StatusOr<EntryLine> entry = ParseEntryLine(text);
    if (!entry.ok()) {
      run.Refuse(absl::StrCat("line ", line), entry.status());
      continue;
    }
    std::vector<WarmJobRun::Item> items;
    items.push_back(*std::move(entry));
    if (!run.Offer(std::move(items))) return absl::OkStatus();
  }
  if (file.bad()) return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be read to its end"));
  return absl::OkStatus();
}

}  // namespace

void WarmFileReader::Start(std::string path, std::shared_ptr<WarmJobRun> run) {
  absl::Status refusal;
  {
    MutexLock lock(&mutex_);
    if (thread_.joinable()) thread_.join();
    if (stopped_) return;  // the run has been cancelled, or will be
    try {
      thread_ = std::thread([path = std::move(path), run] { run->EndOfItems(ReadFile(path, *run)); });
    } catch (const std::system_error&) {
      refusal = absl::ResourceExhaustedError("no thread to read the file on");
    }
  }
  if (!refusal.ok()) run->EndOfItems(std::move(refusal));
}

void WarmFileReader::Stop() {
  MutexLock lock(&mutex_);
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
}

}  // namespace larder
