#include "server/config/findings.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace larder {
namespace {

// More than anybody repairs in one go; a file of another kind altogether could have thousands.
constexpr size_t kMaxProblems = 100;

std::string Line(std::string_view origin, std::string_view path, std::string_view what) {
  std::string line;
  for (const std::string_view part : {origin, path}) {
    if (!part.empty()) line += std::string(part) + ": ";
  }
  return line + std::string(what);
}

}  // namespace

std::string Findings::OriginOf(std::string_view path) const {
  while (true) {
    const auto found = origins_.find(path);
    if (found != origins_.end()) return found->second;
    const size_t dot = path.rfind('.');
    if (dot == std::string_view::npos) return "";
    path = path.substr(0, dot);
  }
}

void Findings::AddProblemAt(std::string_view origin, std::string_view path, std::string_view what) {
  std::string line = Line(origin, path, what);
  if (told_.insert(line).second) problems_.push_back(std::move(line));
}

void Findings::AddWarning(std::string_view origin, std::string_view what) {
  warnings_.push_back(Line(origin, "", what));
}

absl::Status Findings::ToStatus() const {
  if (problems_.empty()) return absl::OkStatus();
  if (problems_.size() <= kMaxProblems) return absl::InvalidArgumentError(absl::StrJoin(problems_, "\n"));
  return absl::InvalidArgumentError(
      absl::StrCat(absl::StrJoin(problems_.begin(), problems_.begin() + kMaxProblems, "\n"), "\nand ",
                   problems_.size() - kMaxProblems, " more"));
}

}  // namespace larder
